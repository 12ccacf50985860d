"""Class weights that make up for rare classes."""

from collections.abc import Iterable

import numpy as np

from ..processing import DialogueError, EncodedExample
from ..processing.labels import IGNORED_LABEL

# How far the weights of rare classes are raised unless asked otherwise: chosen on MELD's validation dialogues.
DEFAULT_CLASS_BALANCE = 0.4


def balanced_class_weights(examples: Iterable[EncodedExample], num_labels: int, power: float = 1.0) -> list[float]:
    """Weight of each class: the inverse of its frequency among the labelled utterances, to this power.

    A class of average frequency has weight 1.

    Raises:
        DialogueError: labels that are no classes.
    """
    counts = np.zeros(num_labels)
    for example in examples:
        labels = example.labels
        if labels is None or labels.dtype != np.int64:
            raise DialogueError("class_balance needs one class label an utterance")
        known = labels[labels != IGNORED_LABEL]
        counts += np.bincount(known, minlength=num_labels)
    return ((counts.sum() / (num_labels * np.maximum(counts, 1))) ** power).tolist()
