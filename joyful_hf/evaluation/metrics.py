"""The field's metrics, for each kind of task, from one set of predictions. Flat floats, as trackers want them."""

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import confusion_matrix
from transformers import EvalPrediction

from ..processing.labels import SINGLE_LABEL
from .calibration import expected_calibration_error
from .task import task_of


def compute_metrics(
    prediction: EvalPrediction,
    id2label: Mapping[int, str] | None = None,
    problem_type: str = SINGLE_LABEL,
    temperature: float = 1.0,
) -> dict[str, float]:
    """Compute the metrics over every utterance whose label is known; {} if none is.

    Args:
        prediction: `predictions` (..., num_labels) logits and `label_ids` (...) with -100 where unknown or padded;
            for several labels at once (..., num_labels), -100 in the whole row; for several values the same, -100 or
            NaN for each that is unknown. Any leading shape will do: packed (N, ...) or padded (dialogues, utterances,
            ...).
        id2label: names for the F1 of each class, or for each of several values; `label_0`, ... without it.
        problem_type: as in transformers.
        temperature: the config's `calibration_temperature`; only the calibration error depends on it.

    Returns:
        Single label: `weighted_f1`, `macro_f1` (over the classes that occur), `accuracy`, `unweighted_accuracy` (mean
        recall), `f1_<label>`, and where a class is called neutral or "no emotion" `micro_f1_without_neutral`, as the
        DailyDialog papers report.
        Several labels: `weighted_f1` (by label count), `macro_f1`, `micro_f1`, `accuracy` (all labels of an utterance
        right), and for each label `f1_<label>` and `weighted_f1_<label>` (both of its classes, as the CMU-MOSEI papers
        report).
        Both: `support_<label>`, the number of utterances that have it; `ece`, the expected calibration error, and with
        a temperature also `ece_uncalibrated`, the error without it.
        Regression: `mae`, `correlation` (Pearson) and `ccc` (Lin's concordance). For a sentiment, as the papers on
        CMU-MOSI and CMU-MOSEI report: `acc_2` and `f1_2` (negative or non-negative), `acc_2_nonzero` and
        `f1_2_nonzero` (negative or positive, where the true value is not 0), both F1 weighted; `acc_3`, `acc_5` and
        `acc_7` (rounded, within -1 ... 1, -2 ... 2 and -3 ... 3). They need labels of both signs from -3 to 3, the
        last three also labels beyond -1 ... 1, and are left out otherwise (`Regression.left_out` says why).
        Several values: `mae_<value>`, `correlation_<value>`, `ccc_<value>` and `support_<value>` of each, and the
        means of the first three.
    """
    task = task_of(problem_type)
    logits, labels = task.labelled_rows(prediction.predictions, prediction.label_ids)
    if not len(labels):
        return {}
    names = [str((id2label or {}).get(index, f"label_{index}")) for index in range(logits.shape[-1])]
    metrics = task.metrics(logits, labels, names)
    if task.has_classes:
        metrics["ece"] = expected_calibration_error(task.scores(logits, temperature), labels)
        if temperature != 1:
            metrics["ece_uncalibrated"] = expected_calibration_error(task.scores(logits), labels)
    return metrics


def count_confusions(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count how often each class was taken for each: (num_labels, num_labels), rows true, columns predicted.

    Args:
        logits: (N, num_labels).
        labels: (N,) the true classes, all of them known.
    """
    return confusion_matrix(labels, logits.argmax(axis=-1), labels=range(logits.shape[-1]))
