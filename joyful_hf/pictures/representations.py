"""A picture of how well each stage of a model separates the emotions: its representations in two dimensions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps

from ..processing import DialogueError
from ..processing.optional_imports import import_optional
from .fonts import with_glyphs
from .style import (
    LETTER,
    SMALL,
    Axes,
    Figure,
    many_markers,
    plain,
    width_of,
)

METHODS = {"tsne": "t-SNE", "umap": "UMAP"}
MAX_UTTERANCES = 1000
"""More points would take minutes and cover each other."""
_FEWEST = 4  # utterances that t-SNE and UMAP can place
_ROUNDING = 1e-6  # relative to the largest value
_PANEL = 3.0  # inches
_LETTERS = 24


def plot_representations(
    stages: Mapping[str, Any],
    labels: Sequence[Any],
    method: str = "tsne",
    max_utterances: int = MAX_UTTERANCES,
    seed: int = 0,
    labels_are: str = "true",
) -> Figure:
    """Draw one panel per stage with one point per utterance, marked by label, and the silhouette of the labels.

    The silhouette, from -1 to 1, is high where points of one label lie together and apart from all others. It is
    computed from the points as drawn; distances between groups in such pictures mean little.

        represented = represent(model, processor, processor.encode(dialogues))
        plot_representations(represented.stages, labels)

    Args:
        stages: name -> (N, size), as `joyful_hf.inference.representations.represent` returns them.
        labels: (N,) a string, an int, a list of strings, a float or floats by name each. Utterances whose label is
            None are left out. All utterances with several emotions form one group; values form three, below, at and
            above 0, and several values a group for each combination of signs.
        method: `"tsne"`, with scikit-learn, or `"umap"`, which needs `pip install "umap-learn>=0.5.11"`.
        max_utterances: if there are more utterances, a random sample of this size is drawn.
        seed: seed of the sample and of the method.
        labels_are: what the title calls the labels: "true" or "predicted".

    Raises:
        DialogueError: the method is unknown, or fewer than four utterances have a label.
        ImportError: the library of the method is not installed.
    """
    check_method(method)
    names = np.array([_group(label) for label in labels], object)
    known = np.flatnonzero([name is not None for name in names])
    if not stages or len(known) < _FEWEST:
        raise DialogueError(f"{METHODS[method]} needs at least {_FEWEST} utterances with a label, got {len(known)}")
    chosen = known
    if len(known) > max_utterances:
        chosen = np.sort(np.random.default_rng(seed).choice(known, max_utterances, replace=False))
    names = names[chosen]
    groups = sorted(set(names))

    columns = min(len(stages), 4)
    rows = -(-len(stages) // columns)
    width = max(_PANEL * columns, 5.0)
    in_a_row = max(1, int(width / (0.5 + LETTER * SMALL * max(width_of(plain(name, _LETTERS)) for name in groups))))
    height = 0.6 + (_PANEL + 0.4) * rows + 0.18 * -(-len(groups) // in_a_row)
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in list(grid.flat)[len(stages) :]:
        axes.remove()
    for axes, (stage, values) in zip(grid.flat, stages.items(), strict=False):
        points = _in_the_plane(np.asarray(values)[chosen], method, seed)
        _draw_panel(axes, points, names, groups)
        axes.set_title(f"{stage}\n{_silhouette(points, names)}", size="medium")
    handles, texts = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=in_a_row, frameon=False, fontsize=SMALL)
    of_all = f"{len(chosen):,} of {len(labels):,}" if len(chosen) < len(labels) else f"{len(labels):,}"
    figure.suptitle(f"{METHODS[method]} of {of_all} utterances, by {labels_are} label", size="medium")
    return with_glyphs(figure)


def check_method(method: str) -> None:
    """Raise an error if a method cannot be used.

    Raises:
        DialogueError: the method is unknown.
        ImportError: its library is not installed.
    """
    if method not in METHODS:
        raise DialogueError(f"unknown method {method!r}; choose from {', '.join(METHODS)}")
    if method == "umap":
        _import_umap()


def _import_umap() -> Any:
    return import_optional("umap", "umap", "pictures with UMAP")


def _group(label: Any) -> str | None:
    """Return the name of the group in which an utterance is drawn, or None for no group."""
    if label is None:
        return None
    if isinstance(label, Mapping):
        return ", ".join(f"{name} {_group(float(value))}" for name, value in label.items())
    if isinstance(label, float):
        return "below 0" if label < 0 else "above 0" if label > 0 else "0"
    if isinstance(label, list | tuple):
        return "no emotion" if not label else str(label[0]) if len(label) == 1 else "several emotions"
    return str(label)


def _in_the_plane(values: np.ndarray, method: str, seed: int) -> np.ndarray:
    """Map values (N, size) to points (N, 2); rows that are equal, up to rounding, all become the same point."""
    if np.ptp(values, axis=0).max(initial=0) <= _ROUNDING * np.abs(values).max(initial=0):
        return np.zeros((len(values), 2), np.float32)
    if method == "umap":
        umap = _import_umap()
        neighbours = min(15, len(values) - 1)
        # The spectral start fails with few points.
        start = "spectral" if len(values) > 20 else "random"
        return umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1, init=start).fit_transform(values)
    from sklearn.manifold import TSNE  # slow to import, and most pictures do without

    perplexity = min(30.0, (len(values) - 1) / 3)
    start = "pca" if values.shape[1] > 1 and _has_main_axis(values, seed) else "random"
    return TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(values)


def _has_main_axis(values: np.ndarray, seed: int) -> bool:
    """Whether the principal components differ: t-SNE divides by their deviation, and crashes where it is 0."""
    from sklearn.decomposition import PCA

    components = PCA(2, svd_solver="randomized", random_state=seed).fit_transform(values)
    return bool(components[:, 0].std() > 0)


def _silhouette(points: np.ndarray, names: np.ndarray) -> str:
    from sklearn.metrics import silhouette_score

    if not np.ptp(points, axis=0).any():
        return "no silhouette: all points are the same"
    if not 1 < len(set(names)) < len(names):
        return "no silhouette: one label only" if len(set(names)) == 1 else "no silhouette: no label twice"
    return f"silhouette {round(float(silhouette_score(points, names.astype(str))), 2) + 0.0:.2f}"  # never -0.00


def _draw_panel(axes: Axes, points: np.ndarray, names: np.ndarray, groups: Sequence[str]) -> None:
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(groups)))
    size = float(np.clip(12000 / len(points), 9, 30))
    for (shape, is_filled), colour, group in zip(many_markers(len(groups)), colours, groups, strict=True):
        here = points[names == group]
        axes.scatter(
            here[:, 0],
            here[:, 1],
            s=size,
            marker=shape,
            facecolor=[colour] if is_filled else "white",
            edgecolor="black" if is_filled else [colour],
            linewidth=0.4 if is_filled else 1.0,
            label=plain(group, _LETTERS),
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_box_aspect(1)
