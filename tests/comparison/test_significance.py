"""Scores from counts by dialogue, and tests of whether two models differ."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import EvalPrediction

from joyful_hf import compute_metrics
from joyful_hf.comparison.significance import dialogue_counts, difference, holm, main_score, score_interval
from joyful_hf.evaluation.task import TASKS

NUM_LABELS = 3


def random_rows(problem_type, lengths, rng):
    """Logits and labels of dialogues, some of them unknown."""
    size = sum(lengths)
    num_labels = 1 if problem_type == "regression" else NUM_LABELS
    logits = rng.normal(size=(size, num_labels))
    if problem_type == "single_label_classification":
        labels = rng.integers(-1, NUM_LABELS, size)
        labels = np.where(labels < 0, -100, labels)
    elif problem_type == "regression":
        labels = rng.normal(size=size)
        labels[rng.random(size) < 0.2] = np.nan
    else:
        labels = (rng.random((size, num_labels)) < 0.5).astype(float)
        labels[rng.random(size) < 0.2] = np.nan
    return logits, labels


@pytest.mark.parametrize("problem_type", TASKS)
@given(seed=st.integers(0, 1000), lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_the_score_of_summed_counts_is_the_metric(problem_type, seed, lengths):
    logits, labels = random_rows(problem_type, lengths, np.random.default_rng(seed))
    counts = dialogue_counts(problem_type, logits, labels, lengths, logits.shape[-1])
    assert len(counts) == len(lengths)
    metrics = compute_metrics(EvalPrediction(logits, labels), None, problem_type)
    expected = metrics.get(TASKS[problem_type].main_metric, 0)
    assert main_score(problem_type, counts.sum(0)) == pytest.approx(expected)


def counts_of(predictions, gold, lengths):
    """Counts (seeds, dialogues, classes, classes) of predicted classes."""
    one_hot = np.eye(NUM_LABELS)
    return np.stack(
        [
            dialogue_counts("single_label_classification", one_hot[predicted], gold, lengths, NUM_LABELS)
            for predicted in predictions
        ]
    )


@pytest.fixture
def two_models():
    """Two models on six dialogues with two seeds: the first is right more often."""
    rng, lengths = np.random.default_rng(0), [3, 5, 2, 4, 6, 3]
    gold = rng.integers(NUM_LABELS, size=sum(lengths))

    def predictions(share):
        return [np.where(rng.random(len(gold)) < share, gold, (gold + 1) % NUM_LABELS) for _ in range(2)]

    return counts_of(predictions(0.9), gold, lengths), counts_of(predictions(0.6), gold, lengths)


def test_the_permutation_test_swaps_whole_dialogues(two_models):
    one, other = two_models
    found = difference("single_label_classification", one, other)

    def effect(first, second):
        return np.mean([main_score("single_label_classification", counts.sum(0)) for counts in first]) - np.mean(
            [main_score("single_label_classification", counts.sum(0)) for counts in second]
        )

    all_effects = []
    for swaps in itertools.product([False, True], repeat=one.shape[1]):
        swapped = np.array(swaps)[None, :, None, None]
        all_effects.append(effect(np.where(swapped, other, one), np.where(swapped, one, other)))
    all_effects = np.array(all_effects)
    assert found.effect == pytest.approx(effect(one, other))
    # Two-sided, as scipy has it: twice the smaller of both tails.
    tails = [(all_effects >= found.effect - 1e-12).mean(), (all_effects <= found.effect + 1e-12).mean()]
    assert found.p == pytest.approx(min(1, 2 * min(tails)))


def test_the_interval_draws_whole_dialogues(two_models):
    one, other = two_models
    found = difference("single_label_classification", one, other, resamples=4000)
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(4000):
        rows = rng.integers(one.shape[1], size=one.shape[1])
        scores = [main_score("single_label_classification", counts[:, rows].sum(1)).mean() for counts in (one, other)]
        drawn.append(scores[0] - scores[1])
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.02)
    low, high = score_interval("single_label_classification", one)
    assert low < main_score("single_label_classification", one.sum(1)).mean() < high


def test_a_model_does_not_differ_from_itself(two_models):
    found = difference("single_label_classification", two_models[0], two_models[0])
    assert (found.effect, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_holm_multiplies_the_smallest_by_their_number_and_keeps_the_order():
    corrected = holm({"a": 0.04, "b": 0.01, "c": 0.03})
    assert corrected == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
