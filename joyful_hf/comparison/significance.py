"""Whether two models differ: permutations and draws of whole dialogues, whose utterances are not independent.

The score of a model is the mean over its seeds. Both models are compared on the same dialogues and the same seeds, so
the tests are paired. They account for the choice of the test dialogues, not for that of the training dialogues.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..evaluation.task import task_of
from ..processing.labels import IGNORED_LABEL, MULTI_LABEL, SINGLE_LABEL

RESAMPLES = 9_999
_BATCH = 500
LEVEL = 0.05
"""A difference counts as one if its corrected p-value is below this."""


def dialogue_counts(
    problem_type: str, logits: np.ndarray, labels: np.ndarray, lengths: Sequence[int], num_labels: int
) -> np.ndarray:
    """Sum up per dialogue what the main metric is computed from; unknown labels do not count.

    Args:
        logits: (N, num_labels); labels: (N,) or (N, num_labels), of all dialogues, one after the other.
        lengths: number of utterances of each dialogue.

    Returns:
        One class per utterance: (dialogues, classes, classes), true by predicted. Several: (dialogues, labels, 3),
        true positives, false positives and false negatives. Regression: (dialogues, values, 2), absolute error and
        count.
    """
    dialogue = np.repeat(np.arange(len(lengths)), lengths)
    if problem_type == SINGLE_LABEL:
        counts = np.zeros((len(lengths), num_labels, num_labels))
        known = labels != IGNORED_LABEL
        np.add.at(counts, (dialogue[known], labels[known].astype(int), logits[known].argmax(-1)), 1)
        return counts
    rows = labels.reshape(len(logits), -1).astype(float)
    known = ~np.isnan(rows) & (rows != IGNORED_LABEL)
    if problem_type == MULTI_LABEL:
        true, predicted = (rows > 0.5) & known, (logits > 0) & known
        parts = [true & predicted, ~true & predicted, true & ~predicted]
    else:
        parts = [np.where(known, np.abs(logits - rows), 0), known]
    per_utterance = np.stack(parts, axis=-1).astype(float)
    counts = np.zeros((len(lengths), *per_utterance.shape[1:]))
    np.add.at(counts, dialogue, per_utterance)
    return counts


def main_score(problem_type: str, counts: np.ndarray) -> np.ndarray:
    """Compute the task's main metric from summed counts (..., classes, k): weighted F1, or the mean absolute error."""
    if problem_type == SINGLE_LABEL:
        right, true, predicted = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1), counts.sum(-2)
    elif problem_type == MULTI_LABEL:
        right, wrong, missed = np.moveaxis(counts, -1, 0)
        true, predicted = right + missed, right + wrong
    else:
        errors, known = np.moveaxis(counts, -1, 0)
        return (errors / np.maximum(known, 1)).mean(-1)
    f1 = 2 * right / np.maximum(true + predicted, 1)
    return (f1 * true).sum(-1) / np.maximum(true.sum(-1), 1)


@dataclass(frozen=True)
class Difference:
    """The score of one model minus that of another."""

    effect: float
    low: float
    high: float
    """Upper end of the 95 % interval over draws of the dialogues; `low` is its lower end."""
    p: float
    """Two-sided p-value of the paired permutation test over dialogues."""

    def __str__(self) -> str:
        return f"{self.effect:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


@dataclass(frozen=True)
class _Counts:
    """The counts of one model by dialogue, in the form in which sums of drawn dialogues are a matrix product."""

    problem_type: str
    flat: np.ndarray
    """(dialogues, seeds * counts)."""
    shape: tuple[int, ...]
    """Seeds and counts."""

    @classmethod
    def of(cls, problem_type: str, counts: np.ndarray) -> "_Counts":
        flat = np.moveaxis(counts, 1, 0).reshape(counts.shape[1], -1)
        return cls(problem_type, flat, (counts.shape[0], *counts.shape[2:]))

    def score(self, sums: np.ndarray) -> np.ndarray:
        """The mean over seeds, of sums (..., seeds * counts)."""
        return main_score(self.problem_type, sums.reshape(*sums.shape[:-1], *self.shape)).mean(-1)

    def score_of(self, rows: np.ndarray) -> np.ndarray:
        """The score on dialogues drawn with replacement: rows (..., dialogues) -> (...)."""
        size = len(self.flat)
        drawn = rows.reshape(-1, size).astype(int)
        cells = drawn + size * np.arange(len(drawn))[:, None]
        times = np.bincount(cells.ravel(), minlength=len(drawn) * size).reshape(len(drawn), size).astype(float)
        return self.score(times @ self.flat).reshape(rows.shape[:-1])


def score_interval(
    problem_type: str, counts: np.ndarray, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % interval of a model's score over draws of the dialogues: counts (seeds, dialogues, ...)."""
    one = _Counts.of(problem_type, counts)
    return _interval(one.score_of, len(one.flat), seed, resamples)


def difference(
    problem_type: str, one: np.ndarray, other: np.ndarray, seed: int = 0, resamples: int = RESAMPLES
) -> Difference:
    """Compare two models on the same seeds and dialogues.

    Args:
        one, other: (seeds, dialogues, ...) counts of each, as `dialogue_counts` makes them.
        seed: seed of the permutations and draws.
        resamples: number of each; all permutations where they are not more.
    """
    first, second = _Counts.of(problem_type, one), _Counts.of(problem_type, other)
    size = len(first.flat)

    def swapped(rows: np.ndarray, others: np.ndarray, axis: int) -> np.ndarray:
        """The difference where some dialogues have changed sides: rows below the number of dialogues are of `one`."""
        del others, axis
        kept = (rows < size).astype(float)
        sums, rest = kept @ first.flat + (1 - kept) @ second.flat, (1 - kept) @ first.flat + kept @ second.flat
        return first.score(sums) - first.score(rest)

    effect = float(first.score(first.flat.sum(0)) - second.score(second.flat.sum(0)))
    if size < 2 or np.array_equal(one, other):
        return Difference(effect, effect, effect, 1.0)
    tested = stats.permutation_test(
        (np.arange(size), np.arange(size) + size),
        swapped,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=_BATCH,
        rng=seed,
    )
    low, high = _interval(lambda rows: first.score_of(rows) - second.score_of(rows), size, seed, resamples)
    return Difference(effect, low, high, float(tested.pvalue))


def _interval(
    statistic: Callable[[np.ndarray], np.ndarray], num_dialogues: int, seed: int, resamples: int
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic of drawn rows (..., dialogues) -> (...)."""
    if num_dialogues < 2:
        only = float(statistic(np.zeros(num_dialogues, int)))
        return only, only
    found = stats.bootstrap(
        (np.arange(num_dialogues),),
        lambda rows, axis: statistic(rows),
        method="percentile",
        vectorized=True,
        n_resamples=resamples,
        batch=_BATCH,
        rng=seed,
    ).confidence_interval
    return float(found.low), float(found.high)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values for their number by Holm's step-down method."""
    corrected, highest = {}, 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        corrected[name] = highest
    return {name: corrected[name] for name in p_values}


def is_better(problem_type: str, one: float, other: float) -> bool:
    """Whether one main score is better than another."""
    task = task_of(problem_type)
    return one > other if task.greater_is_better(task.main_metric) else one < other
