"""Scores for a model card: of one run as they are, of several as mean ± standard deviation."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import EvalResult

from ..evaluation.task import task_of
from ..runs.names import CONFUSION_MATRIX
from ..runs.recipe import RunFolder
from ..runs.summary import ConfusionMatrix, RunSummary
from .dataset_names import dataset_id
from .markdown import one_line, plain, table

# The Hub has no task of this name; a model-index may name one that it does not list.
TASK_TYPE, TASK_NAME = "emotion-recognition", "Emotion Recognition in Conversation"


@dataclass(frozen=True)
class Metric:
    """The name of a key of the results."""

    name: str
    hub_type: str
    """Its id among the metrics of the Hub."""
    arguments: Mapping[str, Any] | None = None


METRICS = {
    "weighted_f1": Metric("Weighted F1", "f1", {"average": "weighted"}),
    "macro_f1": Metric("Macro F1", "f1", {"average": "macro"}),
    "micro_f1": Metric("Micro F1", "f1", {"average": "micro"}),
    "micro_f1_without_neutral": Metric("Micro F1 without the neutral class", "f1", {"average": "micro"}),
    "accuracy": Metric("Accuracy", "accuracy"),
    "unweighted_accuracy": Metric("Unweighted accuracy (mean recall)", "recall", {"average": "macro"}),
    "mae": Metric("Mean absolute error", "mae"),
    "correlation": Metric("Pearson correlation", "pearsonr"),
    "ccc": Metric("Concordance correlation", "concordance_correlation"),
    "acc_2": Metric("Accuracy, negative or non-negative", "accuracy"),
    "f1_2": Metric("Weighted F1, negative or non-negative", "f1", {"average": "weighted"}),
    "acc_2_nonzero": Metric("Accuracy, negative or positive", "accuracy"),
    "f1_2_nonzero": Metric("Weighted F1, negative or positive", "f1", {"average": "weighted"}),
    "acc_3": Metric("Accuracy, -1 to 1", "accuracy"),
    "acc_5": Metric("Accuracy, -2 to 2", "accuracy"),
    "acc_7": Metric("Accuracy, -3 to 3", "accuracy"),
}
# Calibration and training: not what models are compared by.
_OTHER_KEYS = ("ece", "loss", "discriminator_accuracy")
# Beginning of a key that ends in a label -> its name.
_PER_CLASS = {
    "f1_": "F1",
    "weighted_f1_": "F1 of present and absent, weighted",
    "mae_": METRICS["mae"].name,
    "correlation_": METRICS["correlation"].name,
    "ccc_": METRICS["ccc"].name,
}
_SUPPORT = "support_"
_COUNTED = ("Precision", "Recall", "Support")
_PICTURE = f"{CONFUSION_MATRIX}.png"


def labels_of(run: RunFolder) -> list[str]:
    """Return the names of the classes, in the model's order; none for regression."""
    return task_of(run.config).class_names(run.config)


def names_of(run: RunFolder) -> list[str]:
    """Return the names of the classes, or of the values where there are several, in the model's order."""
    return task_of(run.config).output_names(run.config) if run.config.num_labels > 1 else []


def metric_name(key: str) -> str:
    """Return the name of a key of the results; an unknown key stays as it is."""
    return METRICS[key].name if key in METRICS else key


def overall_keys(results: Mapping[str, float], labels: Iterable[str]) -> list[str]:
    """Return the keys of scores over all classes, those of `METRICS` first."""
    per_class = {prefix + label for prefix in (*_PER_CLASS, _SUPPORT) for label in labels}
    keys = [key for key in results if key not in per_class and not key.startswith(_OTHER_KEYS)]
    return sorted(keys, key=lambda key: list(METRICS).index(key) if key in METRICS else len(METRICS))


def mean_and_spread(values: Sequence[float]) -> str:
    """Write one value as `0.601`, several as `0.601 ± 0.005` (standard deviation, n - 1), and unknown ones as `-`."""
    if not values or not all(map(math.isfinite, values)):
        return "-"
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"


def values_of(results: Iterable[Mapping[str, float]], key: str) -> list[float]:
    """Return the key's value in each run, or [] if one lacks it."""
    values = [of_run.get(key) for of_run in results]
    return [float(value) for value in values if value is not None] if None not in values else []


def eval_results(
    results: Sequence[Mapping[str, float]], labels: Sequence[str], dataset_name: str, split: str
) -> list[EvalResult]:
    """Make the entries of a `model-index`, one for each of `METRICS`, which the Hub knows.

    Args:
        results: the scores of each run on this split.
        labels: names of the classes, whose own scores are left out.
    """
    entries = []
    for key in overall_keys(results[0], labels):
        values = values_of(results, key)
        if key not in METRICS or not values or not all(map(math.isfinite, values)):
            continue
        metric = METRICS[key]
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


def describe_scores(runs: Sequence[RunFolder], summary: RunSummary) -> dict[str, Any]:
    """Return what the template says of the results.

    Args:
        runs: the run of the card, and runs with other seeds.
        summary: that of the run of the card.
    """
    run = runs[0]
    splits = [split for split in ("validation", "test") if split in run.results]
    variables: dict[str, Any] = {
        "scores": _score_table(runs, splits),
        "tested": "test" in splits,
        "seeds": [str(other.summary.seed) for other in runs if other.summary] if len(runs) > 1 else None,
    }
    if not splits:
        return variables
    matrix = summary.confusion_matrix
    return variables | {
        "headline": _headline(runs) if "test" in splits else None,
        "left_out": _left_out(summary, splits),
        "split": splits[-1],
        "class_scores": _class_table(runs, splits[-1], matrix),
        "confusion": _confusion_table(matrix) if matrix else None,
        "confusion_split": matrix.split if matrix else None,
        "picture": _PICTURE if (run.folder / _PICTURE).is_file() else None,
        **_describe_calibration(run, splits),
    }


def _headline(runs: Sequence[RunFolder]) -> tuple[str, str] | None:
    """Name and value of the score that comes first."""
    results = [run.results["test"] for run in runs]
    key = next(iter(overall_keys(results[0], names_of(runs[0]))), None)
    return None if key is None else (plain(metric_name(key)), mean_and_spread(values_of(results, key)))


def _score_table(runs: Sequence[RunFolder], splits: Sequence[str]) -> str:
    """Scores over all classes: of this run, and of all runs where there are several."""
    if not splits:
        return ""
    run = runs[0]
    labels = names_of(run)
    keys = list(dict.fromkeys(key for split in splits for key in overall_keys(run.results[split], labels)))
    columns = [(split, [run]) for split in splits]
    header = ["Score", *splits]
    if len(runs) > 1:
        header = [
            "Score",
            *(f"{split}, {len(runs)} seeds" for split in splits),
            *(f"{split}, these weights" for split in splits),
        ]
        columns = [(split, runs) for split in splits] + columns
    rows = [
        [
            plain(metric_name(key)),
            *(
                mean_and_spread(values_of([of_seed.results[split] for of_seed in shown], key))
                for split, shown in columns
            ),
        ]
        for key in keys
    ]
    return table(header, rows) if rows else ""


def _class_table(runs: Sequence[RunFolder], split: str, matrix: ConfusionMatrix | None) -> str:
    """F1 of each class, and precision, recall and support where there is a confusion matrix of the split."""
    results, labels = [run.results[split] for run in runs], names_of(runs[0])
    prefixes = [prefix for prefix in _PER_CLASS if any(f"{prefix}{label}" in results[0] for label in labels)]
    if not prefixes:
        return ""
    counts = _counts_of_classes(matrix) if matrix and matrix.split == split else {}
    counted = _COUNTED if counts else ()
    supports = {label: results[0].get(f"{_SUPPORT}{label}") for label in labels}
    if not counts and None not in supports.values():
        counts, counted = {label: [f"{support:,.0f}"] for label, support in supports.items()}, _COUNTED[-1:]
    what = "Class" if labels_of(runs[0]) else "Value"
    rows = []
    for label in labels:
        scores = [mean_and_spread(values_of(results, f"{prefix}{label}")) for prefix in prefixes]
        rows.append([plain(label), *scores, *counts.get(label, ["-"] * len(counted))])
    return table([what, *(_PER_CLASS[prefix] for prefix in prefixes), *counted], rows)


def _left_out(summary: RunSummary, splits: Iterable[str]) -> list[str]:
    """Sentences that say which metrics a split does not have, and why."""
    sentences = []
    for split in splits:
        names: dict[str, list[str]] = {}
        for metric, reason in summary.left_out.get(split, {}).items():
            names.setdefault(reason, []).append(f"`{metric}`")
        sentences += [f"Left out on {split}: {', '.join(of)}. Each {plain(reason)}." for reason, of in names.items()]
    return sentences


def _confusion_table(matrix: ConfusionMatrix) -> str:
    names = [plain(label) for label in matrix.labels]
    rows = [[name, *(f"{count:,}" for count in row)] for name, row in zip(names, matrix.counts, strict=True)]
    return table(["True", *names], rows)


def _counts_of_classes(matrix: ConfusionMatrix) -> dict[str, list[str]]:
    """Label -> precision, recall and support; "-" for a share of nothing."""
    counts = matrix.counts
    found = {}
    for index, label in enumerate(matrix.labels):
        right, true, predicted = counts[index][index], sum(counts[index]), sum(row[index] for row in counts)
        shares = [f"{right / whole:.3f}" if whole else "-" for whole in (predicted, true)]
        found[label] = [*shares, f"{true:,}"]
    return found


def _describe_calibration(run: RunFolder, splits: Sequence[str]) -> dict[str, Any]:
    measured = [split for split in splits if "ece" in run.results[split]]
    if not measured:
        return {}
    # Without a temperature, results have one error alone.
    is_calibrated = all("ece_uncalibrated" in run.results[split] for split in measured)
    keys = {"before": "ece_uncalibrated", "after": "ece"} if is_calibrated else {"of the scores": "ece"}
    rows = [
        [name, *(mean_and_spread(values_of([run.results[split]], key)) for split in measured)]
        for name, key in keys.items()
    ]
    temperature = getattr(run.config, "calibration_temperature", 1.0)
    return {
        "temperature": f"{temperature:.3f}" if is_calibrated else None,
        "calibration": table(["Expected calibration error", *measured], rows),
    }
