"""Labels of utterances: strings, ints, lists of them, or floats -> arrays with a mark for 'unknown'."""

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from .dialogues import DialogueError, Utterance, utterance_name

IGNORED_LABEL = -100

SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
PROBLEM_TYPES = (SINGLE_LABEL, MULTI_LABEL, REGRESSION)


def problem_type_of(label: Any) -> str | None:
    """What one label says of the task: a list -> multi-label, a float -> regression, a string or int -> single."""
    if label is None:
        return None
    if isinstance(label, Real) and not isinstance(label, Integral):
        return REGRESSION
    if isinstance(label, Sequence | np.ndarray) and not isinstance(label, str | bytes):
        return MULTI_LABEL
    return SINGLE_LABEL


def label_index(label: Any, label2id: Mapping[str, int] | None, place: str) -> int:
    """The class index of a string or int label.

    Raises:
        DialogueError: a label that `label2id` does not know, or a string without any `label2id`.
    """
    if isinstance(label, str):
        if not label2id:
            raise DialogueError(f"{place}: label {label!r} is a string, and the processor has no `label2id`")
        if label not in label2id:
            raise DialogueError(f"{place}: unknown label {label!r}; known labels: {', '.join(label2id)}")
        return label2id[label]
    if isinstance(label, Integral) and not isinstance(label, bool):
        index = int(label)
        if index == IGNORED_LABEL:
            return index
        if index < 0 or (label2id and index not in label2id.values()):
            known = f"the labels are 0 to {len(label2id) - 1}" if label2id else "labels start at 0"
            raise DialogueError(f"{place}: unknown label {index}; {known}")
        return index
    raise DialogueError(f"{place}: a label must be a string or an int, got {type(label).__name__} {label!r}")


def encode_labels(
    utterances: Sequence[Utterance], problem_type: str, label2id: Mapping[str, int] | None, name: str
) -> np.ndarray:
    """Labels of one dialogue's utterances.

    Returns:
        (num_utterances,) int64 with -100 where unknown; for multi-label (num_utterances, num_labels) float32
        and for regression (num_utterances,) float32, with NaN where unknown.

    Raises:
        DialogueError: an unknown label, or a label of another kind than `problem_type`.
    """
    if problem_type == MULTI_LABEL:
        if not label2id:
            raise DialogueError(f"{name}: multi-label data needs a processor with `label2id`")
        labels = np.full((len(utterances), len(label2id)), np.nan, np.float32)
    elif problem_type == REGRESSION:
        labels = np.full(len(utterances), np.nan, np.float32)
    else:
        labels = np.full(len(utterances), IGNORED_LABEL, np.int64)

    for index, utterance in enumerate(utterances):
        label = utterance.get("label")
        if label is None:
            continue
        place = utterance_name(name, index)
        if problem_type == MULTI_LABEL:
            if problem_type_of(label) != MULTI_LABEL:
                raise DialogueError(f"{place}: expected a list of labels, got {label!r}")
            labels[index] = 0
            labels[index, [label_index(one, label2id, place) for one in label]] = 1
        elif problem_type == REGRESSION:
            if not isinstance(label, Real) or isinstance(label, bool):
                raise DialogueError(f"{place}: expected a number as label, got {label!r}")
            if math.isinf(label):
                raise DialogueError(f"{place}: the label is infinite")
            labels[index] = label
        else:
            labels[index] = label_index(label, label2id, place)
    return labels


def known_labels(labels: np.ndarray) -> np.ndarray:
    """(num_utterances,) bool: where a label is known."""
    if labels.dtype == np.int64:
        return labels != IGNORED_LABEL
    known = ~np.isnan(labels)
    return known.all(-1) if known.ndim == 2 else known
