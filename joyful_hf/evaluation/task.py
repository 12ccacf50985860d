"""The three kinds of task: one label per utterance, several labels, or a number.

Whatever depends on the kind of label is asked of its task: how an unknown label is marked, the shape of labels, what
becomes of logits, the metrics, and whether a high or a low value of a metric is the better one.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.metrics import accuracy_score, f1_score

from ..processing.labels import IGNORED_LABEL, MULTI_LABEL, REGRESSION, SINGLE_LABEL

_OF_CLASSES = {
    "weighted_f1": True,
    "accuracy": True,
    "unweighted_accuracy": True,
    "ece": False,
    "ece_uncalibrated": False,
}


class Task(ABC):
    """One kind of task."""

    problem_type: str
    """As in transformers."""
    has_classes: bool = True
    """Whether labels are classes, so that there are probabilities to calibrate."""
    several_labels: bool = False
    """Whether an utterance may have several labels at once."""
    unknown_label: float
    """The mark of an unknown label."""
    main_metric: str
    """The metric that chooses the checkpoint unless the user names another one."""
    directions: Mapping[str, bool]
    """Metric -> whether the highest value is the best one."""
    class_prefixes: tuple[str, ...] = ()
    """Beginnings of the metrics that exist once per class; the highest value of them is the best one."""

    def label_shape(self, num_utterances: int, num_labels: int) -> tuple[int, ...]:
        """The shape of the labels of packed utterances."""
        return (num_utterances,)

    def class_names(self, config: Any) -> list[str]:
        """Names of the classes in the model's order; none for regression."""
        return [str(config.id2label[index]) for index in range(config.num_labels)]

    def labelled_rows(self, rows: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """The predictions and the labels of the utterances whose label is known.

        Args:
            rows: (..., num_labels) logits or scores. Any leading shape will do: packed (N, ...) or padded (dialogues,
                utterances, ...).
            labels: (...) with -100 (or NaN) where unknown or padded; (..., num_labels) for several labels at once,
                unknown in the whole row.

        Returns:
            (known, num_labels) and (known,), or (known, num_labels) for several labels at once.
        """
        rows, labels = np.asarray(rows), np.asarray(labels)
        rows = rows.reshape(-1, rows.shape[-1])
        labels = labels.reshape(self.label_shape(*rows.shape))
        unknown = (labels == IGNORED_LABEL) | np.isnan(labels)
        known = ~(unknown.any(axis=-1) if unknown.ndim == 2 else unknown)
        return rows[known], labels[known]

    @abstractmethod
    def scores(self, logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Turn (N, num_labels) logits into the model's scores: probabilities, or the values themselves."""

    @abstractmethod
    def metrics(self, logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
        """The metrics of known labels that need no probabilities, as `compute_metrics` names them."""

    def judge(self, scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(predictions,) how sure each prediction is, and whether it is right; all labels known."""
        raise NotImplementedError(f"{self.problem_type} has no probabilities")

    def log_loss(self, logits: np.ndarray, labels: np.ndarray, smoothing: float) -> float:
        """Mean negative log-likelihood of the labels, smoothed; all labels known."""
        raise NotImplementedError(f"{self.problem_type} has no probabilities")

    def greater_is_better(self, metric: str) -> bool | None:
        """Whether the highest value of a metric is the best one; None for a metric that the task does not know."""
        if metric in self.directions:
            return self.directions[metric]
        if metric.startswith(self.class_prefixes):
            return True
        return False if metric == "loss" or metric.startswith("loss_") else None


class SingleLabel(Task):
    """One class per utterance."""

    problem_type = SINGLE_LABEL
    unknown_label = IGNORED_LABEL
    main_metric = "weighted_f1"
    directions = _OF_CLASSES
    class_prefixes = ("f1_",)

    def scores(self, logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        return softmax(np.asarray(logits, np.float64) / temperature, axis=-1)

    def metrics(self, logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
        predicted = logits.argmax(-1)
        classes = list(range(len(class_names)))
        f1_of_each = f1_score(labels, predicted, labels=classes, average=None, zero_division=0)
        # Only classes that occur: a class that is predicted but never true has no recall.
        recalls = [(predicted[labels == present] == present).mean() for present in np.unique(labels)]
        return {
            "weighted_f1": float(f1_score(labels, predicted, labels=classes, average="weighted", zero_division=0)),
            "accuracy": float(accuracy_score(labels, predicted)),
            "unweighted_accuracy": float(np.mean(recalls)),
            **{f"f1_{name}": float(f1) for name, f1 in zip(class_names, f1_of_each, strict=True)},
        }

    def judge(self, scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return scores.max(axis=-1, initial=0), scores.argmax(axis=-1) == labels

    def log_loss(self, logits: np.ndarray, labels: np.ndarray, smoothing: float) -> float:
        log_scores = log_softmax(logits, axis=-1)
        of_label = np.take_along_axis(log_scores, labels[:, None].astype(int), axis=-1)
        return -float(np.mean((1 - smoothing) * of_label[:, 0] + smoothing * log_scores.mean(axis=-1)))


class SeveralLabels(Task):
    """Any number of labels per utterance, each of them present or absent."""

    problem_type = MULTI_LABEL
    several_labels = True
    unknown_label = math.nan
    main_metric = "weighted_f1"
    directions = _OF_CLASSES
    class_prefixes = ("f1_", "weighted_f1_")

    def label_shape(self, num_utterances: int, num_labels: int) -> tuple[int, ...]:
        return num_utterances, num_labels

    def scores(self, logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        return expit(np.asarray(logits, np.float64) / temperature)

    def metrics(self, logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
        predicted, true = logits > 0, labels > 0.5
        # Label by label: in a single column scikit-learn would take "absent" for a second label.
        f1_of_each = [
            f1_score(of_label, found, zero_division=0) for of_label, found in zip(true.T, predicted.T, strict=True)
        ]
        counts = true.sum(axis=0)
        metrics = {
            "weighted_f1": float(np.dot(f1_of_each, counts) / max(counts.sum(), 1)),
            "accuracy": float((predicted == true).all(axis=-1).mean()),
        }
        for index, name in enumerate(class_names):
            both_classes = f1_score(true[:, index], predicted[:, index], average="weighted", zero_division=0)
            metrics[f"f1_{name}"] = float(f1_of_each[index])
            metrics[f"weighted_f1_{name}"] = float(both_classes)
        return metrics

    def judge(self, scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return scores.ravel(), labels.ravel() > 0.5

    def log_loss(self, logits: np.ndarray, labels: np.ndarray, smoothing: float) -> float:
        target = labels * (1 - smoothing) + smoothing / 2
        return -float(np.mean(target * log_expit(logits) + (1 - target) * log_expit(-logits)))


class Regression(Task):
    """One number per utterance, such as the sentiment from -3 to 3."""

    problem_type = REGRESSION
    has_classes = False
    unknown_label = math.nan
    main_metric = "mae"
    directions = {"mae": False, "correlation": True, "acc_2": True, "acc_2_nonzero": True, "acc_7": True}

    def class_names(self, config: Any) -> list[str]:
        return []

    def scores(self, logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        return logits

    def metrics(self, logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
        predicted = logits[:, 0].astype(np.float64)
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


TASKS: dict[str, Task] = {task.problem_type: task for task in (SingleLabel(), SeveralLabels(), Regression())}
"""`problem_type` -> task."""


def task_of(subject: Any) -> Task:
    """Return the task of a model, a configuration or a `problem_type`; one label where that is left open.

    Raises:
        ValueError: there is no such task.
    """
    problem_type = subject if subject is None or isinstance(subject, str) else subject.problem_type
    if problem_type is None:
        return TASKS[SINGLE_LABEL]
    if problem_type not in TASKS:
        raise ValueError(f"unknown `problem_type` {problem_type!r}; choose from {', '.join(TASKS)}")
    return TASKS[problem_type]


def greater_is_better(metric: str) -> bool | None:
    """Whether the highest value of a metric of any task is the best one; None for a metric that none of them knows."""
    known = (task.greater_is_better(metric) for task in TASKS.values())
    return next((direction for direction in known if direction is not None), None)


def is_class_metric(metric: str) -> bool:
    """Whether a metric is that of a single class."""
    return any(metric.startswith(task.class_prefixes) for task in TASKS.values())
