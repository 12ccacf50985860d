"""The three kinds of task: one label per utterance, several labels, or values.

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
    "macro_f1": True,
    "micro_f1": True,
    "micro_f1_without_neutral": True,
    "accuracy": True,
    "unweighted_accuracy": True,
    "ece": False,
    "ece_uncalibrated": False,
}
# How corpora call the class of no emotion; blanks, hyphens and underscores are left out.
_NEUTRAL = {"neutral", "neu", "noemotion", "neutralstate"}
# Sentiment of CMU-MOSI and CMU-MOSEI.
_LEAST_SENTIMENT, _MOST_SENTIMENT = -3, 3
_OF_SIGNS = ("acc_2", "f1_2", "acc_2_nonzero", "f1_2_nonzero")
_OF_STEPS = ("acc_3", "acc_5", "acc_7")


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
    class_prefixes: Mapping[str, bool]
    """Beginning of the metrics that exist once per class, or per value -> whether the highest value is the best one.

    `support_` counts the utterances of a class, which is no score; more of them make the others surer.
    """

    def label_shape(self, num_utterances: int, num_labels: int) -> tuple[int, ...]:
        """The shape of the labels of packed utterances."""
        return (num_utterances,)

    def class_names(self, config: Any) -> list[str]:
        """Names of the classes in the model's order; none for regression."""
        return self.output_names(config) if self.has_classes else []

    def output_names(self, config: Any) -> list[str]:
        """Names of the classes or, where there are several, of the values in the model's order."""
        return [str(config.id2label[index]) for index in range(config.num_labels)]

    def labelled_rows(self, rows: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """The predictions and the labels of the utterances whose label is known.

        Args:
            rows: (..., num_labels) logits or scores. Any leading shape will do: packed (N, ...) or padded (dialogues,
                utterances, ...).
            labels: (...) with -100 (or NaN) where unknown or padded; (..., num_labels) for several labels at once,
                unknown in the whole row, and for several values, of which a row may hold some.

        Returns:
            (known, num_labels) and (known,), or (known, num_labels) for several labels at once and for several values,
            with NaN where one of these is unknown.
        """
        rows, labels = np.asarray(rows), np.asarray(labels)
        rows = rows.reshape(-1, rows.shape[-1])
        labels = labels.reshape(self.label_shape(*rows.shape))
        unknown = (labels == IGNORED_LABEL) | np.isnan(labels)
        if unknown.ndim == 1:
            return rows[~unknown], labels[~unknown]
        known = ~unknown.all(axis=-1)
        return rows[known], np.where(unknown, np.nan, labels)[known]

    @abstractmethod
    def scores(self, logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Turn (N, num_labels) logits into the model's scores: probabilities, or the values themselves."""

    @abstractmethod
    def metrics(self, logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
        """The metrics of known labels that need no probabilities, as `compute_metrics` names them."""

    def left_out(self, label_ranges: Mapping[str, Sequence[float]]) -> dict[str, str]:
        """Return the metrics that labels of these ranges do not have, because they are on another scale -> why.

        Args:
            label_ranges: the lowest and the highest known label of each value of a regression.
        """
        return {}

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
        for prefix, is_greater_better in self.class_prefixes.items():
            if metric.startswith(prefix):
                return is_greater_better
        return False if metric == "loss" or metric.startswith("loss_") else None

    def is_class_metric(self, metric: str) -> bool:
        """Whether a metric is that of a single class, or of a single one of several values."""
        return metric not in self.directions and metric.startswith(tuple(self.class_prefixes))


class SingleLabel(Task):
    """One class per utterance."""

    problem_type = SINGLE_LABEL
    unknown_label = IGNORED_LABEL
    main_metric = "weighted_f1"
    directions = _OF_CLASSES
    class_prefixes = {"f1_": True, "support_": True}

    def scores(self, logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        return softmax(np.asarray(logits, np.float64) / temperature, axis=-1)

    def metrics(self, logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
        predicted = logits.argmax(-1)
        classes = list(range(len(class_names)))
        f1_of_each = f1_score(labels, predicted, labels=classes, average=None, zero_division=0)
        # Only classes that occur: a class that is predicted but never true has no recall.
        recalls = [(predicted[labels == present] == present).mean() for present in np.unique(labels)]
        metrics = {
            "weighted_f1": float(f1_score(labels, predicted, labels=classes, average="weighted", zero_division=0)),
            # As scikit-learn does: over the classes that are true or predicted anywhere.
            "macro_f1": float(np.mean(f1_of_each[np.union1d(labels, predicted).astype(int)])),
            "accuracy": float(accuracy_score(labels, predicted)),
            "unweighted_accuracy": float(np.mean(recalls)),
        }
        emotions = [index for index, name in enumerate(class_names) if not is_neutral(name)]
        if 0 < len(emotions) < len(classes):
            micro = f1_score(labels, predicted, labels=emotions, average="micro", zero_division=0)
            metrics["micro_f1_without_neutral"] = float(micro)
        metrics |= {f"f1_{name}": float(f1) for name, f1 in zip(class_names, f1_of_each, strict=True)}
        return metrics | _support(np.bincount(labels.astype(int), minlength=len(classes)), class_names)

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
    class_prefixes = {"f1_": True, "weighted_f1_": True, "support_": True}

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
            "macro_f1": float(np.mean(f1_of_each)),
            "micro_f1": float(f1_score(true.ravel(), predicted.ravel(), zero_division=0)),
            "accuracy": float((predicted == true).all(axis=-1).mean()),
        }
        for index, name in enumerate(class_names):
            both_classes = f1_score(true[:, index], predicted[:, index], average="weighted", zero_division=0)
            metrics[f"f1_{name}"] = float(f1_of_each[index])
            metrics[f"weighted_f1_{name}"] = float(both_classes)
        return metrics | _support(counts, class_names)

    def judge(self, scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return scores.ravel(), labels.ravel() > 0.5

    def log_loss(self, logits: np.ndarray, labels: np.ndarray, smoothing: float) -> float:
        target = labels * (1 - smoothing) + smoothing / 2
        return -float(np.mean(target * log_expit(logits) + (1 - target) * log_expit(-logits)))


class Regression(Task):
    """A number per utterance, such as the sentiment from -3 to 3, or several, such as valence and arousal."""

    problem_type = REGRESSION
    has_classes = False
    unknown_label = math.nan
    main_metric = "mae"
    directions = {"mae": False, "correlation": True, "ccc": True} | dict.fromkeys((*_OF_SIGNS, *_OF_STEPS), True)
    class_prefixes = {"mae_": False, "correlation_": True, "ccc_": True, "support_": True}

    def label_shape(self, num_utterances: int, num_labels: int) -> tuple[int, ...]:
        return (num_utterances,) if num_labels == 1 else (num_utterances, num_labels)

    def scores(self, logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        return logits

    def metrics(self, logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
        if labels.ndim == 2:
            return self._metrics_of_each(logits, labels, class_names)
        predicted = logits[:, 0].astype(np.float64)
        true = labels.astype(np.float64)
        metrics = _agreement(predicted, true)
        left_out = self.left_out({"value": (float(true.min()), float(true.max()))})
        if "acc_2" not in left_out:
            nonzero = true != 0  # there is one: both signs occur
            metrics |= _of_signs(predicted >= 0, true >= 0, "")
            metrics |= _of_signs(predicted[nonzero] > 0, true[nonzero] > 0, "_nonzero")
        for name in _OF_STEPS:
            if name not in left_out:
                end = int(name.removeprefix("acc_")) // 2
                steps = (np.round(values.clip(-end, end)) for values in (predicted, true))
                metrics[name] = float(np.equal(*steps).mean())
        return metrics

    def _metrics_of_each(self, logits: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        """The metrics of each value of which a label is known, and their means."""
        of_each, counts = {}, {}
        for index, name in enumerate(names):
            known = ~np.isnan(labels[:, index])
            counts[f"support_{name}"] = float(known.sum())
            if known.any():
                of_each[name] = _agreement(*(rows[known, index].astype(np.float64) for rows in (logits, labels)))
        means = {
            metric: float(np.mean([of_value[metric] for of_value in of_each.values()]))
            for metric in ("mae", "correlation", "ccc")
        }
        single = {f"{metric}_{name}": value for name, found in of_each.items() for metric, value in found.items()}
        return means | single | counts

    def left_out(self, label_ranges: Mapping[str, Sequence[float]]) -> dict[str, str]:
        """As in the base class: the metrics of a sentiment from -3 to 3. Several values never have them."""
        if len(label_ranges) != 1:
            return {}
        ((lowest, highest),) = label_ranges.values()
        lie = f"these lie between {lowest:g} and {highest:g}"
        if not (_LEAST_SENTIMENT <= lowest < 0 < highest <= _MOST_SENTIMENT):
            return dict.fromkeys((*_OF_SIGNS, *_OF_STEPS), f"needs labels of both signs from -3 to 3, and {lie}")
        if max(-lowest, highest) <= 1:
            return dict.fromkeys(_OF_STEPS, f"counts the steps of a scale from -3 to 3, and {lie}")
        return {}


def _agreement(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Error and correlations of one value. What never varies correlates with nothing."""
    varies = np.ptp(predicted) > 0 and np.ptp(true) > 0
    spread = predicted.var() + true.var() + (predicted.mean() - true.mean()) ** 2
    covariance = ((predicted - predicted.mean()) * (true - true.mean())).mean()
    return {
        "mae": float(np.abs(predicted - true).mean()),
        "correlation": float(np.corrcoef(predicted, true)[0, 1]) if varies else 0.0,
        "ccc": float(2 * covariance / spread) if varies else 0.0,
    }


def _of_signs(predicted: np.ndarray, true: np.ndarray, suffix: str) -> dict[str, float]:
    """Accuracy and weighted F1 of two classes, as the papers on CMU-MOSI and CMU-MOSEI report them."""
    return {
        f"acc_2{suffix}": float((predicted == true).mean()),
        f"f1_2{suffix}": float(f1_score(true, predicted, average="weighted", zero_division=0)),
    }


def _support(counts: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """How many utterances have each class."""
    return {f"support_{name}": float(count) for name, count in zip(class_names, counts, strict=True)}


def is_neutral(class_name: str) -> bool:
    """Whether a class is that of no emotion, which DailyDialog's scores leave out."""
    return "".join(letter for letter in class_name.casefold() if letter.isalpha()) in _NEUTRAL


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
    """Whether a metric of some task is that of a single class, or of a single one of several values."""
    return any(task.is_class_metric(metric) for task in TASKS.values())
