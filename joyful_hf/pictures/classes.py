"""Pictures of how well each class is recognised: the confusion matrix and the F1 scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..processing import DialogueError
from .fonts import with_glyphs
from .style import (
    SEQUENTIAL,
    SMALL,
    Figure,
    new_figure,
    plain,
    width_of,
    write_cells,
)

_NAME_WIDTH = 24


def plot_confusion_matrix(counts: Any, names: Sequence[str]) -> Figure:
    """Draw which share of each true class is predicted as which, with the number of utterances in each cell.

    Args:
        counts: (labels, labels) numbers of utterances; rows are true labels, columns predicted ones. A row of zeros
            is shown as a class that does not occur.
        names: names of the labels, in the order of the rows.

    Raises:
        DialogueError: `counts` and `names` do not fit each other.
    """
    counts = np.asarray(counts)
    if not names or counts.shape != (len(names), len(names)):
        raise DialogueError(f"a confusion matrix of {len(names)} labels is square, got shape {counts.shape}")
    support = counts.sum(axis=1)
    shares = counts / np.maximum(support, 1)[:, None]
    labels = [plain(name, _NAME_WIDTH) for name in names]
    longest = max(map(width_of, labels))
    cell = 0.62 if len(names) <= 8 else 0.5
    margin = 1.1 + 0.085 * longest
    figure, axes = new_figure(max(4.2, cell * len(names) + margin), max(3.4, cell * len(names) + margin))
    axes.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=1)
    texts = np.full(counts.shape, "", object)
    for place, count in np.ndenumerate(counts):
        if support[place[0]]:
            texts[place] = f"{shares[place]:.2f}\n{count:,}" if count else "0"
    write_cells(axes, texts, shares > 0.5, SMALL if len(names) <= 8 else SMALL - 1.5)
    for row in np.flatnonzero(support == 0):
        axes.axhspan(row - 0.5, row + 0.5, facecolor="white", edgecolor="0.6", hatch="////", linewidth=0)
    axes.set_xticks(range(len(names)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(
        range(len(names)),
        [f"{label} ({count:,})" if count else f"{label} (none)" for label, count in zip(labels, support, strict=True)],
    )
    axes.spines[:].set_visible(True)
    axes.set_xlabel("predicted label")
    axes.set_ylabel("true label (utterances)")
    axes.set_title("share of the true label, and utterances", size="medium")
    return with_glyphs(figure)


def plot_f1_per_class(scores: Mapping[str, float], support: Mapping[str, int]) -> Figure:
    """Draw a bar for the F1 of each class, the best one on top, with the number of its utterances.

    Args:
        scores: class -> F1, from 0 to 1.
        support: class -> number of utterances with this true label.

    Raises:
        DialogueError: there is no class, or `scores` and `support` have different ones.
    """
    if not scores or set(scores) != set(support):
        raise DialogueError(
            f"scores has {', '.join(scores) or 'no class'}, support has {', '.join(support) or 'none'}; give both for "
            "the same classes"
        )
    names = sorted(scores, key=lambda name: (scores[name], support[name]))
    labels = [plain(name, _NAME_WIDTH) for name in names]
    figure, axes = new_figure(5 + 0.085 * max(map(width_of, labels)), 1.3 + 0.3 * len(names))
    values = [scores[name] for name in names]
    axes.barh(range(len(names)), values, 0.7, color="0.75", edgecolor="black", linewidth=0.8)
    for row, value in enumerate(values):
        # In a separate column, where no line can cross them.
        axes.text(1.02, row, f"{value:.3f}", va="center", size=SMALL, transform=axes.get_yaxis_transform())
    if total := sum(support.values()):
        weighted = sum(scores[name] * support[name] for name in names) / total
        axes.axvline(weighted, color="black", linewidth=1, linestyle=":")
        axes.set_title(f"F1 of each class; dotted: weighted by utterances, {weighted:.3f}", size="medium")
    axes.set_yticks(
        range(len(names)), [f"{label} ({support[name]:,})" for name, label in zip(names, labels, strict=True)]
    )
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlim(0, 1)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel("F1")
    axes.set_ylabel("true label (utterances)")
    return with_glyphs(figure)
