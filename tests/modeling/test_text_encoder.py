"""Tokens to vectors: an utterance's vector depends neither on padding nor on who shares its batch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel

from joyful_hf import JoyfulConfig
from joyful_hf.modeling import utterance_encoder
from joyful_hf.modeling.text_encoder import TextEncoder
from joyful_hf.modeling.utterance_encoder import similar_chunks

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}
ENCODERS = {
    "bert": {},
    "roberta": {"pad_token_id": 1},
    "mpnet": {"pad_token_id": 1},
    "distilbert": {"hidden_dim": 24},
    "electra": {"embedding_size": 8},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "modernbert": {"global_attn_every_n_layers": 1, "cls_token_id": 2, "sep_token_id": 3},
}
LENGTHS = (7, 1, 12, 0, 3)

each_encoder = pytest.mark.parametrize("name", ENCODERS)
each_pooling = pytest.mark.parametrize("pooling", ["mean", "cls"])


def config_of(name: str = "bert"):
    return AutoConfig.for_model(name, **(SMALL | ENCODERS[name]))


def make_encoder(name: str = "bert", pooling: str = "mean", trainable: bool = True) -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(config_of(name), pooling, trainable).eval()


def texts(lengths=LENGTHS) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(4, 40, (length,), generator=generator) for length in lengths]


def padded(parts: list[torch.Tensor], longest: int = 0, padding: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(longest, 1, *map(len, parts))
    ids = torch.full((len(parts), longest), padding)
    mask = torch.zeros_like(ids)
    for row, part in enumerate(parts):
        ids[row, : len(part)], mask[row, : len(part)] = part, 1
    return ids, mask


def encode(encoder: TextEncoder, parts, **kwargs) -> torch.Tensor:
    with torch.no_grad():
        return encoder(*padded(parts, **kwargs))


@each_encoder
@each_pooling
def test_a_vector_does_not_depend_on_batch_mates(name, pooling):
    encoder, parts = make_encoder(name, pooling), texts()
    together = encode(encoder, parts)
    for row, part in enumerate(parts):
        torch.testing.assert_close(encode(encoder, [part])[0], together[row], **TOLERANCE)


@each_encoder
def test_what_stands_in_the_padding_does_not_matter(name):
    encoder, parts = make_encoder(name), texts()
    wider = encode(encoder, parts, longest=20, padding=9)
    torch.testing.assert_close(wider, encode(encoder, parts), **TOLERANCE)


@each_encoder
@each_pooling
def test_it_is_what_the_encoder_makes_of_the_text_pooled_and_normalised(name, pooling):
    encoder, (part,) = make_encoder(name, pooling), texts((9,))
    plain = AutoModel.from_config(config_of(name)).eval()
    plain.load_state_dict(encoder.encoder.state_dict(), strict=False)
    with torch.no_grad():
        hidden = plain(part[None]).last_hidden_state[0]
    expected = torch.nn.functional.layer_norm(hidden.mean(0) if pooling == "mean" else hidden[0], (16,))
    torch.testing.assert_close(encode(encoder, [part])[0], expected, **TOLERANCE)


def test_its_entries_are_about_1_in_size():
    vectors = encode(make_encoder(), texts((5, 9, 3)))
    torch.testing.assert_close(vectors.std(-1), torch.ones(3), rtol=0.1, atol=0)


def test_an_utterance_without_a_token_is_zero():
    vectors = encode(make_encoder(), texts())
    assert vectors.any(-1).tolist() == [True, True, True, False, True]
    assert not encode(make_encoder(), texts((0, 0))).any()


def test_without_any_text_every_parameter_still_has_a_gradient():
    """Otherwise several processes would wait for each other."""
    encoder = make_encoder()
    encoder(*padded(texts((0, 0)))).sum().backward()
    gradients = [parameter.grad for parameter in encoder.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


@each_encoder
def test_every_parameter_learns(name):
    """Heads that nothing reads are left out; of distances that no text has there is nothing to learn."""
    encoder = make_encoder(name).train()
    encoder(*padded(texts()))[:, 0].sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_a_frozen_encoder_has_no_gradient_and_no_dropout():
    encoder = make_encoder(trainable=False).train()
    batch = padded(texts())
    first, again = encoder(*batch), encoder(*batch)
    assert torch.equal(first, again)
    first[:, 0].sum().backward()
    learning = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert learning == {"norm.weight", "norm.bias"}
    assert not any(parameter.requires_grad for parameter in encoder.encoder.parameters())


def test_an_encoder_that_learns_has_dropout_in_training_alone():
    encoder, batch = make_encoder(), padded(texts())
    assert torch.equal(encoder(*batch), encoder(*batch))
    encoder.train()
    assert not torch.equal(encoder(*batch), encoder(*batch))


def test_in_chunks_of_any_size_it_is_the_same(monkeypatch):
    encoder, parts = make_encoder(), texts((3, 8, 1, 0, 5, 8, 2))
    expected = encode(encoder, parts)
    for tokens in (1, 8, 20):
        monkeypatch.setattr(utterance_encoder, "rows_at_a_time", lambda size, device, tokens=tokens: tokens)
        torch.testing.assert_close(encode(encoder, parts), expected, **TOLERANCE)


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=20).map(sorted), tokens=st.integers(1, 100))
def test_chunks_hold_every_text_once_and_no_more_tokens_than_allowed(lengths, tokens):
    chunks = similar_chunks(lengths, tokens)
    assert sum(size for size, _ in chunks) == len(lengths)
    rest = list(lengths)
    for size, longest in chunks:
        own, rest = rest[:size], rest[size:]
        assert longest == max(own)
        assert size * longest <= tokens or size == 1


@pytest.mark.parametrize("model_type", ["wavlm", "t5", "vit"])
def test_what_is_no_encoder_of_text_is_refused(model_type):
    with pytest.raises(ValueError, match=f"'{model_type}', which is no encoder of text"):
        TextEncoder(AutoConfig.for_model(model_type, num_hidden_layers=1), "mean", True)


class Adapter(torch.nn.Module):
    """A low-rank addition to a linear layer, as adapters make it."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        self.down = torch.nn.Linear(layer.in_features, 2, bias=False)
        self.up = torch.nn.Linear(2, layer.out_features, bias=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.layer(rows) + self.up(self.down(rows))


def test_an_adapter_in_a_frozen_encoder_learns_and_nothing_else_of_it():
    encoder = make_encoder(trainable=False)
    attention = encoder.encoder.encoder.layer[0].attention.self
    attention.query = Adapter(attention.query)
    assert encoder.learns
    encoder.train()(*padded(texts()))[:, 0].sum().backward()
    learning = {name for name, parameter in encoder.encoder.named_parameters() if parameter.grad is not None}
    assert {name.rsplit(".query.")[-1] for name in learning} == {"down.weight", "up.weight"}
    assert encoder.encoder.training  # with the encoder's own dropout


@each_encoder
@each_pooling
def test_several_layers_are_the_pooled_states_side_by_side(name, pooling):
    torch.manual_seed(0)
    encoder = TextEncoder(config_of(name), pooling, trainable=True, num_layers=3).eval()
    ids, mask = padded(texts([7, 2]))
    states = encoder.encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    layers = [*states.hidden_states[-3:-1], states.last_hidden_state]
    pooled = [[layer[row, :length] for row, length in enumerate([7, 2])] for layer in layers]
    expected = [torch.stack([rows.mean(0) if pooling == "mean" else rows[0] for rows in layer]) for layer in pooled]
    torch.testing.assert_close(encoder.encode(ids, mask), torch.cat(expected, dim=-1), **TOLERANCE)


class TestHowManyLayers:
    TEXT = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 6}

    def config(self, **settings):
        return JoyfulConfig(text_config=self.TEXT, num_labels=2, **settings)

    def test_four_or_what_there_is(self):
        assert (self.config().text_encoder_layers, self.config().text_dim) == (4, 32)
        small = JoyfulConfig(text_config=self.TEXT | {"num_hidden_layers": 1}, num_labels=2)
        assert (small.text_encoder_layers, small.text_dim) == (2, 16)

    def test_as_many_as_the_size_says(self):
        """A checkpoint from before there was a choice read the last layer."""
        assert self.config(text_dim=8).text_encoder_layers == 1
        assert self.config(text_dim=56).text_encoder_layers == 7

    def test_one_in_the_published_forms(self):
        assert JoyfulConfig.released(text_config=self.TEXT, num_labels=2).text_dim == 8
        assert JoyfulConfig.released(text_config=self.TEXT, text_encoder_layers=2, num_labels=2).text_dim == 16

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"text_encoder_layers": 8}, "text_encoder_layers is 8; the encoder of text_config has 7"),
            ({"text_encoder_layers": 0}, "text_encoder_layers is 0; the encoder of text_config has 7"),
            ({"text_encoder_layers": 2, "text_dim": 8}, "text_dim is 8, .* gives vectors of size 16"),
            ({"text_dim": 12}, "text_dim is 12, .* gives vectors of size 8"),
        ],
    )
    def test_others_are_refused(self, settings, message):
        with pytest.raises(Exception, match=message):
            self.config(**settings)

    def test_without_an_encoder_there_are_none(self):
        with pytest.raises(Exception, match="text_encoder_layers is 2, and there is no text_config"):
            JoyfulConfig(text_dim=8, text_encoder_layers=2, num_labels=2)
