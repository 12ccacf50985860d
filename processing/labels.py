"""Labels of utterances: strings, ints, lists of them, or values -> arrays with a mark for 'unknown'.

One rule says what is unknown, whatever the form of the labels: a missing key, None, NaN, -100, and a text that is
empty, blank or "-100". The number -1 is no such mark: it is a sentiment where labels are values, and refused where
they are classes. (`load_dialogues` reads the -1 of a `ClassLabel` as None, since that is what the type says.)
"""

import math
from collections import defaultdict
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
_PROBLEM_TYPE_OF_KIND = {
    "string": SINGLE_LABEL,
    "int": SINGLE_LABEL,
    "list": MULTI_LABEL,
    "float": REGRESSION,
    "vector": REGRESSION,
    "named values": REGRESSION,
}
# Kinds of which the second holds the values of the first too: JSON writes 1 for 1.0.
_WIDENED = {("int", "float"), ("counts", "named values")}


def get_label(utterance: Utterance) -> Any:
    """Return the label of an utterance in plain Python, or None where it is unknown.

    A list or a mapping is unknown if it holds something and every part of it is unknown. Of a mapping only the known
    values are returned.
    """
    label = utterance.get("label")
    if hasattr(label, "tolist"):  # a row of a data set in numpy or torch format
        label = label.tolist()
    if isinstance(label, Mapping):
        known = {str(name): value for name, value in label.items() if not _is_unknown(value)}
        return known or None
    if isinstance(label, Sequence) and not isinstance(label, str | bytes):
        return None if label and all(map(_is_unknown, label)) else label
    return None if _is_unknown(label) else label


def _is_unknown(label: Any) -> bool:
    if isinstance(label, str):
        return label.strip() in ("", str(IGNORED_LABEL))
    return label is None or (isinstance(label, Real) and (label == IGNORED_LABEL or math.isnan(label)))


class LabelKinds:
    """Infers the task from one label after the other. Ints among floats are floats; any other mixture is refused."""

    def __init__(self) -> None:
        self._kind: str | None = None
        self._first_place = ""

    @property
    def has_any(self) -> bool:
        """Whether a label was seen."""
        return self._kind is not None

    @property
    def problem_type(self) -> str | None:
        """The problem type as in transformers; None if no label was seen.

        Raises:
            DialogueError: labels are whole numbers by name, which may be values or the counts of votes.
        """
        if self._kind == "counts":
            raise DialogueError(
                f"{self._first_place}: the labels are whole numbers by name; set problem_type='regression' if they "
                "are values such as valence and arousal. Votes of several annotators are not read: give the label "
                "that most of them chose"
            )
        return None if self._kind is None else _PROBLEM_TYPE_OF_KIND[self._kind]

    def add(self, label: Any, place: str) -> None:
        """Take in one known label.

        Raises:
            DialogueError: it is no label at all, or of another kind than the first one.
        """
        kind = _kind_of(label, place)
        if self._kind is None:
            self._kind, self._first_place = kind, place
        elif {self._kind, kind} in map(set, _WIDENED):
            self._kind = next(wide for narrow, wide in _WIDENED if narrow in (self._kind, kind))
        elif self._kind != kind:
            raise DialogueError(
                f"{place}: label {label!r} is of another kind than that of {self._first_place}; "
                "labels are all strings, all ints, all lists, or all floats"
            )


def _kind_of(label: Any, place: str) -> str:
    if isinstance(label, str):
        return "string"
    if _is_int(label):
        return "int"
    if _is_number(label):
        return "float"
    if isinstance(label, Mapping) and all(map(_is_number, label.values())):
        return "counts" if all(map(_is_int, label.values())) else "named values"
    if isinstance(label, Sequence) and not isinstance(label, bytes):
        return "vector" if any(_is_number(part) and not _is_int(part) for part in label) else "list"
    hint = "; values by name are numbers" if isinstance(label, Mapping) else ""
    raise DialogueError(
        f"{place}: a label must be a string, an int, a list of them, or a float, got {type(label).__name__} {label!r}"
        f"{hint}"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_int(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def alike_classes(counts: Mapping[str, int]) -> list[dict[str, int]]:
    """Return the classes whose names differ in case or blanks only, with their counts, in groups."""
    groups: dict[str, dict[str, int]] = defaultdict(dict)
    for name, count in counts.items():
        groups["".join(name.split()).casefold()][name] = count
    return [group for group in groups.values() if len(group) > 1]


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
            alike = [known for known in label2id if alike_classes(dict.fromkeys((known, label), 1))]
            hint = f"; did you mean {alike[0]!r}?" if alike else ""
            raise DialogueError(f"{place}: unknown label {label!r}{hint}; known labels: {', '.join(label2id)}")
        return label2id[label]
    if _is_int(label):
        index = int(label)
        if index < 0:
            raise DialogueError(
                f"{place}: unknown label {index}; classes are counted from 0, the label of no class is None, and "
                "values such as sentiment need problem_type='regression'"
            )
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
        (num_utterances,) int64 with -100 where unknown; for multi-label (num_utterances, num_labels) float32, and for
        regression (num_utterances,) float32, or (num_utterances, num_labels) where `label2id` names several values and
        labels are no single numbers, with NaN where unknown.

    Raises:
        DialogueError: an unknown label, or a label of another kind than `problem_type`.
    """
    names = label2id
    if problem_type == MULTI_LABEL:
        if not label2id:
            raise DialogueError(f"{name}: multi-label data needs a processor with `label2id`")
        labels = np.full((len(utterances), len(label2id)), np.nan, np.float32)
    elif problem_type == REGRESSION:
        if label2id and len(label2id) > 1 and any(map(_is_single, map(get_label, utterances))):
            names = None
        shape = (len(utterances), len(names)) if names and len(names) > 1 else len(utterances)
        labels = np.full(shape, np.nan, np.float32)
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
            values = label_values(label, names, place)
            labels[index] = values if labels.ndim == 2 else values[0]
        else:
            labels[index] = label_index(label, label2id, place)
    return labels


def _is_single(label: Any) -> bool:
    """Whether a label is one value, of whatever kind."""
    return label is not None and (isinstance(label, str) or not isinstance(label, Mapping | Sequence))


def label_values(label: Any, names: Mapping[str, int] | None, place: str) -> list[float]:
    """Return the values of a known label of a regression, in the order of the names, NaN where one is unknown.

    Args:
        label: a number, or numbers by name, or one number for each name.
        names: name of each value -> its place; None for a single value without a name.

    Raises:
        DialogueError: no number, a name that is not known, or too few or too many numbers.
    """
    given: Any = [label]
    if isinstance(label, Mapping):
        if not names:
            raise DialogueError(f"{place}: label {label!r} has values by name, and the processor has no `label2id`")
        for name in label:
            if name not in names:
                raise DialogueError(f"{place}: unknown value {name!r} of label {label!r}; known: {', '.join(names)}")
        given = [label.get(name) for name in sorted(names, key=names.__getitem__)]
    elif isinstance(label, Sequence) and not isinstance(label, str | bytes):
        given = label
        if not names and len(given) > 1:
            raise DialogueError(
                f"{place}: label {label!r} has several values, and the processor has no `label2id` to name them, as "
                "in {'valence': 0, 'arousal': 1}"
            )
    if len(given) != (len(names) if names else 1):
        wanted = f"one for each of {', '.join(names)}" if names else "one number"
        raise DialogueError(f"{place}: expected {wanted} as label, got {label!r}")
    return [_as_value(value, place) for value in given]


def _as_value(value: Any, place: str) -> float:
    if _is_unknown(value):
        return math.nan
    if not _is_number(value):
        raise DialogueError(f"{place}: expected a number as label, got {value!r}")
    if abs(float(value)) > _LARGEST:
        raise DialogueError(f"{place}: the label {value!r} is infinite")
    return float(value)


def known_labels(labels: np.ndarray) -> np.ndarray:
    """Return where a label is known, of several values at least one, (num_utterances,) bool."""
    if labels.dtype == np.int64:
        return labels != IGNORED_LABEL
    rows = labels.reshape(len(labels), -1)
    return np.isnan(rows).sum(axis=-1) < rows.shape[1]


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
