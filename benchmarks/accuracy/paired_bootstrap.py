"""A paired bootstrap over dialogues: how far a difference in weighted F1 may be due to the choice of test dialogues.

Dialogues are drawn with replacement, all utterances of a dialogue together, since they are not independent. Every
system is scored on the same draws. The score of a system on a draw is the mean over its seeds, so an interval is about
the mean over these seeds on other dialogues of the same kind. It does not account for the choice of the training
dialogues, and accounts for chance in training only as far as these seeds do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from joyful_hf.comparison.significance import main_score
from joyful_hf.processing.labels import IGNORED_LABEL, SINGLE_LABEL

RESAMPLES = 10_000
_RESAMPLES_PER_CHUNK = 500


def confusion_counts(gold: Sequence[Sequence[int]], predicted: Sequence[Sequence[int]], num_labels: int) -> np.ndarray:
    """Count utterances by (dialogue, true class, predicted class); unknown labels do not count."""
    counts = np.zeros((len(gold), num_labels, num_labels), np.int64)
    for dialogue, (true, found) in enumerate(zip(gold, predicted, strict=True)):
        known = np.asarray(true) != IGNORED_LABEL
        np.add.at(counts[dialogue], (np.asarray(true)[known], np.asarray(found)[known]), 1)
    return counts


def weighted_f1(confusion: np.ndarray) -> np.ndarray:
    """(..., true, predicted) counts -> (...) F1 of the classes, weighted by their number of true utterances."""
    return main_score(SINGLE_LABEL, confusion)


@dataclass(frozen=True)
class Difference:
    """One score minus another."""

    value: float
    """Difference on the test dialogues themselves."""
    low: float
    high: float
    """Upper end of the 95 % percentile interval; `low` is its lower end."""
    p: float
    """Two-sided: twice the share of draws on the rarer side of 0, counting the dialogues themselves as one draw."""

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


class PairedBootstrap:
    """The scores of several systems on the same draws of dialogues.

    Args:
        confusions: system -> (seeds, dialogues, num_labels, num_labels) counts.
        resamples: number of draws.
        seed: seed of the draws.
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
        """Return the score of one system minus the mean of the others' scores."""
        drawn = self.drawn[better] - np.mean([self.drawn[other] for other in others], axis=0)
        low, high = np.percentile(drawn, [2.5, 97.5])
        rarer = min((drawn <= 0).sum(), (drawn >= 0).sum())
        value = self.scores[better] - np.mean([self.scores[other] for other in others])
        return Difference(float(value), float(low), float(high), float(min(1, 2 * (1 + rarer) / (1 + len(drawn)))))
