"""Labels of utterances: strings, ints, lists of them, or floats, and a mark for 'unknown'."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf import DialogueError
from joyful_hf.processing.labels import (
    MULTI_LABEL,
    REGRESSION,
    SINGLE_LABEL,
    LabelKinds,
    encode_labels,
    get_label,
    infer_problem_type,
    known_labels,
)

LABEL2ID = {"joy": 0, "anger": 1, "fear": 2}
UNKNOWN = [None, -100, -100.0, float("nan"), np.int64(-100), np.float32("nan"), "", "  ", "-100"]
UNKNOWN += [[None], [-100, ""], {"valence": None}, {}]
TARGETS = {"valence": 0, "arousal": 1}


def utterances_of(*labels):
    return [{"speaker": "A", "label": label} for label in labels]


def encode(problem_type, *labels, label2id=LABEL2ID):
    return encode_labels(utterances_of(*labels), problem_type, label2id, "dialogue 'd7'")


# One label an utterance.


def test_string_labels_become_class_indices():
    labels = encode(SINGLE_LABEL, "anger", "joy", "fear")
    assert labels.dtype == np.int64
    assert labels.tolist() == [1, 0, 2]


def test_int_labels_are_class_indices_already():
    assert encode(SINGLE_LABEL, 2, 0, np.int64(1)).tolist() == [2, 0, 1]
    assert encode(SINGLE_LABEL, 2, 0, 41, label2id=None).tolist() == [2, 0, 41]


@given(labels=st.lists(st.sampled_from([*LABEL2ID, *LABEL2ID.values(), None]), min_size=1))
def test_a_label_is_the_same_by_name_and_by_number(labels):
    by_number = [LABEL2ID.get(label, label) for label in labels]
    assert encode(SINGLE_LABEL, *labels).tolist() == encode(SINGLE_LABEL, *by_number).tolist()


# Several labels an utterance, and none of them.


def test_lists_of_labels_become_rows_of_0_and_1():
    labels = encode(MULTI_LABEL, ["joy", "fear"], [], ["anger"], [2, "joy"], ("anger",))
    assert labels.dtype == np.float32
    assert labels.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_lists_of_labels_need_label2id():
    with pytest.raises(DialogueError, match="dialogue 'd7': multi-label data needs a processor with `label2id`"):
        encode(MULTI_LABEL, ["joy"], label2id=None)


# A number an utterance.


def test_numbers_stay_what_they_are():
    labels = encode(REGRESSION, -1.5, 2, np.float32(0.25), label2id=None)
    assert labels.dtype == np.float32
    assert labels.tolist() == [-1.5, 2, 0.25]


# Several numbers an utterance.


def test_values_by_name_and_vectors_become_a_column_for_each_name():
    given = [
        {"arousal": 2, "valence": -1.5},
        [0.5, 1],
        {"valence": 3.0},
        {"valence": float("nan"), "arousal": 1},
        None,
    ]
    labels = encode(REGRESSION, *given, label2id=TARGETS)
    assert labels.dtype == np.float32
    nan = np.nan
    np.testing.assert_array_equal(labels, [[-1.5, 2], [0.5, 1], [3, nan], [nan, 1], [nan, nan]])
    assert known_labels(labels).tolist() == [True, True, True, True, False]


def test_a_single_value_may_have_a_name():
    assert encode(REGRESSION, {"sentiment": 1}, 0.5, label2id={"sentiment": 0}).tolist() == [1, 0.5]


@pytest.mark.parametrize(
    ("label", "label2id", "message"),
    [
        ({"dominance": 1}, TARGETS, "unknown value 'dominance' of label {'dominance': 1}; known: valence, arousal"),
        ({"valence": 1}, None, "label {'valence': 1} has values by name, and the processor has no `label2id`"),
        ([0.5, 1], None, "label [0.5, 1] has several values, and the processor has no `label2id` to name them"),
        ([0.5], TARGETS, "expected one for each of valence, arousal as label, got [0.5]"),
        ({"valence": "high"}, TARGETS, "expected a number as label, got 'high'"),
        ([0.5, float("inf")], TARGETS, "the label inf is infinite"),
    ],
    ids=repr,
)
def test_values_that_do_not_fit_their_names_are_refused(label, label2id, message):
    with pytest.raises(DialogueError) as caught:
        encode(REGRESSION, label, label2id=label2id)
    assert str(caught.value).startswith(f"dialogue 'd7', utterances[0]: {message}")


# Unknown labels.


@pytest.mark.parametrize("unknown", UNKNOWN, ids=repr)
@pytest.mark.parametrize(
    ("problem_type", "label", "encoded"),
    [(SINGLE_LABEL, "joy", [-100]), (MULTI_LABEL, ["joy"], [[np.nan] * 3]), (REGRESSION, 0.5, [np.nan])],
)
def test_an_unknown_label_is_marked(problem_type, label, encoded, unknown):
    labels = encode(problem_type, unknown, label)
    np.testing.assert_array_equal(labels[:1], encoded)
    assert known_labels(labels).tolist() == [False, True]


def test_a_missing_label_is_unknown():
    assert encode_labels([{"speaker": "A"}], SINGLE_LABEL, LABEL2ID, "d").tolist() == [-100]


@pytest.mark.parametrize(
    ("label", "plain"),
    [
        (np.array(["joy", "fear"], dtype=object), ["joy", "fear"]),
        (np.str_("joy"), "joy"),
        (torch.tensor(2), 2),
        (torch.tensor(0.5), 0.5),
        (torch.tensor([0, 2]), [0, 2]),
    ],
    ids=repr,
)
def test_what_a_row_in_numpy_or_torch_format_gives_is_plain_python(label, plain):
    assert get_label({"label": label}) == plain


# What the labels say of the task.


@pytest.mark.parametrize(
    ("labels", "problem_type"),
    [
        (["joy", "fear"], SINGLE_LABEL),
        ([0, 3], SINGLE_LABEL),
        ([["joy"], []], MULTI_LABEL),
        ([0.5, -1.0], REGRESSION),
        ([0.5, 1], REGRESSION),  # JSON writes 1 for 1.0
        ([1, 0.5], REGRESSION),
        ([None, -100, "joy"], SINGLE_LABEL),
        ([None, -100, float("nan")], None),
        ([{"valence": 0.5, "arousal": 1}, {"valence": 2}], REGRESSION),
        ([[0.5, -1.0], [1, 0.5]], REGRESSION),
    ],
    ids=repr,
)
def test_labels_tell_the_problem_type(labels, problem_type):
    assert infer_problem_type([("d", utterances_of(label)) for label in labels]) == problem_type
    assert infer_problem_type([("d", utterances_of(*reversed(labels)))]) == problem_type
    assert infer_problem_type([("d", utterances_of(*labels))]) == problem_type


@pytest.mark.parametrize(
    ("first", "second"),
    [("joy", 1), (1, "joy"), ("joy", 0.5), ("joy", ["joy"]), (["joy"], "joy"), ([0], 0), (0.5, [0.5])],
    ids=repr,
)
def test_labels_of_two_kinds_are_refused_with_both_places(first, second):
    kinds = LabelKinds()
    kinds.add(first, "dialogue 'd1', utterances[3]")
    with pytest.raises(DialogueError) as caught:
        kinds.add(second, "dialogue 'd2', utterances[0]")
    assert str(caught.value).startswith(f"dialogue 'd2', utterances[0]: label {second!r} is of another kind")
    assert "than that of dialogue 'd1', utterances[3]" in str(caught.value)


def test_whole_numbers_by_name_may_be_votes_and_are_values_only_if_the_task_says_so():
    utterances = utterances_of({"joy": 2, "anger": 1})
    with pytest.raises(
        DialogueError, match=r"utterances\[0\]: the labels are whole numbers by name; set problem_type"
    ):
        infer_problem_type([("dialogue 'd7'", utterances)])
    assert encode_labels(utterances, REGRESSION, {"joy": 0, "anger": 1}, "d").tolist() == [[2, 1]]


@pytest.mark.parametrize("label", [True, b"joy", {"joy": "much"}], ids=repr)
def test_what_is_no_label_is_refused(label):
    with pytest.raises(DialogueError, match=r"utterances\[1\]: a label must be a string, an int"):
        LabelKinds().add(label, "dialogue 'd7', utterances[1]")


# Labels that do not fit.


@pytest.mark.parametrize(
    ("problem_type", "label", "message"),
    [
        (SINGLE_LABEL, "envy", "unknown label 'envy'; known labels: joy, anger, fear"),
        (SINGLE_LABEL, 3, "unknown label 3; known labels: 0 (joy), 1 (anger), 2 (fear)"),
        (SINGLE_LABEL, -1, "unknown label -1; classes are counted from 0, the label of no class is None, and values"),
        (SINGLE_LABEL, " Joy", "unknown label ' Joy'; did you mean 'joy'?; known labels: joy, anger, fear"),
        (SINGLE_LABEL, 0.5, "a label must be a string or an int, got float 0.5"),
        (SINGLE_LABEL, True, "a label must be a string or an int, got bool True"),
        (SINGLE_LABEL, ["joy"], "a label must be a string or an int, got list ['joy']"),
        (MULTI_LABEL, ["joy", "envy"], "unknown label 'envy'; known labels: joy, anger, fear"),
        (MULTI_LABEL, ["joy", -100], "unknown label -100"),
        (MULTI_LABEL, ["joy", None], "a label must be a string or an int, got NoneType None"),
        (MULTI_LABEL, "joy", "expected a list of labels, got 'joy'"),
        (REGRESSION, "joy", "expected a number as label, got 'joy'"),
        (REGRESSION, True, "expected a number as label, got True"),
        (REGRESSION, float("inf"), "the label inf is infinite"),
        (REGRESSION, 1e300, "the label 1e+300 is infinite"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_label_that_does_not_fit_is_refused_by_place(problem_type, label, message):
    with pytest.raises(DialogueError) as caught:
        encode(problem_type, None, label)
    assert str(caught.value).startswith(f"dialogue 'd7', utterances[1]: {message}")


def test_a_string_without_label2id_is_refused():
    with pytest.raises(DialogueError, match="label 'joy' is a string, and the processor has no `label2id`"):
        encode(SINGLE_LABEL, "joy", label2id=None)
