"""A picture of what a model gains if it may keep silent where it is least sure."""

from typing import Any

import numpy as np

from ..evaluation.selective import REPORTED_COVERAGES, selective_curve
from ..processing import DialogueError
from .fonts import with_glyphs
from .style import SMALL, Figure, new_figure


def plot_selective(scores: Any, labels: Any) -> Figure:
    """Draw the accuracy of the surest predictions against their share of all predictions.

    Args:
        scores: (N, labels) probabilities.
        labels: (N,) classes, -100 where unknown; or (N, labels) zeros and ones for several labels at once.

    Raises:
        DialogueError: no label is known.
    """
    curve = selective_curve(np.asarray(scores), np.asarray(labels))
    if not len(curve.coverage):
        raise DialogueError("accuracy against coverage needs labels, and no utterance has one")
    figure, axes = new_figure(4.6, 3.4)
    axes.plot(curve.coverage, curve.accuracy, color="black", linewidth=1.5)
    axes.axhline(curve.accuracy[-1], color="black", linestyle=":", linewidth=1)
    for share in (*REPORTED_COVERAGES, 1.0):
        accuracy = curve.accuracy_at(share)
        axes.plot(share, accuracy, "o", color="black", markersize=4)
        axes.annotate(
            f"{accuracy:.2f}", (share, accuracy), (2, 8), textcoords="offset points", ha="center", size=SMALL
        )
    axes.set_xlim(0, 1.02)
    axes.set_ylim(min(0.5, float(curve.accuracy.min())) - 0.02, 1.05)
    axes.set_xlabel("coverage: share of predictions made, surest first")
    axes.set_ylabel("accuracy of these")
    return with_glyphs(figure)
