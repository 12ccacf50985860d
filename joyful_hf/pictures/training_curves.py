"""A picture of a training run: losses, the metric that chose the checkpoint, and the learning rate, by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..processing import DialogueError
from .fonts import with_glyphs
from .style import (
    COLOURS,
    LINES,
    MARKERS,
    SMALL,
    Axes,
    Figure,
    without_frame,
)

_METRICS = {"weighted_f1": "weighted F1", "mae": "mean absolute error"}
_Curve = tuple[list[float], list[float]]


def plot_training_curves(
    log_history: Sequence[Mapping[str, Any]], metric: str = "weighted_f1", best_step: int | None = None
) -> Figure:
    """Draw training and validation loss, the parts of the training loss, the validation metric and the learning rate.

    A panel for which the log has no values is left out.

    Args:
        log_history: the field of transformers' trainer state, as in `trainer_state.json`.
        metric: name of the validation metric, without `eval_`.
        best_step: step of the chosen checkpoint (`best_global_step` of the trainer state), which is marked.

    Raises:
        DialogueError: the log holds no loss.
    """
    entries = []
    for entry in log_history:
        if "train_runtime" in entry:  # what follows is the finished run's evaluation
            break
        entries.append(entry)

    def curve(name: str) -> _Curve:
        found = [(entry["epoch"], entry[name]) for entry in entries if name in entry and "epoch" in entry]
        return [epoch for epoch, _ in found], [value for _, value in found]

    parts = sorted({name for entry in entries for name in entry if name.startswith("loss_")})
    panels = {
        "loss": {"training": curve("loss"), "validation": curve("eval_loss")},
        "parts of the training loss (unweighted)": {
            name.removeprefix("loss_").replace("_", " "): curve(name) for name in parts
        },
        f"validation {_METRICS.get(metric, metric.replace('_', ' '))}": {"validation": curve(f"eval_{metric}")},
        "learning rate": {"learning rate": curve("learning_rate")},
    }
    panels = {
        title: {name: points for name, points in curves.items() if points[0]} for title, curves in panels.items()
    }
    if not panels["loss"]:
        raise DialogueError("the training log holds no loss; was a step logged at all?")
    panels = {title: curves for title, curves in panels.items() if curves}
    best = next((entry["epoch"] for entry in entries if best_step and entry.get("step") == best_step), None)

    columns = 2 if len(panels) > 1 else 1
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in list(grid.flat)[len(panels) :]:
        axes.remove()
    for axes, (title, curves) in zip(grid.flat, panels.items(), strict=False):
        _draw_panel(axes, title, curves, best)
    if best is not None:
        figure.suptitle(f"grey line: the chosen checkpoint, epoch {best:g}", size="medium")
    return with_glyphs(figure)


def _draw_panel(axes: Axes, title: str, curves: Mapping[str, _Curve], best: float | None) -> None:
    for index, (name, (epochs, values)) in enumerate(curves.items()):
        # The line style changes after every round of markers, so that 16 curves differ.
        style = MARKERS[index % len(MARKERS)] + LINES[(index + index // len(MARKERS)) % len(LINES)]
        colour = COLOURS[index % len(COLOURS)]
        every = max(1, len(epochs) // 12)
        axes.plot(
            epochs, values, style, color=colour, markersize=4, markevery=every, markerfacecolor="white", label=name
        )
    if best is not None:
        axes.axvline(best, color="0.75", linewidth=3, zorder=0)
        values = [value for epoch, value in zip(*curves.get("validation", ([], [])), strict=True) if epoch == best]
        if values and len(curves) == 1:
            title = f"{title}, {values[-1]:.3f} in the chosen epoch"
    axes.set_title(title, size="medium")
    axes.set_xlabel("epoch")
    axes.locator_params(axis="x", integer=True)
    axes.grid(axis="y", linewidth=0.4)
    if len(curves) > 1:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False, fontsize=SMALL)
    without_frame(axes)
