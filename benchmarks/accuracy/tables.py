"""The tables of the accuracy benchmark, as Markdown."""

from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks.accuracy.claims import judge_claims
from benchmarks.accuracy.paired_bootstrap import RESAMPLES
from benchmarks.accuracy.results import Measured


def report(measured: Measured) -> str:
    """Format all tables that the cells allow, and the claims."""
    parts = [accuracy_table(measured)]
    if not measured.is_single_label:
        parts.append("No bootstrap: it resamples predicted classes, which need data with one class per utterance.")
        return "\n\n".join(parts)
    parts += ["### F1 of each class", class_table(measured)]
    if len(measured.cells) > 1:
        parts += [f"### Difference in weighted F1 from {measured.first}", difference_table(measured)]
    claims = judge_claims(measured)
    if claims:
        parts += ["### Claims of the papers", "\n".join(f"- {claim}" for claim in claims)]
    return "\n\n".join(parts)


def accuracy_table(measured: Measured) -> str:
    """Format mean ± standard deviation over seeds, and the share of the best possible accuracy where it is known."""
    best = measured.corpus.get("best_possible_accuracy")
    metrics = [name for name in measured.cells[measured.first][0]["test"] if "f1_" not in name]
    header = [
        "variant",
        "parameters",
        f"validation {metric_title(measured.metric)}",
        *(f"test {metric_title(name)}" for name in metrics),
    ]
    rows = []
    for variant, cells in measured.cells.items():
        row = [variant, f"{cells[0]['parameters']:,}", spread(measured.values(variant, part="validation"))]
        row += [spread(measured.values(variant, metric)) for metric in metrics]
        if best:
            row.append(f"{measured.values(variant, 'accuracy').mean() / best:.1%}")
        rows.append(row)
    lines = [markdown_table(header + (["share of the best possible"] if best else []), rows)]
    if best:
        reached = measured.corpus["accuracy_of_best_decisions"]
        lines.append(f"Best possible accuracy by exact inference: {best:.3f} expected, {reached:.3f} on these labels.")
    what = of_seeds(measured, "Mean ± standard deviation")
    lines.append(f"{what}; checkpoints were chosen on validation only.")
    return "\n\n".join(lines)


def class_table(measured: Measured) -> str:
    """Format the F1 of each class on the test set."""
    rows = [
        [variant, *(spread(measured.values(variant, f"f1_{label}")) for label in measured.labels)]
        for variant in measured.cells
    ]
    return markdown_table(["variant", *measured.labels], rows)


def difference_table(measured: Measured) -> str:
    """Format the difference of each variant from the first one, by the paired bootstrap."""
    rows = []
    for variant in list(measured.cells)[1:]:
        found = measured.bootstrap.difference(variant, measured.first)
        rows.append([variant, f"{found.value:+.3f}", f"[{found.low:+.3f}, {found.high:+.3f}]", f"{found.p:.4f}"])
    note = (
        f"Paired bootstrap, {RESAMPLES:,} draws of the {len(measured.corpus['gold'])} scored dialogues; the score of "
        "a draw is the mean over seeds. It accounts for the choice of these dialogues, not of the training dialogues."
    )
    return markdown_table(["variant", "difference", "95 % interval", "p"], rows) + "\n\n" + note


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format rows of cells as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def metric_title(name: str) -> str:
    """Return the name of a metric in tables and figures."""
    return {"weighted_f1": "weighted F1", "mae": "mean absolute error"}.get(name, name.replace("_", " "))


def of_seeds(measured: Measured, what: str) -> str:
    """Describe how a figure was made, such as "mean of 5 seeds"; a single seed has no mean."""
    number = len(measured.cells[measured.first])
    return "1 seed" if number == 1 else f"{what} of {number} seeds"


def spread(values: np.ndarray) -> str:
    """Format mean ± standard deviation of the sample, or a single value alone."""
    return f"{values.mean():.3f} ± {deviation(values):.3f}" if len(values) > 1 else f"{values.mean():.3f}"


def deviation(values: np.ndarray) -> float:
    """Return the standard deviation of the sample, 0 for a single value."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
