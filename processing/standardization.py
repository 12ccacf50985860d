"""Standardisation of each modality: mean and deviation are learnt from the training set and applied everywhere."""

from collections.abc import Iterable, Mapping

import numpy as np

from .dialogues import MODALITIES

# A dimension that never varies in training tells nothing: it is centred, but not blown up. Features come in float32,
# and a deviation of a few units in the last place of the mean is rounding: 1000 ± 1e-4 made a 1001 into 9651.
_ROUNDING = 4 * float(np.finfo(np.float32).eps)
_SMALLEST_DEVIATION = 1e-12


def feature_statistics(vectors: Iterable[np.ndarray], size: int) -> dict[str, list[float]]:
    """Return mean and standard deviation of each dimension, as JSON-ready lists of `size` floats.

    Args:
        vectors: feature vectors (size,) of the utterances that have the modality.
        size: size of the vectors. Without any vector, the statistics leave features as they are.
    """
    count, mean, squares = 0, np.zeros(size), np.zeros(size)
    for vector in vectors:  # Welford: one pass, no cancellation on large offsets
        count += 1
        delta = vector - mean
        mean += delta / count
        squares += delta * (vector - mean)
    deviation = np.sqrt(squares / count) if count else np.ones(size)
    deviation[deviation < np.maximum(_ROUNDING * np.abs(mean), _SMALLEST_DEVIATION)] = 1.0
    return {"mean": _as_floats(mean), "std": _as_floats(deviation)}


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
        if not all(deviation > 0 for deviation in given["std"]):
            raise ValueError(f"feature_statistics of {modality}: every 'std' must be above 0")


def _as_floats(values: np.ndarray) -> list[float]:
    # Through float32, so that what is saved as JSON is exactly what is applied.
    return [float(value) for value in values.astype(np.float32)]
