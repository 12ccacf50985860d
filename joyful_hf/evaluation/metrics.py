"""The field's metrics, for each kind of task, from one set of predictions. Flat floats, as trackers want them."""

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from transformers import EvalPrediction

from ..processing.labels import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from .calibration import expected_calibration_error, probabilities
from .known_rows import labelled_rows


def compute_metrics(
    prediction: EvalPrediction,
    id2label: Mapping[int, str] | None = None,
    problem_type: str = SINGLE_LABEL,
    temperature: float = 1.0,
) -> dict[str, float]:
    """Metrics over every utterance whose label is known; {} if none is.

    Args:
        prediction: `predictions` (..., num_labels) logits and `label_ids` (...) with -100 where unknown or padded;
            for several labels at once (..., num_labels), -100 in the whole row. Any leading shape will do: packed
            (N, ...) or padded (dialogues, utterances, ...).
        id2label: names for the F1 of each class; `label_0`, ... without it.
        problem_type: as in transformers.
        temperature: the config's `calibration_temperature`, of which only the calibration error depends.

    Returns:
        Single label: `weighted_f1`, `accuracy`, `unweighted_accuracy` (mean recall) and `f1_<label>`.
        Several labels: `weighted_f1` (by label count), `accuracy` (all labels of an utterance right), and of each
        label `f1_<label>` and `weighted_f1_<label>` (both of its classes, as the CMU-MOSEI papers report).
        Both: `ece`, the expected calibration error, and where there is a temperature `ece_uncalibrated`, that without.
        Regression: `mae`, `correlation` (Pearson), `acc_2` (negative or not), `acc_2_nonzero` (the same where the
        true value is not 0) and `acc_7` (rounded, within -3 ... 3).
    """
    logits, labels = labelled_rows(prediction.predictions, prediction.label_ids, problem_type)
    if not len(labels):
        return {}
    if problem_type == REGRESSION:
        return _regression_metrics(logits, labels)
    names = [str((id2label or {}).get(index, f"label_{index}")) for index in range(logits.shape[-1])]
    metrics_of = _multi_label_metrics if problem_type == MULTI_LABEL else _single_label_metrics
    metrics = metrics_of(logits, labels, names)
    metrics["ece"] = expected_calibration_error(probabilities(logits, problem_type, temperature), labels)
    if temperature != 1:
        metrics["ece_uncalibrated"] = expected_calibration_error(probabilities(logits, problem_type), labels)
    return metrics


def _single_label_metrics(logits: np.ndarray, labels: np.ndarray, names: list[str]) -> dict[str, float]:
    predicted = logits.argmax(-1)
    classes = list(range(len(names)))
    f1_of_each = f1_score(labels, predicted, labels=classes, average=None, zero_division=0)
    recall_of_present = _mean_recall(labels, predicted)
    return {
        "weighted_f1": float(f1_score(labels, predicted, labels=classes, average="weighted", zero_division=0)),
        "accuracy": float(accuracy_score(labels, predicted)),
        "unweighted_accuracy": recall_of_present,
        **{f"f1_{name}": float(f1) for name, f1 in zip(names, f1_of_each, strict=True)},
    }


def _mean_recall(labels: np.ndarray, predicted: np.ndarray) -> float:
    # Only over classes that occur: a class predicted but never true has no recall.
    present = np.unique(labels)
    return float(np.mean([(predicted[labels == one] == one).mean() for one in present]))


def _multi_label_metrics(logits: np.ndarray, labels: np.ndarray, names: list[str]) -> dict[str, float]:
    predicted, true = logits > 0, labels > 0.5
    # Label by label: of a single column scikit-learn would take "absent" for a second label.
    f1_of_each = [f1_score(one, other, zero_division=0) for one, other in zip(true.T, predicted.T, strict=True)]
    counts = true.sum(axis=0)
    metrics = {
        "weighted_f1": float(np.dot(f1_of_each, counts) / max(counts.sum(), 1)),
        "accuracy": float((predicted == true).all(axis=-1).mean()),
    }
    for index, name in enumerate(names):
        both_classes = f1_score(true[:, index], predicted[:, index], average="weighted", zero_division=0)
        metrics[f"f1_{name}"] = float(f1_of_each[index])
        metrics[f"weighted_f1_{name}"] = float(both_classes)
    return metrics


def _regression_metrics(values: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    predicted = values[:, 0].astype(np.float64)
    true = labels.astype(np.float64)
    varies = np.ptp(predicted) > 0 and np.ptp(true) > 0
    nonzero = true != 0
    metrics = {
        "mae": float(np.abs(predicted - true).mean()),
        "correlation": float(np.corrcoef(predicted, true)[0, 1]) if varies else 0.0,
        "acc_2": float(((predicted < 0) == (true < 0)).mean()),
        "acc_7": float((np.round(predicted.clip(-3, 3)) == np.round(true.clip(-3, 3))).mean()),
    }
    if nonzero.any():
        metrics["acc_2_nonzero"] = float(((predicted[nonzero] > 0) == (true[nonzero] > 0)).mean())
    return metrics


def count_confusions(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How often each class was taken for each: (num_labels, num_labels), rows true, columns predicted.

    Args:
        logits: (N, num_labels).
        labels: (N,) the true classes, all of them known.
    """
    return confusion_matrix(labels, logits.argmax(axis=-1), labels=range(logits.shape[-1]))
