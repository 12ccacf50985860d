"""The style of all pictures: shape, hatch, line and position tell things apart, so that no colour is needed."""

import unicodedata
import warnings
from collections.abc import Mapping
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import numpy as np

from ..processing.optional_imports import import_optional

# Whatever the package loads first of matplotlib it takes from here, so that this error is the one that a user sees.
try:
    from matplotlib import font_manager as font_manager
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text as Text
except ImportError:
    import_optional("matplotlib", "plots", "drawing pictures")
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
"""Width of a letter in inches, per point of the font size; the average of few texts is wider."""
SEQUENTIAL = "Greys"
"""The colour map of shares and probabilities: 0 is white, 1 is black."""
FORMATS = ("png", "svg")

_MANY_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of this size in inches, and its axes without a frame above and on the right."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    without_frame(axes)
    return figure, axes


def without_frame(axes: Axes) -> None:
    """Remove the frame above and on the right."""
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """Write PNG and SVG; `path` is given without an ending."""
    for suffix in FORMATS:
        write_figure(figure, path.with_name(f"{path.name}.{suffix}"), suffix)


def write_figure(figure: Figure, file: Path, suffix: str) -> None:
    """Write one of the `FORMATS`. The same figure gives the same bytes."""
    with rc_context({"svg.hashsalt": "joyful_hf"}), warnings.catch_warnings():
        # A warning for every letter, or every script; `fonts` has said in one line what to install.
        for said in (r"Glyph \d+ .* missing from", "Matplotlib currently does not support"):
            warnings.filterwarnings("ignore", said, UserWarning)
        figure.savefig(file, format=suffix, dpi=150, metadata={"Date": None} if suffix == "svg" else None)


def many_markers(count: int) -> list[tuple[str, bool]]:
    """Return a marker for each of `count` kinds, and whether it is filled; after 20 of them they repeat."""
    return list(islice(cycle([(shape, filled) for filled, shape in product((True, False), _MANY_MARKERS)]), count))


def write_cells(axes: Axes, texts: np.ndarray, is_dark: np.ndarray, size: float = SMALL) -> None:
    """Write texts (rows, columns) into the cells of an image, in white where the cell is dark."""
    for (row, column), text in np.ndenumerate(texts):
        colour = "white" if is_dark[row, column] else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, size=size)


def plain(text: Any, width: int = 40) -> str:
    """Return a user's text as a picture can show it: on one line, at most `width` letters wide, and not a formula."""
    line = " ".join(str(text).split())
    if width_of(line) > width:
        while width_of(line) >= width:
            line = line[:-1]
        line = line.rstrip() + "…"
    return line.replace("$", r"\$")


def width_of(text: str) -> int:
    """The width of a text in Latin letters: Chinese, Japanese and Korean ones are twice as wide."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def label_text(label: Any) -> str:
    """Return a label of `model.predict` as text: its name, its names, or its values with their signs."""
    if isinstance(label, Mapping):
        return ", ".join(f"{name} {value:+.2f}" for name, value in label.items())
    if isinstance(label, float):
        return f"{label:+.2f}"
    return label if isinstance(label, str) else ", ".join(label) or "none"
