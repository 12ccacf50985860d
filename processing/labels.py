"""Labels of utterances: strings, ints, lists of them, or floats -> arrays with a mark for 'unknown'."""

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from .dialogues import DialogueError, NamedUtterances, Utterance, utterance_name

IGNORED_LABEL = -100

SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
PROBLEM_TYPES = (SINGLE_LABEL, MULTI_LABEL, REGRESSION)

_LARGEST = float(np.finfo(np.float32).max)
_PROBLEM_TYPE_OF_KIND = {"string": SINGLE_LABEL, "int": SINGLE_LABEL, "list": MULTI_LABEL, "float": REGRESSION}


def get_label(utterance: Utterance) -> Any:
    """Return the label of an utterance in plain Python, or None where it is unknown: absent, -100 or NaN."""
    label = utterance.get("label")
    if hasattr(label, "tolist"):  # a row of a data set in numpy or torch format
        label = label.tolist()
    if isinstance(label, Real) and (label == IGNORED_LABEL or math.isnan(label)):
        return None
    return label


class LabelKinds:
    """Infers the task from one label after the other. Ints among floats are floats; any other mixture is refused."""

    def __init__(self) -> None:
        self._kind: str | None = None
        self._first_place = ""

    @property
    def problem_type(self) -> str | None:
        """The problem type as in transformers; None if no label was seen."""
        return None if self._kind is None else _PROBLEM_TYPE_OF_KIND[self._kind]

    def add(self, label: Any, place: str) -> None:
        """Take in one known label.

        Raises:
            DialogueError: it is no label at all, or of another kind than the first one.
        """
        kind = _kind_of(label, place)
        if self._kind is None:
            self._kind, self._first_place = kind, place
        elif {self._kind, kind} == {"int", "float"}:
            self._kind = "float"
        elif self._kind != kind:
            raise DialogueError(
                f"{place}: label {label!r} is of another kind than that of {self._first_place}; "
                "labels are all strings, all ints, all lists, or all floats"
            )


def _kind_of(label: Any, place: str) -> str:
    if isinstance(label, str):
        return "string"
    if isinstance(label, Integral) and not isinstance(label, bool):
        return "int"
    if isinstance(label, Real) and not isinstance(label, bool):
        return "float"
    if isinstance(label, Sequence) and not isinstance(label, bytes):
        return "list"
    raise DialogueError(
        f"{place}: a label must be a string, an int, a list of them, or a float, got {type(label).__name__} {label!r}"
    )


def infer_problem_type(dialogues: Sequence[NamedUtterances]) -> str | None:
    """Infer the problem type from the labels of dialogues, each a name and its utterances; None without any label."""
    kinds = LabelKinds()
    for name, utterances in dialogues:
        for index, utterance in enumerate(utterances):
            label = get_label(utterance)
            if label is not None:
                kinds.add(label, utterance_name(name, index))
    return kinds.problem_type


def label_index(label: Any, label2id: Mapping[str, int] | None, place: str) -> int:
    """Return the class index of a string or int label.

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
        if index < 0:
            raise DialogueError(f"{place}: unknown label {index}; classes are counted from 0")
        if label2id and index >= len(label2id):
            known = ", ".join(f"{known} ({name})" for name, known in label2id.items())
            raise DialogueError(f"{place}: unknown label {index}; known labels: {known}")
        return index
    raise DialogueError(f"{place}: a label must be a string or an int, got {type(label).__name__} {label!r}")


def encode_labels(
    utterances: Sequence[Utterance], problem_type: str, label2id: Mapping[str, int] | None, name: str
) -> np.ndarray:
    """Encode the labels of one dialogue's utterances.

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
        label = get_label(utterance)
        if label is None:
            continue
        place = utterance_name(name, index)
        if problem_type == MULTI_LABEL:
            if _kind_of(label, place) != "list":
                raise DialogueError(f"{place}: expected a list of labels, got {label!r}")
            labels[index] = 0
            labels[index, [label_index(part, label2id, place) for part in label]] = 1
        elif problem_type == REGRESSION:
            if not isinstance(label, Real) or isinstance(label, bool):
                raise DialogueError(f"{place}: expected a number as label, got {label!r}")
            if abs(float(label)) > _LARGEST:
                raise DialogueError(f"{place}: the label {label!r} is infinite")
            labels[index] = label
        else:
            labels[index] = label_index(label, label2id, place)
    return labels


def known_labels(labels: np.ndarray) -> np.ndarray:
    """Return where a label is known, (num_utterances,) bool."""
    if labels.dtype == np.int64:
        return labels != IGNORED_LABEL
    rows = labels.reshape(len(labels), -1)
    return np.isnan(rows).sum(axis=-1) == 0


def join_labels(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Join the labels of examples; None if none is known. An example without known labels follows the others' kind."""
    given = [part for part in parts if part is not None and known_labels(part).any()]
    if not given:
        return None
    kind = given[0]
    unknown = IGNORED_LABEL if kind.dtype == np.int64 else np.nan
    joined = []
    for part in parts:
        if part is None:
            raise DialogueError("some dialogues were encoded with labels and some without")
        if part.dtype != kind.dtype or part.ndim != kind.ndim:
            if known_labels(part).any():
                raise DialogueError("the dialogues of one batch mix labels of different kinds; set `problem_type`")
            part = np.full((len(part), *kind.shape[1:]), unknown, kind.dtype)
        joined.append(part)
    return np.concatenate(joined)
