"""`compute_metrics`: the field's numbers, held against scikit-learn and against numbers found by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, mean_absolute_error
from transformers import EvalPrediction

from joyful_hf import compute_metrics
from joyful_hf.evaluation.task import task_of

MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"


def one_hot(predicted, num_labels):
    return np.eye(num_labels, dtype=np.float32)[np.asarray(predicted)]


def single(predicted, true, num_labels=3, **kwargs):
    return compute_metrics(EvalPrediction(one_hot(predicted, num_labels), np.array(true)), **kwargs)


def multi(predicted, true, **kwargs):
    """Predicted and true labels as rows of 0 and 1."""
    logits = np.where(np.array(predicted, bool), 0.5, -0.5)
    return compute_metrics(EvalPrediction(logits, np.array(true, np.float32)), problem_type=MULTI_LABEL, **kwargs)


def regression(predicted, true):
    return compute_metrics(EvalPrediction(np.array(predicted)[:, None], np.array(true)), problem_type=REGRESSION)


labels_of_3 = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30)
rows_of_3 = st.lists(
    st.tuples(*[st.lists(st.booleans(), min_size=3, max_size=3)] * 2),
    min_size=1,
    max_size=30,
)


# One label an utterance.


def test_single_label_metrics_by_hand():
    """Class 0: 1 of 2 found. Class 1: both found, one too many. Class 2: never there, predicted once."""
    metrics = single(predicted=[0, 1, 1, 1, 2], true=[0, 0, 1, 1, 1], id2label={0: "joy", 1: "anger", 2: "fear"})
    assert metrics == pytest.approx(
        {
            "weighted_f1": (2 * 2 / 3 + 3 * 2 / 3) / 5,
            "macro_f1": (2 / 3 + 2 / 3 + 0) / 3,  # fear is predicted, so it counts
            "accuracy": 3 / 5,
            "unweighted_accuracy": (1 / 2 + 2 / 3) / 2,
            "f1_joy": 2 / 3,
            "f1_anger": 2 / 3,
            "f1_fear": 0,
            "support_joy": 2,
            "support_anger": 3,
            "support_fear": 0,
            "ece": 3 / 5 - np.e / (np.e + 2),  # five predictions of the same confidence
        }
    )


@pytest.mark.filterwarnings("ignore::UserWarning")  # of scikit-learn, about classes that do not occur
@given(pairs=labels_of_3)
def test_single_label_metrics_are_scikit_learns(pairs):
    predicted, true = np.array(pairs).T
    metrics = single(predicted, true)
    assert metrics["weighted_f1"] == pytest.approx(f1_score(true, predicted, average="weighted", zero_division=0))
    assert metrics["macro_f1"] == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0))
    assert metrics["accuracy"] == pytest.approx(accuracy_score(true, predicted))
    assert metrics["unweighted_accuracy"] == pytest.approx(balanced_accuracy_score(true, predicted))
    of_each = f1_score(true, predicted, labels=range(3), average=None, zero_division=0)
    assert [metrics[f"f1_label_{index}"] for index in range(3)] == pytest.approx(of_each)


def test_a_class_that_is_never_true_counts_for_nothing():
    metrics = single(predicted=[0, 0, 1], true=[0, 0, 1])
    assert metrics["weighted_f1"] == metrics["unweighted_accuracy"] == 1
    assert metrics["f1_label_2"] == 0


@pytest.mark.parametrize("neutral", ["neutral", "No Emotion", "no_emotion", "neu"])
def test_the_class_of_no_emotion_is_left_out_of_a_micro_f1(neutral):
    """Two emotions are found, one is missed, and one is seen where there is none."""
    metrics = single(predicted=[0, 0, 1, 2, 1, 0], true=[0, 0, 1, 2, 0, 2], id2label={0: neutral, 1: "joy", 2: "fear"})
    assert metrics["micro_f1_without_neutral"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))


@given(pairs=labels_of_3)
def test_the_micro_f1_without_neutral_is_scikit_learns(pairs):
    predicted, true = np.array(pairs).T
    metrics = single(predicted, true, id2label={0: "joy", 1: "neutral", 2: "fear"})
    expected = f1_score(true, predicted, labels=[0, 2], average="micro", zero_division=0)
    assert metrics["micro_f1_without_neutral"] == pytest.approx(expected)


def test_without_such_a_class_there_is_no_micro_f1_without_it():
    assert "micro_f1_without_neutral" not in single([0, 1], [0, 1], id2label={0: "joy", 1: "fear", 2: "neural"})


# Several labels an utterance.


def test_multi_label_metrics_by_hand():
    """Joy: found once, missed once. Anger: found once, and once too many. Fear: never there."""
    sure = 1 / (1 + np.exp(-0.5))
    metrics = multi(
        predicted=[[1, 1, 0], [0, 0, 0], [0, 1, 0]],
        true=[[1, 1, 0], [1, 0, 0], [0, 0, 0]],
        id2label={0: "joy", 1: "anger", 2: "fear"},
    )
    assert metrics == pytest.approx(
        {
            "weighted_f1": (2 * 2 / 3 + 1 * 2 / 3 + 0) / 3,
            "macro_f1": (2 / 3 + 2 / 3 + 0) / 3,
            "micro_f1": 2 * 2 / (2 * 2 + 1 + 1),
            "accuracy": 1 / 3,
            "f1_joy": 2 / 3,
            "f1_anger": 2 / 3,
            "f1_fear": 0,
            "weighted_f1_joy": (2 * 2 / 3 + 1 * 2 / 3) / 3,
            "weighted_f1_anger": (1 * 2 / 3 + 2 * 2 / 3) / 3,
            "weighted_f1_fear": 1,
            "support_joy": 2,
            "support_anger": 1,
            "support_fear": 0,
            # Three times "yes", twice rightly; six times "no", once wrongly.
            "ece": (3 * (2 / 3 - sure) + 6 * ((1 - sure) - 1 / 6)) / 9,
        }
    )


@given(rows=rows_of_3)
def test_multi_label_metrics_are_scikit_learns(rows):
    predicted, true = np.array(rows).transpose(1, 0, 2)
    metrics = multi(predicted, true)
    for average in ("macro", "micro"):
        expected = f1_score(true, predicted, average=average, zero_division=0)
        assert metrics[f"{average}_f1"] == pytest.approx(expected)
    assert metrics["weighted_f1"] == pytest.approx(f1_score(true, predicted, average="weighted", zero_division=0))
    assert metrics["accuracy"] == pytest.approx(accuracy_score(true, predicted))
    of_each = f1_score(true, predicted, average=None, zero_division=0)
    assert [metrics[f"f1_label_{index}"] for index in range(3)] == pytest.approx(of_each)
    for index in range(3):
        both = f1_score(true[:, index], predicted[:, index], average="weighted", zero_division=0)
        assert metrics[f"weighted_f1_label_{index}"] == pytest.approx(both)


def test_a_single_label_that_is_there_or_not():
    """scikit-learn takes one column for two classes; it is one label."""
    metrics = multi(predicted=[[1], [0], [0]], true=[[1], [1], [0]])
    assert metrics["f1_label_0"] == metrics["weighted_f1"] == pytest.approx(2 / 3)


def test_no_emotion_at_all_can_be_right():
    metrics = multi(predicted=[[0, 0]], true=[[0, 0]])
    assert metrics["accuracy"] == 1
    assert metrics["weighted_f1"] == 0


# A number an utterance.


def test_regression_metrics_by_hand():
    metrics = regression(predicted=[-2.6, 0.4, 3.7, -0.2], true=[-3, 0, 3, 1])
    assert metrics == pytest.approx(
        {
            "mae": (0.4 + 0.4 + 0.7 + 1.2) / 4,
            "correlation": np.corrcoef([-2.6, 0.4, 3.7, -0.2], [-3, 0, 3, 1])[0, 1],
            "ccc": 2 * 4.59375 / (5.056875 + 4.6875 + (0.325 - 0.25) ** 2),
            "acc_2": 3 / 4,  # negative or not: 1 was taken for negative
            "f1_2": (1 * 2 / 3 + 3 * 4 / 5) / 4,
            "acc_2_nonzero": 2 / 3,  # without the true 0
            "f1_2_nonzero": (1 * 2 / 3 + 2 * 2 / 3) / 3,
            "acc_3": 3 / 4,
            "acc_5": 3 / 4,
            "acc_7": 3 / 4,  # 3.7 is cut to 3; -0.2 rounds to 0, which is not 1
        }
    )


values = st.floats(-4, 4, width=32)


@given(pairs=st.lists(st.tuples(values, values), min_size=2, max_size=30))
def test_regression_metrics_are_those_of_other_libraries(pairs):
    predicted, true = np.array(pairs, np.float64).T
    metrics = regression(predicted, true)
    assert metrics["mae"] == pytest.approx(mean_absolute_error(true, predicted))
    if true.min() < 0 < true.max() and np.abs(true).max() <= 3:
        assert metrics["acc_2"] == pytest.approx(accuracy_score(true >= 0, predicted >= 0))
        assert metrics["f1_2"] == pytest.approx(f1_score(true >= 0, predicted >= 0, average="weighted"))
    assert abs(metrics["ccc"]) <= abs(metrics["correlation"]) + 1e-9
    assert -1 - 1e-9 <= metrics["correlation"] <= 1 + 1e-9


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_predictions_that_never_vary_correlate_with_nothing(value):
    assert regression([value] * 3, [1, 2, 3])["correlation"] == 0
    assert regression([1, 2, 3], [value] * 3)["correlation"] == 0
    assert regression([value], [1])["correlation"] == 0


def test_perfect_predictions_correlate_perfectly():
    assert regression([1, 2, 3], [2, 4, 6])["correlation"] == pytest.approx(1)
    assert regression([1, 2, 3], [-1, -2, -3])["correlation"] == pytest.approx(-1)


OF_SIGNS = {"acc_2", "f1_2", "acc_2_nonzero", "f1_2_nonzero"}
OF_STEPS = {"acc_3", "acc_5", "acc_7"}
ALWAYS = {"mae", "correlation", "ccc"}


@pytest.mark.parametrize(
    ("labels", "reported"),
    [
        ([-3, 0, 2.5], OF_SIGNS | OF_STEPS),
        ([-0.8, 0.1, 1.0], OF_SIGNS),
        ([1, 3, 5], set()),
        ([0, 1, 3], set()),
        ([-3, -1, -2], set()),
        ([-3, 1, 4], set()),
        ([0, 0, 0], set()),
    ],
    ids=lambda values: " ".join(map(str, sorted(values))),  # a set has no order of its own
)
def test_what_needs_the_scale_of_a_sentiment_is_left_out_of_other_labels(labels, reported):
    assert regression([0.5, -0.5, 1], labels).keys() == ALWAYS | reported
    reasons = task_of(REGRESSION).left_out({"value": (min(labels), max(labels))})
    assert reasons.keys() == (OF_SIGNS | OF_STEPS) - reported
    assert all(f"between {min(labels):g} and {max(labels):g}" in reason for reason in reasons.values())


def test_a_prediction_with_another_scale_or_mean_agrees_less_than_it_correlates():
    true = [-1.0, 0.0, 1.0]
    assert regression(true, true)["ccc"] == pytest.approx(1)
    assert regression([value / 2 for value in true], true)["ccc"] == pytest.approx(0.8)
    assert regression([value + 1 for value in true], true)["ccc"] == pytest.approx(2 * 2 / 3 / (4 / 3 + 1))


# Several numbers an utterance.


def test_each_of_several_values_has_its_metrics_and_they_have_means():
    nan = np.nan
    logits = np.array([[0.5, 1.0], [0.0, 2.0], [1.0, 3.0], [9.0, 9.0]])
    labels = np.array([[1.0, 1.0], [0.0, nan], [1.0, 2.0], [nan, nan]])
    metrics = compute_metrics(EvalPrediction(logits, labels), {0: "valence", 1: "arousal"}, REGRESSION)
    valence = regression(logits[:3, 0], labels[:3, 0])
    arousal = regression([1.0, 3.0], [1.0, 2.0])
    for metric in ALWAYS:
        assert metrics.pop(f"{metric}_valence") == pytest.approx(valence[metric])
        assert metrics.pop(f"{metric}_arousal") == pytest.approx(arousal[metric])
        assert metrics.pop(metric) == pytest.approx((valence[metric] + arousal[metric]) / 2)
    assert metrics == {"support_valence": 3, "support_arousal": 2}


def test_a_value_that_is_never_known_has_no_metrics():
    metrics = compute_metrics(
        EvalPrediction(np.ones((2, 2)), np.array([[1.0, np.nan], [0.0, -100]])),
        {0: "valence", 1: "arousal"},
        REGRESSION,
    )
    assert "mae_arousal" not in metrics
    assert metrics["mae"] == metrics["mae_valence"] == 0.5


# Every task: what counts, and in which form.

PREDICTIONS = {
    "single_label_classification": (one_hot([0, 1, 2, 1, 0], 3), np.array([0, 1, 1, 1, 2])),
    MULTI_LABEL: (
        np.array([[1, -1], [-1, 1], [1, 1], [-1, -1], [1, -1]], np.float32),
        np.array([[1, 0], [1, 1], [1, 1], [0, 0], [0, 1]], np.float32),
    ),
    REGRESSION: (np.array([[0.5], [-1.5], [2], [3], [1]], np.float32), np.array([1, -1, 0, 2.5, 1], np.float32)),
}
every_task = pytest.mark.parametrize("task", PREDICTIONS)


def unknown_marks(labels):
    return [-100] if labels.dtype == np.int64 else [-100, np.nan]


@every_task
def test_padded_dialogues_give_the_metrics_of_packed_ones(task):
    """Two dialogues, of 2 and of 3 utterances."""
    logits, labels = PREDICTIONS[task]

    def pad(rows):
        padded = np.full((2, 3, *rows.shape[1:]), -100, rows.dtype)
        padded[0, :2], padded[1] = rows[:2], rows[2:]
        return padded

    packed = compute_metrics(EvalPrediction(logits, labels), problem_type=task)
    assert compute_metrics(EvalPrediction(pad(logits), pad(labels)), problem_type=task) == packed


@every_task
def test_utterances_without_a_label_do_not_count(task):
    logits, labels = PREDICTIONS[task]
    expected = compute_metrics(EvalPrediction(logits[:4], labels[:4]), problem_type=task)
    for mark in unknown_marks(labels):
        partly = labels.copy()
        partly[4] = mark
        assert compute_metrics(EvalPrediction(logits, partly), problem_type=task) == expected


@every_task
def test_without_any_label_there_is_no_metric(task):
    logits, labels = PREDICTIONS[task]
    for mark in unknown_marks(labels):
        assert compute_metrics(EvalPrediction(logits, np.full_like(labels, mark)), problem_type=task) == {}


@every_task
def test_metrics_are_plain_floats(task):
    metrics = compute_metrics(EvalPrediction(*PREDICTIONS[task]), problem_type=task)
    assert {type(value) for value in metrics.values()} == {float}
    assert np.isfinite(list(metrics.values())).all()


def test_a_temperature_changes_the_calibration_error_alone():
    plain, calibrated = (single([0, 1, 1], [0, 0, 1], temperature=temperature) for temperature in (1, 0.1))
    assert calibrated.pop("ece_uncalibrated") == plain.pop("ece")
    assert calibrated.pop("ece") == pytest.approx(1 / 3, abs=1e-3)  # all certain, a third wrong
    assert calibrated == plain


def test_classes_without_a_name_are_numbered():
    assert {"f1_joy", "f1_label_1", "f1_label_2"} < single([0], [0], id2label={0: "joy"}).keys()
    assert {"f1_label_0", "weighted_f1_label_1"} < multi([[1, 0]], [[1, 0]]).keys()
