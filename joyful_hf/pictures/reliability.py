"""A picture of whether the probabilities of a model say how often it is right."""

from typing import Any

import numpy as np

from ..evaluation.calibration import DEFAULT_NUM_BINS, calibration_error_by_chance, reliability_bins
from ..processing import DialogueError
from .fonts import with_glyphs
from .style import (
    SMALL,
    Axes,
    Figure,
    without_frame,
)


def plot_reliability(
    scores: Any, labels: Any, uncalibrated_scores: Any = None, num_bins: int = DEFAULT_NUM_BINS
) -> Figure:
    """Draw how often the model is right against how sure it is, with the expected calibration error (ECE).

    Below each diagram is the number of predictions in each bin. On the dotted diagonal the probabilities are true.
    Beside the error stands the one that true probabilities would have on so few predictions.

    Args:
        scores: (N, labels) probabilities.
        labels: (N,) classes, -100 where unknown; or (N, labels) zeros and ones for several labels at once, where
            every probability counts as a prediction.
        uncalibrated_scores: (N, labels) probabilities before calibration, drawn beside the others.
        num_bins: number of bins of equal width from 0 to 1.

    Raises:
        DialogueError: no label is known.
    """
    panels = {"probabilities": scores}
    if uncalibrated_scores is not None:
        panels = {"before calibration": uncalibrated_scores, "after calibration": scores}
    figure = Figure(figsize=(0.6 + 3.4 * len(panels), 4.4), layout="constrained")
    grid = figure.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False, height_ratios=[3, 1])
    for (title, panel), (above, below) in zip(panels.items(), grid.T, strict=True):
        bins = reliability_bins(np.asarray(panel), np.asarray(labels), num_bins)
        if not bins.count.sum():
            raise DialogueError("a reliability diagram needs labels, and no utterance has one")
        by_chance = calibration_error_by_chance(np.asarray(panel), np.asarray(labels), num_bins)
        _draw_panel(above, below, bins, by_chance)
        above.set_title(f"{title}: ECE {bins.error:.3f}", size="medium")
    grid[0, 0].set_ylabel("accuracy")
    grid[1, 0].set_ylabel("predictions")
    for axes in grid[1]:
        axes.set_xlabel("confidence")
    return with_glyphs(figure)


def _draw_panel(above: Axes, below: Axes, bins: Any, by_chance: float) -> None:
    edges = np.linspace(0, 1, len(bins.count) + 1)
    filled = bins.count > 0
    above.plot([0, 1], [0, 1], color="black", linestyle=":", linewidth=1)
    centres, width = (edges[:-1] + edges[1:]) / 2, edges[1]
    above.bar(centres[filled], bins.accuracy[filled], width, color="0.85", edgecolor="black", linewidth=0.8)
    # From the mean confidence of a bin to its accuracy: what the ECE adds up.
    above.vlines(
        bins.confidence[filled], bins.accuracy[filled], bins.confidence[filled], color="#D55E00", linewidth=2.5
    )
    above.plot(bins.confidence[filled], bins.accuracy[filled], "o", color="black", markersize=3.5)
    above.set_xlim(0, 1)
    above.set_ylim(0, 1)
    explained = f"bars: accuracy\nthick: distance to confidence\nby chance alone: ECE {by_chance:.3f}"
    above.text(0.04, 0.94, explained, va="top", size=SMALL)
    below.bar(centres, bins.count, width, color="white", edgecolor="black", hatch="////", linewidth=0.8)
    below.set_ylim(bottom=0)
    for axes in (above, below):
        without_frame(axes)
