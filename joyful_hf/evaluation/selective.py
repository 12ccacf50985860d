"""Selective prediction: how often a model is right if it may keep silent where it is least sure."""

from dataclasses import dataclass

import numpy as np

from ..processing.labels import MULTI_LABEL, SINGLE_LABEL
from .task import task_of

REPORTED_COVERAGES = (0.5, 0.8)


@dataclass(frozen=True)
class SelectiveCurve:
    """Accuracy among the surest predictions, for every share of them; no points without a known label."""

    coverage: np.ndarray
    """(points,) share of the predictions that are made, ascending to 1. Equally sure ones come together."""
    accuracy: np.ndarray
    """(points,) share of those that are right."""

    def accuracy_at(self, coverage: float) -> float:
        """Return the accuracy where at least this share of the predictions is made; NaN without a point."""
        if not len(self.coverage):
            return float("nan")
        return float(self.accuracy[np.searchsorted(self.coverage, coverage - 1e-9)])


def selective_curve(scores: np.ndarray, labels: np.ndarray) -> SelectiveCurve:
    """Order predictions by how sure they are.

    Args:
        scores: (N, num_labels) probabilities.
        labels: (N,) classes, and a prediction is the most probable class; or (N, num_labels) 0 or 1 for several labels
            at once, and each of them is predicted to be there or not. -100 where unknown, in the whole row.
    """
    labels = np.asarray(labels)
    task = task_of(MULTI_LABEL if labels.ndim == 2 else SINGLE_LABEL)
    certainty, right = task.judge(*task.labelled_rows(scores, labels))
    if task.several_labels:  # which judges that a label is there; to be sure that it is not counts as well
        is_there = certainty > 0.5
        certainty, right = np.where(is_there, certainty, 1 - certainty), right == is_there
    order = np.argsort(-certainty, kind="stable")
    certainty, made = certainty[order], np.arange(1, len(order) + 1)
    ends = np.append(certainty[1:] != certainty[:-1], True)[: len(order)]
    return SelectiveCurve((made / max(len(order), 1))[ends], (np.cumsum(right[order]) / made)[ends])


def selective_metrics(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return `accuracy_at_50_coverage` and `accuracy_at_80_coverage`: the accuracy of that share, the surest ones."""
    curve = selective_curve(scores, labels)
    return {f"accuracy_at_{share * 100:.0f}_coverage": curve.accuracy_at(share) for share in REPORTED_COVERAGES}
