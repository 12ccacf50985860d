"""The figures of the accuracy benchmark, as PNG and SVG. Shapes and hatching set series apart, not colour alone."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle

from benchmarks.accuracy.results import Measured
from benchmarks.accuracy.tables import (
    deviation,
    metric_title,
    of_seeds,
    spread,
)
from benchmarks.accuracy.variants import (
    DEPTH_CURVE,
    NOISE_CURVES,
    PAPER_VIEWS,
    VIEW_PAIRS,
    VIEWS,
    WINDOW_CURVE,
)
from joyful_hf.pictures.style import (
    COLOURS,
    HATCHES,
    LINES,
    MARKERS,
    SEQUENTIAL,
    SMALL,
    Axes,
    Figure,
    new_figure,
    save_figure,
    write_cells,
)

_BARS = len(HATCHES)


def draw_figures(measured: Measured, folder: Path) -> list[str]:
    """Write every figure that has the cells it needs; return the names of those drawn."""
    drawn = []
    for name, draw in _FIGURES.items():
        figure = draw(measured)
        if figure is not None:
            save_figure(figure, folder / name)
            drawn.append(name)
    return drawn


def _variants(measured: Measured) -> Figure:
    """One dot per variant, the best on top, with the standard deviation over seeds. Views have their own figure."""
    of_views = set(VIEW_PAIRS.values()) - {measured.first}
    names = [name for name in measured.cells if name not in of_views]
    names.sort(key=measured.mean, reverse=measured.metric == "mae")
    figure, axes = new_figure(7, 1.2 + 0.3 * len(names))
    for row, name in enumerate(names):
        values = measured.values(name)
        is_first = name == measured.first
        mean, error = values.mean(), deviation(values)
        axes.errorbar(
            mean,
            row,
            xerr=error or None,
            fmt="D" if is_first else "o",
            color="black",
            markerfacecolor="black" if is_first else "white",
            capsize=3,
        )
        axes.text(1.02, row, spread(values), va="center", size=SMALL, transform=axes.get_yaxis_transform())
    axes.axvline(measured.mean(measured.first), color="black", linewidth=0.8, linestyle=":", zorder=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.margins(x=0.05)
    axes.set_xlabel(f"test {metric_title(measured.metric)}, {of_seeds(measured, 'mean ± deviation')}")
    axes.grid(axis="x", linewidth=0.4)
    return figure


def _depth(measured: Measured) -> Figure | None:
    return _one_curve(measured, DEPTH_CURVE, "graph layers", str)


def _window(measured: Measured) -> Figure | None:
    return _one_curve(measured, WINDOW_CURVE, "past and future utterances in the window", _window_label)


def _window_label(window: int) -> str:
    return "all" if window < 0 else str(window)


def _one_curve(measured: Measured, curve: Mapping[int, str], label: str, tick: Callable[[int], str]) -> Figure | None:
    """The metric by setting; the marker of the recommended value is filled."""
    places = {place: name for place, name in curve.items() if name in measured.cells}
    if len(places) < 2:
        return None
    figure, axes = new_figure(5, 3.4)
    means, errors = _means_and_errors(measured, list(places.values()))
    axes.errorbar(range(len(places)), means, yerr=errors, fmt="-o", color="black", markerfacecolor="white", capsize=3)
    for position, (name, mean) in enumerate(zip(places.values(), means, strict=True)):
        if name == measured.first:
            axes.plot(position, mean, "D", color="black", zorder=3)
        # In a row above the axes, where no line can cross them.
        above = axes.get_xaxis_transform()
        axes.text(position, 1.01, f"{mean:.3f}", transform=above, ha="center", va="bottom", size=SMALL)
    axes.set_xticks(range(len(places)), [tick(place) for place in places])
    axes.set_xlim(-0.4, len(places) - 0.6)
    _finish_curve(axes, measured, label)
    return figure


def _noise(measured: Measured) -> Figure | None:
    """The metric by share of noisy edges, one line per depth."""
    curves = {
        depth: {noise: name for noise, name in curve.items() if name in measured.cells}
        for depth, curve in NOISE_CURVES.items()
    }
    curves = {depth: curve for depth, curve in curves.items() if len(curve) > 1}
    if not curves:
        return None
    figure, axes = new_figure(5.5, 3.6)
    ends = []
    for index, curve in enumerate(curves.values()):
        means, errors = _means_and_errors(measured, list(curve.values()))
        # Side by side, so that error bars do not hide each other.
        places = np.array(list(curve)) + 0.3 * (index - (len(curves) - 1) / 2)
        style = LINES[index] + MARKERS[index]
        axes.errorbar(places, means, yerr=errors, fmt=style, color=COLOURS[index], markerfacecolor="white", capsize=3)
        ends.append(float(means[-1]))
    axes.set_xticks(sorted({noise for curve in curves.values() for noise in curve}))
    axes.set_xlim(-1, max(axes.get_xticks()) + 1)
    _finish_curve(axes, measured, "noisy edges in the training data, %")
    low, high = axes.get_ylim()
    heights = _apart(ends, 0.06 * (high - low))
    for index, (depth, height) in enumerate(zip(curves, heights, strict=True)):
        text = f"{depth} graph layer{'s' if depth > 1 else ''}"
        axes.text(1.02, height, text, color=COLOURS[index], va="center", transform=axes.get_yaxis_transform())
    return figure


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """Move labels up where one would cover another."""
    placed = list(heights)
    order = np.argsort(placed)
    for below, above in pairwise(order):
        placed[above] = max(placed[above], placed[below] + least)
    return placed


def _class_f1(measured: Measured) -> Figure | None:
    """Bars for the F1 of each class: the first variant, and the best of the others."""
    if not measured.is_single_label:
        return None
    others = sorted(list(measured.cells)[1:], key=measured.mean, reverse=True)
    shown = [measured.first, *others[: _BARS - 1]]
    labels = measured.labels
    width = 0.8 / len(shown)
    figure, axes = new_figure(max(5.0, 1.5 + 0.32 * len(shown) * len(labels)), 3.8)
    for index, name in enumerate(shown):
        values = np.stack([measured.values(name, f"f1_{label}") for label in labels], axis=1)
        means, errors = values.mean(0), [deviation(column) for column in values.T]
        places = np.arange(len(labels)) + (index - (len(shown) - 1) / 2) * width
        axes.bar(
            places,
            means,
            0.9 * width,
            yerr=errors if max(errors) else None,
            label=name,
            color="black" if index == 0 else "white",
            edgecolor=COLOURS[index],
            ecolor="grey",
            hatch=HATCHES[index],
            capsize=2,
        )
        for place, mean, error in zip(places, means, errors, strict=True):
            axes.annotate(
                f"{mean:.2f}",
                (place, mean + error),
                (0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                rotation=90,
                size=SMALL,
            )
    axes.set_xticks(range(len(labels)), labels)
    axes.margins(y=0.18)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"test F1, {of_seeds(measured, 'mean')}")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def _confusion(measured: Measured) -> Figure | None:
    """The confusion matrix of the first variant, as shares of each true class, mean over seeds."""
    if not measured.is_single_label:
        return None
    counts = measured.confusions(measured.first).sum(1)
    support = counts.sum(-1)
    shares = (counts / np.maximum(support, 1)[..., None]).mean(0)
    labels = measured.labels
    size = 2.2 + 0.6 * len(labels)
    figure, axes = new_figure(size + 0.6, size)
    axes.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=1)
    write_cells(axes, _as_texts(shares, "{:.2f}"), shares > 0.5)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), [f"{name} ({count})" for name, count in zip(labels, support[0], strict=True)])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (utterances)")
    axes.set_title(f"{measured.first}, {of_seeds(measured, 'mean')}", size="medium")
    return figure


def _views(measured: Measured) -> Figure | None:
    """The metric by pair of views; the pair of the paper is framed."""
    names = list(VIEWS)
    scores = np.full((len(names), len(names)), np.nan)
    for (first, second), variant in VIEW_PAIRS.items():
        if variant in measured.cells:
            scores[names.index(second), names.index(first)] = measured.mean(variant)
    if np.isfinite(scores).sum() < 2:
        return None
    figure, axes = new_figure(5.2, 4.6)
    low, high = np.nanmin(scores), np.nanmax(scores)
    axes.imshow(scores, cmap=SEQUENTIAL, vmin=low, vmax=high + 0.3 * (high - low))
    write_cells(axes, _as_texts(scores, "{:.3f}"), scores > low + 0.8 * (high - low))
    ticks = [name.upper() if name != "none" else name for name in names]
    axes.set_xticks(range(len(names)), ticks)
    axes.set_yticks(range(len(names)), ticks)
    column, row = (names.index(view) for view in PAPER_VIEWS)
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=COLOURS[2], linewidth=2.5))
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(
        f"test {metric_title(measured.metric)} by pair of views, {of_seeds(measured, 'mean')}", size="medium"
    )
    return figure


def _as_texts(values: np.ndarray, form: str) -> np.ndarray:
    return np.array([[form.format(value) if np.isfinite(value) else "" for value in row] for row in values])


def _means_and_errors(measured: Measured, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    values = [measured.values(name) for name in names]
    return np.array([scores.mean() for scores in values]), np.array([deviation(scores) for scores in values])


def _finish_curve(axes: Axes, measured: Measured, label: str) -> None:
    axes.margins(y=0.2)
    axes.set_xlabel(label)
    axes.set_ylabel(f"test {metric_title(measured.metric)}")
    axes.set_title(of_seeds(measured, "mean ± deviation"), size="medium", pad=16)
    axes.grid(axis="y", linewidth=0.4)


_FIGURES: dict[str, Callable[[Measured], Figure | None]] = {
    "variants": _variants,
    "depth": _depth,
    "noise": _noise,
    "window": _window,
    "views": _views,
    "class_f1": _class_f1,
    "confusion": _confusion,
}
