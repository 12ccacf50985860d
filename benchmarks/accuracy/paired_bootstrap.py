"""A paired bootstrap over dialogues: how far a difference of weighted F1 is chance of the test dialogues.

Dialogues are drawn with replacement, all utterances of a dialogue together, since they are not independent. The same
draw is scored for every system. A system's score of a draw is the mean over its seeds, so an interval speaks of the
mean over these seeds on other dialogues of the same kind. It does not cover the choice of the training dialogues, and
the chance of training only so far as the seeds at hand do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from joyful_hf.processing.labels import IGNORED_LABEL

RESAMPLES = 10_000
_RESAMPLES_PER_CHUNK = 500


def confusion_counts(gold: Sequence[Sequence[int]], predicted: Sequence[Sequence[int]], num_labels: int) -> np.ndarray:
    """(dialogues, num_labels, num_labels) utterances of each true and predicted class; unknown labels do not count."""
    counts = np.zeros((len(gold), num_labels, num_labels), np.int64)
    for dialogue, (true, found) in enumerate(zip(gold, predicted, strict=True)):
        known = np.asarray(true) != IGNORED_LABEL
        np.add.at(counts[dialogue], (np.asarray(true)[known], np.asarray(found)[known]), 1)
    return counts


def weighted_f1(confusion: np.ndarray) -> np.ndarray:
    """(..., true, predicted) counts -> (...) F1 of each class, averaged by how often it is true."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, predicted = confusion.sum(-1), confusion.sum(-2)
    f1 = 2 * right / np.maximum(true + predicted, 1)
    return (f1 * true).sum(-1) / np.maximum(true.sum(-1), 1)


@dataclass(frozen=True)
class Difference:
    """One score minus another."""

    value: float
    """On the test dialogues as they are."""
    low: float
    high: float
    """The 95 % interval between the percentiles."""
    p: float
    """Two-sided: twice the share of draws on the rarer side of 0, counting the dialogues themselves as one draw."""

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


class PairedBootstrap:
    """The scores of several systems on the same draws of dialogues.

    Args:
        confusions: system -> (seeds, dialogues, num_labels, num_labels) counts.
        resamples: draws.
        seed: of the draws.
    """

    def __init__(self, confusions: Mapping[str, np.ndarray], resamples: int = RESAMPLES, seed: int = 0) -> None:
        self.scores = {name: float(weighted_f1(counts.sum(1)).mean()) for name, counts in confusions.items()}
        drawn: dict[str, list[np.ndarray]] = {name: [] for name in confusions}
        num_dialogues = next(iter(confusions.values())).shape[1]
        generator = np.random.default_rng(seed)
        for first in range(0, resamples, _RESAMPLES_PER_CHUNK):
            size = min(_RESAMPLES_PER_CHUNK, resamples - first)
            # How often each dialogue was drawn.
            times = generator.multinomial(num_dialogues, np.full(num_dialogues, 1 / num_dialogues), size).astype(float)
            for name, counts in confusions.items():
                # As a matrix product, by BLAS: (draws, dialogues) x (dialogues, seeds * classes * classes).
                per_dialogue = np.moveaxis(counts, 1, 0)
                sums = times @ per_dialogue.reshape(num_dialogues, -1)
                drawn[name].append(weighted_f1(sums.reshape(size, *per_dialogue.shape[1:])).mean(-1))
        self.drawn = {name: np.concatenate(parts) for name, parts in drawn.items()}

    def difference(self, better: str, *others: str) -> Difference:
        """One system's score minus the mean of the others'."""
        drawn = self.drawn[better] - np.mean([self.drawn[other] for other in others], axis=0)
        low, high = np.percentile(drawn, [2.5, 97.5])
        rarer = min((drawn <= 0).sum(), (drawn >= 0).sum())
        value = self.scores[better] - np.mean([self.scores[other] for other in others])
        return Difference(float(value), float(low), float(high), float(min(1, 2 * (1 + rarer) / (1 + len(drawn)))))
