"""Standardisation of each modality: mean and deviation are learnt from the training set and applied everywhere."""

from collections.abc import Iterable

import numpy as np

# A dimension that never varies in training tells nothing: it is centred, but not blown up.
MINIMAL_DEVIATION = 1e-6


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
    deviation[deviation < MINIMAL_DEVIATION] = 1.0
    return {"mean": _as_floats(mean), "std": _as_floats(deviation)}


def _as_floats(values: np.ndarray) -> list[float]:
    # Through float32, so that what is saved as JSON is exactly what is applied.
    return [float(value) for value in values.astype(np.float32)]
