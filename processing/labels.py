"""Labels of utterances: strings, ints, lists of them, votes, or values -> arrays with a mark for 'unknown'.

One rule says what is unknown, whatever the form of the labels: a missing key, None, NaN, -100, and a text that is
empty, blank or "-100". The number -1 is no such mark: it is a sentiment where labels are values, and refused where
they are classes. (`load_dialogues` reads the -1 of a `ClassLabel` as None, since that is what the type says.)
"""

import math
from collections import Counter, defaultdict
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
}
# How far from 1 the shares of votes may add up to: 0.33 three times.
_ROUNDING = 0.02
# Dimensions of emotion: numbers under these names are no votes.
_DIMENSIONS = {"valence", "arousal", "dominance", "activation", "pleasure", "power", "expectation", "intensity"}
_DIMENSIONS |= {"sentiment", "v", "a", "d"}


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


class _NumbersByName:
    """Tells votes from values, where labels are numbers by name, from one label after the other."""

    def __init__(self) -> None:
        self._count = 0
        self._given: Counter[str] = Counter()
        self._are_whole = self._are_shares = self._are_positive = True
        self._has_zero = False

    def add(self, label: Mapping[str, Any]) -> None:
        """Take in one known label."""
        self._count += 1
        self._given.update(label.keys())
        self._are_whole &= all(map(_is_int, label.values()))
        self._are_positive &= all(value >= 0 for value in label.values())
        self._are_shares &= abs(sum(label.values()) - 1) <= _ROUNDING
        self._has_zero |= any(value == 0 for value in label.values())

    def problem_type(self, first_place: str) -> str:
        """Return the task of these labels: votes are single labels.

        Raises:
            DialogueError: they may be either.
        """
        are_values = len(self._given) == 1 or {name.casefold() for name in self._given} <= _DIMENSIONS
        if are_values or not self._are_positive or not (self._are_whole or self._are_shares):
            return REGRESSION
        if self._are_shares or self._has_zero or any(count < self._count for count in self._given.values()):
            return SINGLE_LABEL
        raise DialogueError(
            f"{first_place}: the labels are whole numbers by name; set problem_type='{SINGLE_LABEL}' if they are the "
            f"votes of annotators, or '{REGRESSION}' if they are values such as valence and arousal"
        )


class LabelKinds:
    """Infers the task from one label after the other. Ints among floats are floats; any other mixture is refused."""

    def __init__(self) -> None:
        self._kind: str | None = None
        self._first_place = ""
        self._by_name = _NumbersByName()

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
        if self._kind == "numbers by name":
            return self._by_name.problem_type(self._first_place)
        return None if self._kind is None else _PROBLEM_TYPE_OF_KIND[self._kind]

    def add(self, label: Any, place: str) -> None:
        """Take in one known label.

        Raises:
            DialogueError: it is no label at all, or of another kind than the first one.
        """
        kind = _kind_of(label, place)
        if kind == "numbers by name":
            self._by_name.add(label)
        if self._kind is None:
            self._kind, self._first_place = kind, place
        elif {self._kind, kind} == {"int", "float"}:  # JSON writes 1 for 1.0
            self._kind = "float"
        elif self._kind != kind:
            raise DialogueError(
                f"{place}: label {label!r} is of another kind than that of {self._first_place}; "
                "labels are all strings, all ints, all lists, all floats, or all numbers by name"
            )


def _kind_of(label: Any, place: str) -> str:
    if isinstance(label, str):
        return "string"
    if _is_int(label):
        return "int"
    if _is_number(label):
        return "float"
    if isinstance(label, Mapping) and all(map(_is_number, label.values())):
        return "numbers by name"
    if isinstance(label, Sequence) and not isinstance(label, bytes):
        return "vector" if any(_is_number(part) and not _is_int(part) for part in label) else "list"
    hint = "; votes and values by name are numbers" if isinstance(label, Mapping) else ""
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


def vote_shares(label: Mapping[str, Any], place: str) -> dict[str, float]:
    """Return the share of the votes that each class has, without the classes that have none.

    Args:
        label: class -> how many annotators chose it, or their share.

    Raises:
        DialogueError: a vote that is negative or infinite.
    """
    votes = {name: _as_value(votes, place) for name, votes in label.items() if votes != 0}
    if any(count < 0 for count in votes.values()):
        raise DialogueError(f"{place}: the votes {label!r} hold a negative number; votes are counts or shares")
    total = sum(votes.values())
    return {name: count / total for name, count in votes.items()}


def majority_index(label: Mapping[str, Any], label2id: Mapping[str, int] | None, place: str) -> int:
    """Return the index of the class with most votes, or -100 if several have as many, or none has any.

    Raises:
        DialogueError: a class that `label2id` does not know, or a bad vote.
    """
    shares = vote_shares(label, place)
    share_of = {label_index(name, label2id, place): share for name, share in shares.items()}
    first = [index for index, share in share_of.items() if share == max(shares.values())]
    return first[0] if len(first) == 1 else IGNORED_LABEL


def encode_labels(
    utterances: Sequence[Utterance], problem_type: str, label2id: Mapping[str, int] | None, name: str
) -> np.ndarray:
    """Encode the labels of one dialogue's utterances.

    Returns:
        (num_utterances,) int64 with -100 where unknown, or where votes have no majority; for multi-label
        (num_utterances, num_labels) float32, and for regression (num_utterances,) float32, or (num_utterances,
        num_labels) where `label2id` names several values and labels are no single numbers, with NaN where unknown.

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
            voted = isinstance(label, Mapping)
            labels[index] = (majority_index if voted else label_index)(label, label2id, place)
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
