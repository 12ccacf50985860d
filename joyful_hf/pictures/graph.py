"""A picture of the graph of a dialogue: which utterances each one listens to, and how much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from ..processing import DialogueError
from .style import (
    LEGIBLE,
    LETTER,
    SMALL,
    Axes,
    Figure,
    label_text,
    many_markers,
    plain,
)

EDGES_PER_UTTERANCE = 3
"""How many of the edges into an utterance are drawn, on each side the strongest of all."""
# Sizes in inches. A page is as high as a picture gets; the rows of a longer dialogue become smaller instead.
_PAGE, _ROW, _ARCS_WIDTH = 12.0, 0.28, 1.6
_LETTERS_OF_LABEL, _LETTERS_OF_TEXT = 18, 55
_ENTRIES_OF_LEGEND = 4  # in a row


@dataclass(frozen=True)
class _Graph:
    """The graph of one dialogue of N utterances, with E edges."""

    edge_index: np.ndarray
    """(2, E) source and target."""
    weights: np.ndarray
    """(E,) the share that an edge has in what its target receives; those of a target sum to 1."""
    attention: str | None
    """What the weights are the attention of; None if all edges into an utterance weigh the same."""
    labels: Sequence[Any]
    """(N,) predicted."""


def plot_dialogue_graph(
    model: Any, processor: Any, dialogue: Mapping[str, Any], edges_per_utterance: int = EDGES_PER_UTTERANCE
) -> Figure:
    """The utterances from top to bottom, and arcs from those that each one listens to most.

    Arcs on the left come from the past, those on the right from the future; whole lines join utterances of one
    speaker, dashed ones those of two. The wider and darker, the more attention: the mean over the heads of the graph's
    attention, of the first network where a model has several. Without attention in the graph, the title says so, and
    the nearest edges are drawn with equal weights.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        processor: the processor that was saved with it.
        dialogue: one dialogue; its labels are not read.
        edges_per_utterance: how many of the edges into an utterance are drawn, beside its own, whose weight is written
            next to it.

    Raises:
        DialogueError: a model without a graph, or a bad dialogue.
    """
    graph = _graph_of(model, processor, dialogue)
    utterances = dialogue["utterances"]
    row = min(_ROW, _PAGE / len(utterances))
    size = min(SMALL, 72 * 0.62 * row)
    cells = _cells(graph, utterances) if size >= LEGIBLE else []
    columns = _columns(cells, LETTER * size)
    shapes = _shapes(utterances)
    head, foot = 0.95, 0.65 + 0.18 * (1 + (len(shapes) + 1) // _ENTRIES_OF_LEGEND)
    height, width = row * len(utterances), max(2 * _ARCS_WIDTH + columns[-1] + 0.3, 7.2)
    total = head + height + foot
    figure = Figure(figsize=(width, total))
    axes = figure.add_axes((0.1 / width, foot / total, 1 - 0.2 / width, height / total))
    # One unit is a row in height and an inch in width.
    axes.set_xlim(-_ARCS_WIDTH, width - 0.2 - _ARCS_WIDTH)
    axes.set_ylim(len(utterances) - 0.5, -0.5)
    axes.axis("off")

    widest = _draw_edges(axes, graph, edges_per_utterance, [utterance["speaker"] for utterance in utterances])
    for index, utterance in enumerate(utterances):
        axes.plot(0, index, **shapes[utterance["speaker"]], zorder=4)
        axes.plot([0, _ARCS_WIDTH], [index, index], color="0.85", linewidth=0.5, zorder=0)
    for index, row_of_cells in enumerate(cells):
        for column, cell in zip(columns, row_of_cells, strict=False):
            axes.text(_ARCS_WIDTH + column, index, cell, va="center", size=size)
    for column, name in zip(columns, _HEADER if cells else (), strict=False):
        axes.text(_ARCS_WIDTH + column, -0.8, name, va="bottom", size=size, weight="bold")
    for side, name in ((-1, "from the past"), (1, "from the future")):
        axes.text(side * 0.15, -0.8, name, va="bottom", ha="right" if side < 0 else "left", size=SMALL, weight="bold")

    name = dialogue.get("dialogue_id")
    title = f"graph of {'a dialogue' if name is None else f'dialogue {plain(name)}'}"
    what = graph.attention or "the graph has no attention: edges are drawn with equal weights"
    figure.text(0.1 / width, 1 - 0.08 / total, f"{title}\n({what})", va="top", size="medium")
    caption = _caption(graph, edges_per_utterance, widest)
    figure.text(0.1 / width, (foot - 0.15) / total, caption, va="top", size=SMALL)
    handles = [
        Line2D([], [], color="black", linestyle="-", label="same speaker"),
        Line2D([], [], color="black", linestyle="--", label="another speaker"),
        *(Line2D([], [], label=plain(name, 16), **style) for name, style in shapes.items()),
    ]
    figure.legend(handles=handles, loc="lower left", ncols=_ENTRIES_OF_LEGEND, frameon=False, fontsize=SMALL)
    return figure


_HEADER = ("", "own", "predicted", "text")


def _cells(graph: _Graph, utterances: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """What stands beside each utterance: its number, the weight of its own edge, its label, and its text."""
    source, target = graph.edge_index
    cells = []
    for index, utterance in enumerate(utterances):
        own = graph.weights[(source == index) & (target == index)].sum()
        label, text = label_text(graph.labels[index]), utterance.get("text") or ""
        cells.append((f"{index + 1}", f"{own:.0%}", plain(label, _LETTERS_OF_LABEL), plain(text, _LETTERS_OF_TEXT)))
    return cells


def _columns(cells: Sequence[tuple[str, ...]], letter: float) -> list[float]:
    """Where each column begins, in inches, and where the last one ends."""
    places = [0.1]
    for column, name in zip(zip(*cells, strict=True), _HEADER, strict=True) if cells else ():
        places.append(places[-1] + 0.22 + letter * max(map(len, [*column, name])))
    return places


def _caption(graph: _Graph, count: int, widest: float) -> str:
    chosen = f"{count} of most weight" if graph.attention else f"{count} nearest"
    if graph.attention and widest:
        chosen += f" (the widest has {widest:.0%})"
    return (
        f"Drawn are, of the edges into each utterance, the {chosen}. Arcs on the left run\ndown to the utterance that "
        "receives, arcs on the right up to it; own: the weight of its edge from itself."
    )


def _shapes(utterances: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Speaker -> how the own utterances are drawn."""
    speakers = list(dict.fromkeys(utterance["speaker"] for utterance in utterances))
    return {
        speaker: {
            "marker": marker,
            "linestyle": "none",
            "color": "black",
            "markerfacecolor": "black" if is_filled else "white",
            "markersize": 6,
        }
        for speaker, (marker, is_filled) in zip(speakers, many_markers(len(speakers)), strict=True)
    }


def _graph_of(model: Any, processor: Any, dialogue: Mapping[str, Any]) -> _Graph:
    batch = processor.pack(processor.encode(dialogue, return_labels=False), return_tensors="pt").to(model.device)
    if "edge_index" not in batch:
        raise DialogueError(f"{type(model).__name__} has no graph: it sees one utterance at a time")
    if not model.config.graph_num_layers:
        raise DialogueError("graph_num_layers is 0: this model has no graph to draw")
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            output = model(**batch, output_edge_attention=True, return_loss=False)
    finally:
        model.train(was_training)
    edge_index = batch["edge_index"].cpu().numpy()
    named = model.name_scores(model.scores(output.logits))
    labels = [one["label"] for one in named]
    if output.edge_attention is None:
        weights = 1 / np.bincount(edge_index[1])[edge_index[1]]
        return _Graph(edge_index, weights, None, labels)
    heads = output.edge_attention.size(1)
    members = getattr(model.config, "num_members", 1)
    network = f" of the first of {members} networks" if members > 1 else ""
    attention = f"attention in the graph{network}, " + (f"mean of {heads} heads" if heads > 1 else "one head")
    return _Graph(edge_index, output.edge_attention.float().mean(-1).cpu().numpy(), attention, labels)


def _draw_edges(axes: Axes, graph: _Graph, count: int, speakers: Sequence[str]) -> float:
    """Draw the strongest edges into each utterance, of equal ones the nearest; the highest weight among them.

    The strongest of all lies on top.
    """
    source, target = graph.edge_index
    distance = np.abs(source - target)
    others = np.flatnonzero(distance)
    if not len(others) or not count:
        return 0.0
    ranked = others[np.lexsort((distance[others], -graph.weights[others], target[others]))]
    rank = np.arange(len(ranked)) - np.searchsorted(target[ranked], target[ranked])
    drawn = ranked[rank < count]
    highest, farthest = graph.weights[drawn].max(), distance[drawn].max()
    for edge in drawn[np.argsort(graph.weights[drawn], kind="stable")]:
        begin, end = int(source[edge]), int(target[edge])
        strength = float(graph.weights[edge] / highest) if graph.attention else 0.5
        side = -1 if begin < end else 1
        bulge = side * _ARCS_WIDTH * 1.2 * (0.25 + 0.75 * distance[edge] / farthest)
        points = [(0.0, begin), (bulge, begin), (bulge, end), (0.0, end)]
        outline = Outline(points, [Outline.MOVETO, Outline.CURVE4, Outline.CURVE4, Outline.CURVE4])
        axes.add_patch(
            PathPatch(
                outline,
                fill=False,
                linewidth=0.4 + 2.6 * strength,
                edgecolor=str(round(0.8 * (1 - strength), 3)),
                linestyle="-" if speakers[begin] == speakers[end] else (0, (3, 1.5)),
                zorder=2 + strength,
            )
        )
    return float(highest)
