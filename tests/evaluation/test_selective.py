"""Accuracy against coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf.evaluation.selective import selective_curve, selective_metrics

SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]])


def test_the_surest_predictions_come_first():
    curve = selective_curve(SCORES, np.array([0, 1, 0, 1]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.accuracy.tolist() == pytest.approx([1, 1, 2 / 3, 1 / 2])
    assert curve.accuracy_at(0.5) == 1
    assert curve.accuracy_at(0.51) == pytest.approx(2 / 3)


def test_unknown_labels_do_not_count():
    assert selective_curve(SCORES, np.array([0, -100, 0, 1])).coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert np.isnan(selective_curve(SCORES, np.full(4, -100)).accuracy_at(0.5))


def test_to_be_sure_that_a_label_is_absent_counts_too():
    curve = selective_curve(np.array([[0.95, 0.1]]), np.array([[1, 1]]))
    assert curve.accuracy.tolist() == [1.0, 0.5]


@given(order=st.permutations(range(4)))
def test_equally_sure_predictions_come_together(order):
    scores, labels = np.full((4, 2), 0.5), np.array([0, 1, 0, 0])[list(order)]
    assert selective_metrics(scores, labels) == {"accuracy_at_50_coverage": 0.75, "accuracy_at_80_coverage": 0.75}
