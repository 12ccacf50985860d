"""Inputs that are unlike those of the training set: counted where dialogues are encoded, and told of once.

Probabilities say nothing of it: a network that has seen nothing like its input is often certain. So a processor keeps
of its training utterances how many had each modality, and how far their vectors lay from the mean (root mean square of
the standardised vector, 1 on average): the distance that 99 of 100 do not exceed.

Measured: 0 to 5.5 % of held-out utterances of the same corpus lie farther (MELD, CMU-MOSI, the toy corpus), and 90 to
100 % where an extractor's numbers are in another order or on another scale. No held-out set is told of, nor one of the
694 held-out dialogues of MELD and the toy corpus, each by itself; 2 of the 31 test videos of CMU-MOSI are. Whatever
lies as near to the mean as the training set is not noticed, however strange: noise of its mean and deviation.
"""

import logging
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .dialogues import MEDIA_KEYS, MODALITIES

logger = logging.getLogger(__name__)

UsualInputs = Mapping[str, Mapping[str, float]]
"""Modality -> "share" of the training utterances that had it, and the "distance" that 99 % of these do not exceed."""

USUAL = 0.99
"""Share of the training utterances within the distance; also of those that have a modality that is always there."""
LEAST_SHARE = 0.25
"""Share of the utterances with a modality that lie farther than that, or of those that lack it, before it is told."""
LEAST_COUNT = 3
"""Number of such utterances before it is told; fewer if one lies more than twice as far."""


def distances(standardised: np.ndarray) -> np.ndarray:
    """Return how far each vector (n, size) lies from the training set's mean, (n,)."""
    return np.sqrt(np.square(standardised, dtype=np.float64).mean(axis=-1))


def check_usual(usual: UsualInputs) -> None:
    """Raise a ValueError unless these are shares and distances of modalities."""
    for modality, values in usual.items():
        is_whole = "share" in values and values.keys() <= {"share", "distance"}
        if modality not in MODALITIES or not is_whole or min(values.values()) < 0:
            raise ValueError(
                f"usual_inputs hold {modality!r}: {dict(values)}; they give 'share' and 'distance' of "
                f"{', '.join(MODALITIES)}"
            )


class InputCounts:
    """Counts of unusual inputs over everything that was encoded."""

    def __init__(self, usual: UsualInputs) -> None:
        self.usual = usual
        self.utterances = 0
        self.absent = dict.fromkeys(usual, 0)
        self.distances = {name: _Distances(values.get("distance", np.inf)) for name, values in usual.items()}

    def add(self, examples: Iterable[Any], weights: Mapping[str, float] | None) -> None:
        """Count what was encoded.

        Args:
            weights: modality -> factor of its standardised vectors.
        """
        for example in examples:
            self.utterances += len(example)
            for modality, values in self.usual.items():
                present = example.present[:, MODALITIES.index(modality)]
                self.absent[modality] += int((~present).sum())
                weight = (weights or {}).get(modality, 1.0)
                if "distance" in values and weight and present.any():
                    self.distances[modality].add(distances(example.features[modality][present] / weight))

    def absences(self) -> list[str]:
        """Say which modalities of the training set are not here."""
        return [
            f"{self.absent[modality]} of {self.utterances} utterances have no {MEDIA_KEYS[modality]}, which "
            f"{values['share']:.0%} of the training utterances had"
            for modality, values in self.usual.items()
            if values["share"] >= USUAL and self.absent[modality] > LEAST_SHARE * self.utterances
        ]

    def far_away(self) -> list[str]:
        """Say which modalities lie farther from the training set's mean than its own utterances."""
        found = []
        for modality, counts in self.distances.items():
            limit, count = counts.limit, counts.far
            if count > LEAST_SHARE * counts.utterances and (count >= LEAST_COUNT or counts.farthest > 2 * limit):
                found.append(
                    f"the {MEDIA_KEYS[modality]} of {count} of {counts.utterances} utterances lies farther from the "
                    f"training set's mean than {USUAL:.0%} of the training utterances ({limit:.2f}; the median here "
                    f"is {counts.median():.2f})"
                )
        return found


class _Distances:
    """The distances of vectors from the mean, in memory that does not grow with their number."""

    most_kept = 2**16

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.utterances = self.far = 0
        self.farthest = 0.0
        self._kept = array("d")

    def add(self, values: np.ndarray) -> None:
        if self.utterances < self.most_kept:
            self._kept.frombytes(values.tobytes())
        self.utterances += len(values)
        self.far += int((values > self.limit).sum())
        self.farthest = max(self.farthest, float(values.max()))

    def median(self) -> float:
        """Return the median of the first ones."""
        return float(np.median(np.frombuffer(self._kept)))


def warn_of_unusual(counts: InputCounts) -> None:
    """Log one warning of what is unlike the training set, if anything is."""
    absent, far = counts.absences(), counts.far_away()
    if absent or far:
        logger.warning(
            "unlike the training data: %s; %sscores are no measure of certainty there: check them on labelled "
            "dialogues of this kind, or fine-tune on some",
            "; ".join(absent + far),
            "other recordings, another extractor or another scale do this, and " if far else "",
        )
