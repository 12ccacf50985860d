"""The style that all pictures share: told apart by shape, hatch, line and position, so that no colour is needed."""

from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import numpy as np

from ..processing.optional_imports import import_optional

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError:
    import_optional("matplotlib", "plots", "drawing pictures")  # says how to install it
    raise

COLOURS = ("#000000", "#0072B2", "#D55E00", "#E69F00")
"""Okabe and Ito's colours, dark to light: they differ in grey too, and for the colour-blind."""
MARKERS = ("D", "o", "s", "^")
LINES = ("-", "--", ":", "-.")
HATCHES = ("", "////", "....", "xx")
SMALL = 8
"""Font size, in points, of what stands inside a picture."""
LEGIBLE = 4.5
"""The smallest font size, in points, that is written at all."""
LETTER = 0.0083
"""Width of a letter, in inches for each point of the font size, that few texts exceed on average."""
SEQUENTIAL = "Greys"
"""The colour map of shares and probabilities: 0 is white, 1 is black."""
FORMATS = ("png", "svg")

_MANY_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Of this size in inches, without a frame above and on the right."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    without_frame(axes)
    return figure, axes


def without_frame(axes: Axes) -> None:
    """Take the frame above and on the right away."""
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """As PNG and SVG; the path is without an ending."""
    for suffix in FORMATS:
        write_figure(figure, path.with_name(f"{path.name}.{suffix}"), suffix)


def write_figure(figure: Figure, file: Path, suffix: str) -> None:
    """In one of the `FORMATS`. The same figure gives the same bytes."""
    with rc_context({"svg.hashsalt": "joyful_hf"}):
        figure.savefig(file, format=suffix, dpi=150, metadata={"Date": None} if suffix == "svg" else None)


def many_markers(count: int) -> list[tuple[str, bool]]:
    """A shape for each of so many kinds, and whether it is filled; after 20 of them they begin anew."""
    return list(islice(cycle([(shape, filled) for filled, shape in product((True, False), _MANY_MARKERS)]), count))


def write_cells(axes: Axes, texts: np.ndarray, is_dark: np.ndarray, size: float = SMALL) -> None:
    """Texts (rows, columns) into the cells of an image, white where the cell is dark."""
    for (row, column), text in np.ndenumerate(texts):
        colour = "white" if is_dark[row, column] else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, size=size)


def plain(text: Any, width: int = 40) -> str:
    """A user's text as a picture can show it: on one line, cut to so many characters, and never read as a formula."""
    line = " ".join(str(text).split())
    if len(line) > width:
        line = line[: width - 1].rstrip() + "…"
    return line.replace("$", r"\$")


def label_text(label: Any) -> str:
    """A label as `model.predict` gives it: its name, its names, or a value with its sign."""
    if isinstance(label, float):
        return f"{label:+.2f}"
    return label if isinstance(label, str) else ", ".join(label) or "none"
