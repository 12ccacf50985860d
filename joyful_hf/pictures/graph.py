"""A picture of the graph of a dialogue: to which utterances each one listens, and how much."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from ..inference.dialogue_graph import DialogueGraph
from .fonts import with_glyphs
from .style import (
    LEGIBLE,
    LETTER,
    SMALL,
    Axes,
    Figure,
    label_text,
    many_markers,
    plain,
    width_of,
)

EDGES_PER_UTTERANCE = 3
"""Number of edges drawn into each utterance: the strongest ones, from past and future together."""
# Sizes in inches. A page is as high as a picture gets; the rows of a longer dialogue become smaller instead.
_PAGE, _ROW, _ARCS_WIDTH = 12.0, 0.28, 1.6
_LETTERS_OF_LABEL, _LETTERS_OF_TEXT = 18, 55
_ENTRIES_OF_LEGEND = 4  # per row


def plot_dialogue_graph(
    graph: DialogueGraph, prediction: Mapping[str, Any], edges_per_utterance: int = EDGES_PER_UTTERANCE
) -> Figure:
    """Draw the utterances from top to bottom, and arcs from those to which each one listens most.

    Arcs on the left come from the past, those on the right from the future; solid lines join utterances of one
    speaker, dashed lines those of two. The wider and darker an arc, the more attention. If the graph has no attention,
    the title says so, and the nearest edges are drawn with equal weights.

        plot_dialogue_graph(read_graph(model, processor, dialogue), model.predict(dialogue, processor)[0])

    Args:
        graph: the graph of the dialogue, as `joyful_hf.inference.dialogue_graph.read_graph` returns it.
        prediction: the same dialogue as `model.predict` returns it.
        edges_per_utterance: how many of the edges into an utterance are drawn. Its edge from itself is never drawn:
            the weight of that one is written next to the utterance.
    """
    utterances = prediction["utterances"]
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

    name = prediction.get("dialogue_id")
    title = f"graph of {'a dialogue' if name is None else f'dialogue {plain(name)}'}"
    weights = _describe_weights(graph)
    figure.text(0.1 / width, 1 - 0.08 / total, f"{title}\n({weights})", va="top", size="medium")
    caption = _caption(graph, edges_per_utterance, widest)
    figure.text(0.1 / width, (foot - 0.15) / total, caption, va="top", size=SMALL)
    handles = [
        Line2D([], [], color="black", linestyle="-", label="same speaker"),
        Line2D([], [], color="black", linestyle="--", label="another speaker"),
        *(Line2D([], [], label=plain(name, 16), **style) for name, style in shapes.items()),
    ]
    figure.legend(handles=handles, loc="lower left", ncols=_ENTRIES_OF_LEGEND, frameon=False, fontsize=SMALL)
    return with_glyphs(figure)


_HEADER = ("", "own", "predicted", "text")


def _cells(graph: DialogueGraph, utterances: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return what is written beside each utterance: number, weight of the edge from itself, label, and text."""
    source, target = graph.edge_index
    cells = []
    for index, utterance in enumerate(utterances):
        own = graph.weights[(source == index) & (target == index)].sum()
        label, text = label_text(utterance["label"]), utterance.get("text") or ""
        cells.append((f"{index + 1}", f"{own:.0%}", plain(label, _LETTERS_OF_LABEL), plain(text, _LETTERS_OF_TEXT)))
    return cells


def _columns(cells: Sequence[tuple[str, ...]], letter: float) -> list[float]:
    """Return where each column begins, in inches, and where the last one ends."""
    places = [0.1]
    for column, name in zip(zip(*cells, strict=True), _HEADER, strict=True) if cells else ():
        places.append(places[-1] + 0.22 + letter * max(map(width_of, [*column, name])))
    return places


def _caption(graph: DialogueGraph, count: int, widest: float) -> str:
    chosen = f"{count} strongest" if graph.num_heads else f"{count} nearest"
    weight = f", the widest with {widest:.0%}" if graph.num_heads and widest else ""
    return (
        f"The {chosen} edges into each utterance are drawn{weight}. Arcs on the left run down\nto the utterance that "
        "receives, arcs on the right run up to it; own: the weight of its edge from itself."
    )


def _shapes(utterances: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return speaker -> how the utterances of the speaker are drawn."""
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


def _describe_weights(graph: DialogueGraph) -> str:
    """Say what the weights are, for the title."""
    if not graph.num_heads:
        return "the graph has no attention: edges are drawn with equal weights"
    network = f" of the first of {graph.num_networks} networks" if graph.num_networks > 1 else ""
    heads = f"mean of {graph.num_heads} heads" if graph.num_heads > 1 else "one head"
    return f"attention in the graph{network}, {heads}"


def _draw_edges(axes: Axes, graph: DialogueGraph, count: int, speakers: Sequence[str]) -> float:
    """Draw the strongest edges into each utterance, and return the highest weight among them.

    Among equal edges the nearest are drawn. The strongest edge of all lies on top.
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
        strength = float(graph.weights[edge] / highest) if graph.num_heads else 0.5
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
