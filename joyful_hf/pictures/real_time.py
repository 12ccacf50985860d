"""A picture of a whole recording in real time: a row per speaker, a box per utterance, minutes and seconds below."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from matplotlib.colors import to_rgb
from matplotlib.patches import Patch, Rectangle

from .fonts import with_glyphs
from .style import COLOURS, HATCHES, LETTER, SMALL, Axes, Figure, label_text, plain, width_of

# Sizes in inches. A recording that is too long for one strip of rows goes on in the next one below.
_WIDTH, _MOST_HEIGHT, _ROW, _AXIS, _HEAD, _LEGEND_ROW = 11.0, 14.0, 0.42, 0.42, 0.5, 0.24
_LEFT_LEAST, _RIGHT = 0.4, 0.3
_LETTERS_OF_NAME = 16
# Seconds of one strip; the shortest with which all strips fit on the page.
_STRIPS = (60, 120, 300, 600, 900, 1200, 1800, 3600, 7200)
_MOST_TICKS = 10
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)


@dataclass(frozen=True)
class Moment:
    """An utterance as it is drawn."""

    speaker: str
    start: float
    end: float
    label: Any
    """A name, names, a value, or None where nothing could be read."""
    scores: Mapping[str, float]
    is_wrong: bool
    is_known: bool
    """Whether its true label is known."""

    @property
    def strongest(self) -> str | None:
        """The label by which the box is filled."""
        if isinstance(self.label, str):
            return self.label
        return max(self.label, key=self.scores.__getitem__) if isinstance(self.label, list) and self.label else None

    @property
    def text(self) -> str:
        """What stands in the box."""
        return "?" if self.label is None else label_text(self.label)


def plot_real_time(moments: Sequence[Moment], name: Any = None) -> Figure:
    """Draw utterances where they lie in their recording.

    The fill of a box is its emotion, and its height the probability of it; a value of a regression is a bar above or
    below the middle of the row.

    Args:
        moments: the utterances; speakers have rows in the order in which they appear.
        name: of the recording, for the title.
    """
    speakers = list(dict.fromkeys(moment.speaker for moment in moments))
    is_regression = any(isinstance(moment.label, float) for moment in moments)
    emotions = [] if is_regression else list(dict.fromkeys(name for moment in moments for name in moment.scores))
    found = [emotion for emotion in emotions if any(moment.strongest == emotion for moment in moments)]

    names = [plain(speaker, _LETTERS_OF_NAME) for speaker in speakers]
    left = max(_LEFT_LEAST, 0.2 + LETTER * SMALL * max(map(width_of, names)))
    per_line = max(1, int((_WIDTH - left) / (0.5 + LETTER * SMALL * max(map(width_of, found), default=1))))
    foot = 0.35 + _LEGEND_ROW * ceil(len(found) / per_line)
    strip = _ROW * len(speakers) + _AXIS
    first = min(moment.start for moment in moments)
    last = max(moment.end for moment in moments)
    begin, seconds, count = _strips(first, last, max(1, int((_MOST_HEIGHT - _HEAD - foot) / strip)))
    height = _HEAD + strip * count + foot
    figure = Figure(figsize=(_WIDTH, height))
    width = (_WIDTH - left - _RIGHT) / _WIDTH
    largest = max((abs(moment.label) for moment in moments if isinstance(moment.label, float)), default=1.0) or 1.0
    fills = _fills(emotions)
    for number in range(count):
        bottom = (height - _HEAD - strip * (number + 1) + _AXIS) / height
        axes = figure.add_axes((left / _WIDTH, bottom, width, _ROW * len(speakers) / height))
        start = begin + number * seconds
        inside = [moment for moment in moments if moment.start < start + seconds and moment.end > start]
        for moment in inside:
            _draw_moment(axes, moment, speakers.index(moment.speaker), fills, largest, start, seconds)
        _scale(axes, start, seconds, names)
        for row in range(len(names)) if is_regression else ():
            axes.axhline(row, color="0.6", linewidth=0.6, zorder=0)
    title = "what each utterance expresses" if name is None else f"{plain(name)}: what each utterance expresses"
    figure.text(0.1 / _WIDTH, 1 - 0.1 / height, title, va="top", size="medium")
    if found:
        handles = [_patch(*fills[emotion], label=plain(emotion)) for emotion in found]
        figure.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0.0, 0.28 / height),
            ncols=per_line,
            fontsize=SMALL,
            frameon=False,
        )
    figure.text(0.1 / _WIDTH, 0.1 / height, _legend(is_regression, moments), size=SMALL)
    return with_glyphs(figure)


def _strips(first: float, last: float, most: int) -> tuple[float, float, int]:
    """Begin, seconds and number of the strips; the first one begins at 0 unless the recording begins much later."""
    for seconds in _STRIPS:
        begin = first // seconds * seconds
        count = ceil((last - begin) / seconds)
        if count <= most:
            # A short recording fills the page.
            return begin, (last - begin if count == 1 else float(seconds)), count
    return 0.0, last / most, most


def _fills(emotions: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and hatch of each emotion; the first four differ in both."""
    kinds = len(COLOURS)
    return {
        emotion: (COLOURS[index % kinds], HATCHES[(index + index // kinds) % len(HATCHES)])
        for index, emotion in enumerate(emotions)
    }


def _light(colour: str) -> tuple[float, float, float]:
    """The colour so light that black letters and the hatch can be seen on it."""
    red, green, blue = to_rgb(colour)
    return 0.75 + 0.25 * red, 0.75 + 0.25 * green, 0.75 + 0.25 * blue


def _patch(colour: str, hatch: str, label: str) -> Patch:
    return Patch(facecolor=_light(colour), edgecolor=colour, hatch=hatch, label=label, linewidth=0.8)


def _draw_moment(
    axes: Axes,
    moment: Moment,
    row: int,
    fills: Mapping[str, tuple[str, str]],
    largest: float,
    start: float,
    seconds: float,
) -> None:
    left, right = max(moment.start, start), min(moment.end, start + seconds)
    if isinstance(moment.label, float):
        low, tall, colour, hatch = row, -0.45 * moment.label / largest, "#000000", ""
    else:
        score = moment.scores.get(moment.strongest or "", 1.0)
        low, tall = row + 0.45, -0.9 * max(score, 0.1)
        colour, hatch = fills.get(moment.strongest or "", ("#000000", ""))
    face = "white" if moment.strongest is None and not isinstance(moment.label, float) else _light(colour)
    style = "--" if moment.is_wrong else "-"
    axes.add_patch(
        Rectangle(
            (left, low),
            right - left,
            tall,
            facecolor=face,
            edgecolor=colour,
            hatch=hatch,
            linewidth=0.8,
            linestyle=style,
        )
    )
    inches = (right - left) / seconds * axes.bbox.width / axes.figure.dpi
    text = plain(moment.text, 30)
    if width_of(text) * LETTER * SMALL < inches - 0.04:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
        axes.text((left + right) / 2, row + 0.22, text, ha="center", va="center", size=SMALL, bbox=box)


def _scale(axes: Axes, start: float, seconds: float, names: Sequence[str]) -> None:
    axes.set_xlim(start, start + seconds)
    axes.set_ylim(len(names) - 0.5, -0.5)
    step = next((tick for tick in _TICKS if seconds / tick <= _MOST_TICKS), 3600)
    places = [tick * step for tick in range(ceil(start / step), int((start + seconds) / step) + 1)]
    axes.set_xticks(places, [_clock(place) for place in places])
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=SMALL, length=2)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    for border in range(1, len(names)):
        axes.axhline(border - 0.5, color="0.8", linewidth=0.5, zorder=0)


def _clock(seconds: int) -> str:
    """`minutes:seconds`, with hours where there are some."""
    hours = f"{seconds // 3600}:{seconds // 60 % 60:02}" if seconds >= 3600 else str(seconds // 60)
    return f"{hours}:{seconds % 60:02}"


def _legend(is_regression: bool, moments: Sequence[Moment]) -> str:
    if is_regression:
        return "minutes:seconds; bar: predicted value, up from the middle of the row above 0, down below 0"
    wrong = "; dashed: predicted is not true" if any(moment.is_known for moment in moments) else ""
    return f"minutes:seconds; height of a box: probability of its emotion{wrong}"
