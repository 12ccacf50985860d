"""Calibration: how far probabilities are from the share of right predictions, and the temperature that mends it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from ..processing.dialogues import DialogueError
from ..processing.labels import MULTI_LABEL, SINGLE_LABEL
from .task import Task, task_of

DEFAULT_NUM_BINS = 15
"""As in Guo et al. 2017, "On Calibration of Modern Neural Networks"."""
# Where the fitted temperature may lie. Beyond it, probabilities are all alike or all certain.
_LOWEST, _HIGHEST = 0.05, 20.0


@dataclass(frozen=True)
class ReliabilityBins:
    """Predictions by how sure they are, in bins of equal width from 0 to 1; NaN in the means of an empty bin."""

    confidence: np.ndarray
    """(bins,) mean probability."""
    accuracy: np.ndarray
    """(bins,) share of the predictions that are right."""
    count: np.ndarray
    """(bins,) number of predictions."""

    @property
    def error(self) -> float:
        """The expected calibration error: |confidence - accuracy|, averaged over the predictions."""
        if not self.count.sum():
            return float("nan")
        gaps = np.nan_to_num(np.abs(self.confidence - self.accuracy))
        return float(np.average(gaps, weights=self.count))


def _sorted_into_bins(confidence: np.ndarray, right: np.ndarray, num_bins: int) -> ReliabilityBins:
    """Bin predictions (N,) by how sure they are."""
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    count = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        return ReliabilityBins(
            confidence=np.bincount(bins, confidence, num_bins) / count,
            accuracy=np.bincount(bins, right, num_bins) / count,
            count=count,
        )


def reliability_bins(scores: np.ndarray, labels: np.ndarray, num_bins: int = DEFAULT_NUM_BINS) -> ReliabilityBins:
    """Sort predictions into bins of confidence.

    Args:
        scores: (N, num_labels) probabilities.
        labels: (N,) classes, and a prediction is the most probable class; or (N, num_labels) 0 or 1 for several labels
            at once, and every probability is a prediction. -100 where unknown, in the whole row.
    """
    labels = np.asarray(labels)
    task = task_of(MULTI_LABEL if labels.ndim == 2 else SINGLE_LABEL)
    return _sorted_into_bins(*task.judge(*task.labelled_rows(scores, labels)), num_bins)


def expected_calibration_error(scores: np.ndarray, labels: np.ndarray, num_bins: int = DEFAULT_NUM_BINS) -> float:
    """Return the mean distance of confidence and accuracy over the predictions, 0 to 1; NaN if no label is known.

    Args:
        scores, labels, num_bins: as in `reliability_bins`.
    """
    return reliability_bins(scores, labels, num_bins).error


def calibration_error_by_chance(
    scores: np.ndarray, labels: np.ndarray, num_bins: int = DEFAULT_NUM_BINS, draws: int = 100
) -> float:
    """Return the expected calibration error that a perfect model would have on as many predictions, NaN on none.

    The error of bins is never 0 on a sample: with 15 bins and 752 utterances of two classes it is about 0.03. Whether
    predictions are right is drawn with their probabilities; the same call gives the same value.

    Args:
        scores, labels, num_bins: as in `reliability_bins`; of the labels only matters which are known.
        draws: number of samples over which the error is averaged.
    """
    labels = np.asarray(labels)
    task = task_of(MULTI_LABEL if labels.ndim == 2 else SINGLE_LABEL)
    confidence, _ = task.judge(*task.labelled_rows(scores, labels))
    random = np.random.default_rng(0)
    errors = [
        _sorted_into_bins(confidence, random.random(len(confidence)) < confidence, num_bins).error
        for _ in range(draws)
    ]
    return float(np.mean(errors))


def fit_temperature(logits: ArrayLike, labels: ArrayLike, task: Task) -> float:
    """Find the temperature by which to divide the logits: the one that makes the labels likeliest (Guo et al. 2017).

    Dividing changes no ranking, and so no label. Labels are smoothed as in Platt (1999): a validation set without a
    mistake is no proof of certainty.

    Args:
        logits, labels: as `rows` and `labels` of `Task.labelled_rows`.
        task: one that has classes.

    Raises:
        DialogueError: no known label.
    """
    known_logits, known = task.labelled_rows(np.asarray(logits, np.float64), labels)
    if not len(known):
        raise DialogueError("calibration needs labels, and not one utterance has any")
    smoothing = 1 / (len(known) + 2)

    def loss(log_temperature: float) -> float:
        return task.log_loss(known_logits / np.exp(log_temperature), known, smoothing)

    found = minimize_scalar(loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return float(np.exp(found.x))
