"""ICCL and IMCL against their formulas, in plain loops."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf.modeling.emotion_pairs import EmotionPairs
from joyful_hf.modeling.processes import Processes
from joyful_hf.modeling.supervised_contrast import (
    emotion_contrast,
    inter_modal_pairs,
    intra_modal_pairs,
    supervised_contrastive_loss,
)

NAMES = ("text", "audio", "visual")
labels_of_batches = st.lists(st.sampled_from([-100, 0, 1, 2]), min_size=1, max_size=9)
subsets = st.sampled_from([NAMES, NAMES[:2], NAMES[2:]])
temperatures = st.sampled_from([0.1, 0.5, 2.0])


def intra_modal_loss(rows, present, labels, temperature, pairs=intra_modal_pairs):
    present = {name: here.squeeze(-1) for name, here in present.items()}
    emotions = EmotionPairs.of(present, labels, Processes(len(labels), together=False))
    return emotion_contrast(rows, rows, emotions, pairs(rows), temperature).sum()


def inter_modal_loss(rows, present, labels, temperature):
    return intra_modal_loss(rows, present, labels, temperature, inter_modal_pairs)


def make(labels, names):
    generator = torch.Generator().manual_seed(len(labels))
    rows = {name: torch.randn(len(labels), 4, generator=generator) for name in names}
    present = {name: torch.rand(len(labels), 1, generator=generator) < 0.7 for name in names}
    return rows, present, torch.tensor(labels)


def log_softmaxes(anchor, candidates, temperature):
    scores = [float(torch.cosine_similarity(anchor, candidate, dim=0)) / temperature for candidate in candidates]
    total = math.log(sum(map(math.exp, scores)))
    return [score - total for score in scores]


def by_hand(rows, present, labels, temperature, pairs):
    """Sum over the pairs of modalities of the mean over anchors with a positive."""
    total = 0.0
    for asking, asked in pairs:
        terms = []
        for i, label in enumerate(labels):
            others = [
                j
                for j, known in enumerate(labels)
                if known != -100 and present[asked][j] and (asking != asked or j != i)
            ]
            if label == -100 or not present[asking][i] or not any(labels[j] == label for j in others):
                continue
            logs = log_softmaxes(rows[asking][i], [rows[asked][j] for j in others], temperature)
            positive = [log for j, log in zip(others, logs, strict=True) if labels[j] == label]
            terms.append(-sum(positive) / len(positive))
        total += sum(terms) / len(terms) if terms else 0.0
    return total


@given(labels_of_batches, subsets, temperatures)
def test_intra_modal_is_the_formula(labels, names, temperature):
    rows, present, target = make(labels, names)
    expected = by_hand(rows, present, labels, temperature, [(name, name) for name in names])
    assert float(intra_modal_loss(rows, present, target, temperature)) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@given(labels_of_batches, subsets.filter(lambda names: len(names) > 1), temperatures)
def test_inter_modal_is_the_formula(labels, names, temperature):
    rows, present, target = make(labels, names)
    pairs = [(asking, asked) for asking in names for asked in names if asking != asked]
    expected = by_hand(rows, present, labels, temperature, pairs)
    assert float(inter_modal_loss(rows, present, target, temperature)) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("loss", [intra_modal_loss, inter_modal_loss])
class TestWhoTakesPart:
    def gradients(self, loss, labels, presence=1.0):
        rows, present, target = make(labels, NAMES)
        present = {name: here | (presence == 1) for name, here in present.items()}
        rows = {name: nodes.requires_grad_() for name, nodes in rows.items()}
        value = loss(rows, present, target, 0.5)
        value.backward()
        return value, {name: nodes.grad.abs().sum(-1) > 0 for name, nodes in rows.items()}, present

    def test_an_unlabelled_utterance_does_not(self, loss):
        _, moved, _ = self.gradients(loss, [0, 1, -100, 0, 1, -100])
        for rows in moved.values():
            assert rows.tolist() == [True, True, False, True, True, False]

    def test_an_utterance_without_the_modality_does_not(self, loss):
        _, moved, present = self.gradients(loss, [0] * 4 + [1] * 5, presence=0.7)
        assert any(not here.all() for here in present.values())
        for name, rows in moved.items():
            assert not (rows & ~present[name].squeeze(-1)).any()

    def test_nothing_labelled_is_a_loss_of_zero_with_a_gradient(self, loss):
        value, moved, _ = self.gradients(loss, [-100] * 4)
        assert float(value.detach()) == 0
        assert not any(rows.any() for rows in moved.values())


def test_an_anchor_without_a_positive_is_skipped():
    rows, present, _ = make([0] * 5, NAMES[:1])
    present = {"text": torch.ones(5, 1, dtype=torch.bool)}
    alone = intra_modal_loss(rows, present, torch.tensor([0, 1, 2, 3, 4]), 0.5)
    assert float(alone) == 0
    assert torch.isfinite(alone)


def test_it_is_lowest_where_emotions_lie_together():
    labels = torch.tensor([0, 0, 1, 1])
    present = dict.fromkeys(NAMES, torch.ones(4, 1, dtype=torch.bool))
    together = dict.fromkeys(NAMES, torch.eye(2).repeat_interleave(2, 0))
    mixed = dict.fromkeys(NAMES, torch.eye(2).repeat(2, 1))
    for loss in (intra_modal_loss, inter_modal_loss):
        assert loss(together, present, labels, 0.5) < loss(mixed, present, labels, 0.5)


def test_it_is_computed_in_full_precision_under_autocast():
    rows = torch.randn(6, 4)
    everything = torch.ones(6, 6, dtype=torch.bool)
    positives = torch.eye(6, dtype=torch.bool)
    exact = supervised_contrastive_loss(rows, rows, positives, everything, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(supervised_contrastive_loss(rows, rows, positives, everything, 0.1), exact)
