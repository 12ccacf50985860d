"""LMAM's matching and its hosts."""

import pytest
import torch

from joyful_hf import JoyfulProcessor, LMAMConfig, LMAMForEmotionRecognition
from joyful_hf.modeling.matching_attention import MatchingAttention
from tests.support.helpers import hide_modalities, make_dialogues, make_layout

SIZES = {"projection_size": 8, "global_size": 5, "party_size": 4, "emotion_size": 3, "hidden_dropout_prob": 0.0}


def make(host, **settings):
    dialogues = make_dialogues()
    processor = JoyfulProcessor.from_dialogues(dialogues)
    torch.manual_seed(0)
    model = LMAMForEmotionRecognition(LMAMConfig(**(SIZES | processor.model_kwargs() | {"host": host} | settings)))
    return model.eval(), processor(dialogues, return_tensors="pt")


def test_a_product_of_full_rank_is_the_whole_matrix():
    torch.manual_seed(0)
    whole, product = MatchingAttention(4, bounded=True), MatchingAttention(4, bounded=True, rank=4)
    with torch.no_grad():
        product.transform[0].weight.copy_(torch.eye(4))
        product.transform[1].weight.copy_(whole.transform.weight)
        product.transform[1].bias.copy_(whole.transform.bias)
    rows, layout = torch.randn(7, 4), make_layout([3, 4])
    torch.testing.assert_close(product(rows, layout), whole(rows, layout))


def test_nobody_finds_what_is_not_remembered():
    torch.manual_seed(0)
    matching, rows = MatchingAttention(4, bounded=True), torch.randn(5, 4)
    present = torch.tensor([True, False, True, True, False])[:, None]
    found = matching(rows, make_layout([5]), rows, present)
    weights = torch.tanh(matching.transform(rows) @ rows.T).masked_fill(~present.T, -torch.inf).softmax(-1)
    torch.testing.assert_close(found, weights @ rows)
    assert torch.isfinite(matching(rows, make_layout([5]), rows, torch.zeros_like(present))).all()


@pytest.mark.parametrize("host", ["bc_lstm", "dialogue_rnn"])
def test_rank_saves_parameters(host):
    def count(model):
        return sum(parameter.numel() for parameter in model.lmam.matching.parameters())

    assert count(make(host, rank=2)[0]) == 2 * 2 * 8 + 8
    assert count(make(host, rank=None)[0]) == 8 * 8 + 8


@pytest.mark.parametrize("host", ["bc_lstm", "dialogue_rnn"])
def test_a_modality_that_no_utterance_has_finds_nothing(host):
    model, batch = make(host)
    present = torch.ones(38, 3, dtype=torch.bool)
    present[:, 1] = False
    expected = model(**hide_modalities(batch, present)).logits
    with torch.no_grad():
        for parameter in model.lmam.projections["audio"].parameters():
            parameter.add_(1.0)
    torch.testing.assert_close(model(**hide_modalities(batch, present)).logits, expected)


def test_the_mean_of_the_texts_layers_is_read():
    model, batch = make("dialogue_rnn", text_layers=3, text_norm="none")
    permuted = dict(batch)
    permuted["text_features"] = batch["text_features"].view(38, 3, 4).flip(1).reshape(38, 12)
    torch.testing.assert_close(model(**permuted).logits, model(**batch).logits)


def test_the_hosts_differ_in_whether_they_read_who_speaks():
    for host, reads in (("bc_lstm", False), ("dialogue_rnn", True)):
        model, batch = make(host)
        other = batch | {"speaker_ids": torch.zeros_like(batch["speaker_ids"])}
        assert ((model(**other).logits - model(**batch).logits).abs().max() > 1e-6) == reads
