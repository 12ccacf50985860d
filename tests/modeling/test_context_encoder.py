"""The context encoders: torch's own, a dialogue at a time, is what they must equal."""

import pytest
import torch
from hypothesis import given
from torch import nn

from joyful_hf.modeling.context_encoder import DialogueGRU, DialogueTransformer, TransformerLayer
from joyful_hf.modeling.reach import Reach
from tests.support.helpers import batches_of_lengths, make_layout

SIZE, HEADS, INTERMEDIATE = 12, 3, 20


def make_transformer(num_layers=2, norm_first=False, max_relative_distance=0) -> DialogueTransformer:
    torch.manual_seed(0)
    return DialogueTransformer(SIZE, num_layers, HEADS, INTERMEDIATE, 0.0, norm_first, max_relative_distance).eval()


def random_rows(lengths) -> torch.Tensor:
    return torch.randn(sum(lengths), SIZE, generator=torch.Generator().manual_seed(sum(lengths)))


def torch_layer(layer: TransformerLayer) -> nn.TransformerEncoderLayer:
    """torch's layer with the same weights."""
    other = nn.TransformerEncoderLayer(
        SIZE, HEADS, INTERMEDIATE, dropout=0.0, batch_first=True, norm_first=layer.norm_first
    )
    other.self_attn.in_proj_weight.data = layer.query_key_value.weight.data
    other.self_attn.in_proj_bias.data = layer.query_key_value.bias.data
    for theirs, ours in (
        (other.self_attn.out_proj, layer.attention_output),
        (other.linear1, layer.intermediate),
        (other.linear2, layer.output),
        (other.norm1, layer.attention_norm),
        (other.norm2, layer.output_norm),
    ):
        theirs.load_state_dict(ours.state_dict())
    return other.eval()


class TestDialogueTransformer:
    @pytest.mark.parametrize("norm_first", [False, True])
    @given(lengths=batches_of_lengths)
    def test_it_is_torchs_encoder_on_each_dialogue_alone(self, norm_first, lengths):
        encoder, rows = make_transformer(norm_first=norm_first), random_rows(lengths)
        expected = []
        for dialogue in rows.split(lengths):
            block = dialogue[None]
            for layer in encoder.layers:
                block = torch_layer(layer)(block)
            expected.append(encoder.final_norm(block[0]))
        torch.testing.assert_close(encoder(rows, make_layout(lengths)), torch.cat(expected), rtol=1e-4, atol=1e-5)

    def test_the_papers_form_knows_no_order(self):
        encoder, rows = make_transformer(), random_rows([7])
        order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
        layout = make_layout([7])
        torch.testing.assert_close(encoder(rows[order], layout), encoder(rows, layout)[order])

    def test_with_a_position_bias_the_order_counts(self):
        encoder, rows, layout = make_transformer(max_relative_distance=2), random_rows([4]), make_layout([4])
        without = encoder(rows, layout)
        torch.testing.assert_close(without, make_transformer()(rows, layout))  # it begins at zero
        nn.init.normal_(encoder.position_bias.table)
        flipped = encoder(rows.flip(0), layout).flip(0)
        assert (flipped - encoder(rows, layout)).abs().max() > 1e-3

    @pytest.mark.parametrize("max_relative_distance", [0, 3])
    def test_other_dialogues_and_padding_take_no_part(self, max_relative_distance):
        encoder, lengths = make_transformer(max_relative_distance=max_relative_distance), [2, 9, 1]
        if encoder.position_bias is not None:
            nn.init.normal_(encoder.position_bias.table)
        rows = random_rows(lengths)
        together = encoder(rows, make_layout(lengths)).split(lengths)
        for dialogue, length, output in zip(rows.split(lengths), lengths, together, strict=True):
            torch.testing.assert_close(encoder(dialogue, make_layout([length])), output, rtol=1e-4, atol=1e-6)

    def test_a_window_of_the_longest_dialogue_is_no_window(self):
        lengths = [9, 40, 3]
        whole, rows = make_transformer(max_relative_distance=3), random_rows(lengths)
        windowed = DialogueTransformer(SIZE, 2, HEADS, INTERMEDIATE, 0.0, max_relative_distance=3, window=40).eval()
        windowed.load_state_dict(whole.state_dict())
        layout = make_layout(lengths)
        torch.testing.assert_close(windowed(rows, layout), whole(rows, layout), rtol=1e-4, atol=1e-6)

    def test_what_lies_beyond_the_window_of_every_layer_does_not_matter(self):
        encoder = DialogueTransformer(SIZE, 2, HEADS, INTERMEDIATE, 0.0, window=4).eval()
        rows, layout = random_rows([60]), make_layout([60])
        changed = rows.clone()
        changed[20] += 1
        moved = (encoder(changed, layout) - encoder(rows, layout)).abs().amax(1) > 1e-6
        assert moved.nonzero().flatten().tolist() == list(range(12, 29))  # two layers of 4 on either side
        assert encoder.reach == Reach(past=8, future=8)

    def test_a_causal_one_reaches_back_alone(self):
        encoder = DialogueTransformer(SIZE, 2, HEADS, INTERMEDIATE, 0.0, window=4, causal=True).eval()
        rows, layout = random_rows([60]), make_layout([60])
        changed = rows.clone()
        changed[20] += 1
        moved = (encoder(changed, layout) - encoder(rows, layout)).abs().amax(1) > 1e-6
        assert moved.nonzero().flatten().tolist() == list(range(20, 29))
        assert encoder.reach == Reach(past=8)

    def test_dropout_is_for_training_only(self):
        encoder = DialogueTransformer(SIZE, 1, HEADS, INTERMEDIATE, dropout=0.5)
        rows, layout = random_rows([6]), make_layout([6])
        assert not torch.equal(encoder.train()(rows, layout), encoder(rows, layout))
        assert torch.equal(encoder.eval()(rows, layout), encoder(rows, layout))

    def test_without_layers_the_rows_come_out_as_they_are(self):
        rows = random_rows([3])
        assert torch.equal(make_transformer(num_layers=0)(rows, make_layout([3])), rows)

    def test_heads_that_do_not_divide_the_width_are_refused(self):
        with pytest.raises(ValueError, match=r"num_attention_heads=5 .* width 12"):
            DialogueTransformer(SIZE, 1, 5, INTERMEDIATE, 0.0)


class TestDialogueGRU:
    @pytest.mark.parametrize("causal", [False, True])
    @given(lengths=batches_of_lengths)
    def test_it_is_torchs_gru_on_each_dialogue_alone(self, causal, lengths):
        torch.manual_seed(0)
        encoder, rows = DialogueGRU(SIZE, 2, 0.0, causal).eval(), random_rows(lengths)
        expected = []
        for dialogue in rows.split(lengths):
            block = dialogue[None]
            for layer in encoder.layers:
                other = nn.GRU(SIZE, SIZE if causal else SIZE // 2, batch_first=True, bidirectional=not causal)
                other.load_state_dict(layer.state_dict())
                block, _ = other(block)
            expected.append(block[0])
        torch.testing.assert_close(encoder(rows, make_layout(lengths)), torch.cat(expected), rtol=1e-4, atol=1e-6)

    def test_an_odd_width_is_refused(self):
        with pytest.raises(ValueError, match="even width, got 13; set contextual_size"):
            DialogueGRU(13, 1, 0.0)
        DialogueGRU(13, 1, 0.0, causal=True)
