"""Scores for a model card: of one run as they are, of several as mean ± standard deviation."""

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from huggingface_hub import EvalResult

from .markdown import one_line

# The Hub has no task of this name; a model-index may name one that it does not list.
TASK_TYPE, TASK_NAME = "emotion-recognition", "Emotion Recognition in Conversation"


@dataclass(frozen=True)
class Metric:
    """How a key of the results is called."""

    name: str
    hub_type: str
    """Its id among the metrics of the Hub."""
    arguments: Mapping[str, Any] | None = None


METRICS = {
    "weighted_f1": Metric("Weighted F1", "f1", {"average": "weighted"}),
    "accuracy": Metric("Accuracy", "accuracy"),
    "unweighted_accuracy": Metric("Unweighted accuracy (mean recall)", "recall", {"average": "macro"}),
    "mae": Metric("Mean absolute error", "mae"),
    "correlation": Metric("Pearson correlation", "pearsonr"),
    "acc_2": Metric("Accuracy, negative or not", "accuracy"),
    "acc_2_nonzero": Metric("Accuracy, negative or positive", "accuracy"),
    "acc_7": Metric("Accuracy, -3 to 3", "accuracy"),
}
# Of calibration and training: not what a model is compared by.
_OTHER_KEYS = ("ece", "ece_uncalibrated", "loss")
_PER_CLASS = ("f1_", "weighted_f1_")

_SPLIT_WORDS = ("train", "training", "test", "testing", "dev", "valid", "validation", "val", "eval")
_SPLIT = re.compile(rf"(?:^|[._-])(?:{'|'.join(_SPLIT_WORDS)})(?:-\d+-of-\d+)?(?=$|[._-])", re.IGNORECASE)
_DATA_SUFFIX = re.compile(r"\.(?:jsonl|ndjson|json|parquet)$", re.IGNORECASE)
_LONGEST_ID = 96


def metric_of(key: str) -> Metric:
    """The metric that a key of the results stands for; an unknown one is called by its key."""
    name = one_line(key)
    return METRICS.get(key, Metric(name, name))


def overall_keys(results: Mapping[str, float], labels: Iterable[str]) -> list[str]:
    """The keys of scores over all classes, in their order."""
    per_class = {prefix + label for prefix in _PER_CLASS for label in labels}
    return [key for key in results if key not in per_class and key not in _OTHER_KEYS]


def mean_and_spread(values: Sequence[float]) -> str:
    """`0.601` of one value, `0.601 ± 0.005` of several (standard deviation, n - 1), and `-` of what is not known."""
    if not values or not all(map(math.isfinite, values)):
        return "-"
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"


def values_of(results: Iterable[Mapping[str, float]], key: str) -> list[float]:
    """The key's value in each run, or [] if one lacks it."""
    values = [one.get(key) for one in results]
    return [float(value) for value in values if value is not None] if None not in values else []


def eval_results(
    results: Sequence[Mapping[str, float]], labels: Sequence[str], dataset_name: str, split: str
) -> list[EvalResult]:
    """Entries of a `model-index`, one for each score over all classes.

    Args:
        results: the scores of each run on this split.
        labels: names of the classes, whose own scores are left out.
    """
    entries = []
    for key in overall_keys(results[0], labels):
        values = values_of(results, key)
        if not values or not all(map(math.isfinite, values)):
            continue
        metric = metric_of(key)
        entries.append(
            EvalResult(
                task_type=TASK_TYPE,
                task_name=TASK_NAME,
                dataset_type=dataset_id(dataset_name),
                dataset_name=one_line(dataset_name),
                dataset_split=split,
                metric_type=metric.hub_type,
                metric_name=metric.name,
                metric_args=None if metric.arguments is None else dict(metric.arguments),
                metric_value=round(values[0], 4) if len(values) == 1 else mean_and_spread(values),
            )
        )
    return entries


def dataset_name_of(source: str) -> str:
    """What to call a data set of this file, folder or Hub id: `data/meld/test.parquet` -> `meld`."""
    parts = [part for part in PurePath(source.replace("\\", "/")).parts if part.strip("/.")]
    if not parts:
        return one_line(source) or "unknown"
    if not _DATA_SUFFIX.search(parts[-1]):  # a Hub id or a folder
        return "/".join(parts) if len(parts) <= 2 and not source.startswith(("/", ".")) else parts[-1]
    stem = _SPLIT.sub("", _DATA_SUFFIX.sub("", parts[-1])).strip("._-")
    if stem:
        return stem
    return parts[-2] if len(parts) > 1 else parts[-1]


def dataset_id(name: str) -> str:
    """An id that the Hub takes, as near to the name as can be: `MELD (7 emotions)` -> `MELD-7-emotions`."""
    parts = [re.sub(r"[^A-Za-z0-9._-]+", "-", part) for part in name.split("/", 1)]
    parts = [re.sub(r"([.-])[.-]+", r"\1", part).strip("-.") for part in parts]
    joined = "/".join(part for part in parts if part)[:_LONGEST_ID].rstrip("-./")
    return joined.removesuffix(".git") or "dataset"
