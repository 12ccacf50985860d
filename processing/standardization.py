"""Standardisation of each modality: mean and deviation are learnt from the training set and applied everywhere."""

import math
from collections.abc import Mapping

import numpy as np

from .dialogues import MODALITIES

# A dimension that never varies in training tells nothing: it is centred, but not blown up. Features come in float32,
# and a deviation of a few units in the last place of the mean is rounding: 1000 ± 1e-4 made a 1001 into 9651.
_ROUNDING = 4 * float(np.finfo(np.float32).eps)
_SMALLEST_DEVIATION = 1e-12


class RunningStatistics:
    """Mean and standard deviation of each dimension of the vectors (size,) of the utterances that have a modality."""

    def __init__(self, size: int) -> None:
        self.count = 0
        self._mean, self._squares = np.zeros(size), np.zeros(size)

    def add(self, vector: np.ndarray) -> None:
        """Take in one vector."""
        self.count += 1  # Welford: one pass, no cancellation on large offsets
        delta = vector - self._mean
        self._mean += delta / self.count
        self._squares += delta * (vector - self._mean)

    def result(self) -> dict[str, list[float]]:
        """Return `mean` and `std`, JSON-ready. Without any vector, the statistics leave features as they are."""
        deviation = np.sqrt(self._squares / self.count) if self.count else np.ones(len(self._mean))
        deviation[deviation < np.maximum(_ROUNDING * np.abs(self._mean), _SMALLEST_DEVIATION)] = 1.0
        return {"mean": _as_floats(self._mean), "std": _as_floats(deviation)}


def check_statistics(statistics: Mapping[str, Mapping[str, list[float]]], sizes: Mapping[str, int]) -> None:
    """Raise a ValueError unless the statistics fit a processor.

    Args:
        statistics: modality -> {"mean": [...], "std": [...]}.
        sizes: modality -> size of its vectors.
    """
    for modality, given in statistics.items():
        if modality not in MODALITIES or set(given) != {"mean", "std"}:
            raise ValueError(
                f"feature_statistics hold {modality!r}: {', '.join(map(repr, given)) or 'nothing'}; "
                f"they give 'mean' and 'std' of {', '.join(MODALITIES)}"
            )
        lengths = {len(given["mean"]), len(given["std"])}
        if lengths != {sizes[modality]}:
            raise ValueError(
                f"feature_statistics of {modality} have sizes {lengths}, {modality}_dim is {sizes[modality]}"
            )
        if not all(_is_finite(value) for values in given.values() for value in values):
            raise ValueError(f"feature_statistics of {modality}: every 'mean' and 'std' must be a finite number")
        if not all(deviation > 0 for deviation in given["std"]):
            raise ValueError(f"feature_statistics of {modality}: every 'std' must be above 0")


def _is_finite(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)


def _as_floats(values: np.ndarray) -> list[float]:
    # Through float32, so that what is saved as JSON is exactly what is applied.
    return [float(value) for value in values.astype(np.float32)]
