"""Of predictions, those whose label is known: what every score is made of."""

import numpy as np
from numpy.typing import ArrayLike

from ..processing.labels import IGNORED_LABEL, MULTI_LABEL, SINGLE_LABEL


def labelled_rows(
    rows: ArrayLike, labels: ArrayLike, problem_type: str = SINGLE_LABEL
) -> tuple[np.ndarray, np.ndarray]:
    """The predictions and the labels of the utterances whose label is known.

    Args:
        rows: (..., num_labels) logits or scores. Any leading shape will do: packed (N, ...) or padded (dialogues,
            utterances, ...).
        labels: (...) with -100 (or NaN) where unknown or padded; (..., num_labels) for several labels at once, unknown
            in the whole row.

    Returns:
        (known, num_labels) and (known,), or (known, num_labels) for several labels at once.
    """
    rows, labels = np.asarray(rows), np.asarray(labels)
    rows = rows.reshape(-1, rows.shape[-1])
    labels = labels.reshape(rows.shape if problem_type == MULTI_LABEL else -1)
    unknown = (labels == IGNORED_LABEL) | np.isnan(labels)
    known = ~(unknown.any(axis=-1) if unknown.ndim == 2 else unknown)
    return rows[known], labels[known]
