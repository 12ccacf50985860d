"""A picture of a dialogue as a transcript: who felt what when, and how sure the model is of each emotion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from ..processing import DialogueError
from .fonts import with_glyphs
from .real_time import Moment, plot_real_time
from .style import (
    LEGIBLE,
    LETTER,
    SEQUENTIAL,
    SMALL,
    Axes,
    Figure,
    label_text,
    many_markers,
    plain,
    width_of,
)

# Sizes in inches. A page is as high as a picture gets; the rows of a longer dialogue become smaller instead.
_PAGE, _ROW, _GAP = 12.0, 0.24, 0.12
_LEFT, _LANES_AT_MOST, _VALUES_WIDTH = 0.5, 4.2, 2.4
_LETTERS_OF_NAME, _LETTERS_OF_TEXT = 16, 55


def plot_timeline(prediction: Mapping[str, Any], labels: Sequence[Any] | None = None) -> Figure:
    """Draw a dialogue from top to bottom: one lane per speaker, the probabilities of all emotions, and the texts.

    If all utterances have `start` and `end`, they are drawn in real time instead, from left to right, one row per
    speaker; a long recording goes on below.

    For regression the values take the place of the probabilities. If the dialogue is so long that its rows are too
    small to be read, nothing is written into them.

    Args:
        prediction: a dialogue as `model.predict` returns it.
        labels: the true label of each utterance, of the same kind as the predicted ones; None where unknown. They are
            marked, and so are the mistakes of the model.

    Raises:
        DialogueError: `prediction` is not one, or the numbers of labels and utterances differ.
    """
    rows = _rows(prediction, labels)
    times = _times(prediction)
    if times is not None:
        moments = [
            Moment(row.speaker, start, end, row.label, row.scores, row.is_wrong, row.is_known)
            for row, (start, end) in zip(rows, times, strict=True)
        ]
        return plot_real_time(moments, prediction.get("dialogue_id"))
    speakers = list(dict.fromkeys(row.speaker for row in rows))
    is_regression = isinstance(rows[0].label, float | Mapping)
    emotions = [] if is_regression else list(rows[0].scores)

    row_height = min(_ROW, _PAGE / len(rows))
    size = min(SMALL, 72 * 0.62 * row_height)
    letter = LETTER * size
    texts = [plain(row.text, _LETTERS_OF_TEXT) if size >= LEGIBLE else "" for row in rows]
    longest = max(width_of(_in_lane(row.label)) for row in rows)
    lane = min(max(0.45, 0.2 + letter * min(longest, 18)), _LANES_AT_MOST / len(speakers))
    values = _VALUES_WIDTH if is_regression else (0.3 if len(emotions) <= 10 else 0.22) * len(emotions)
    name = prediction.get("dialogue_id")
    title = f"{'dialogue' if name is None else f'dialogue {plain(name)}'}: what each utterance expresses"
    names = [plain(name, _LETTERS_OF_NAME) for name in [*speakers, *emotions]]
    slanted = 0.75 * LETTER * SMALL * max(map(width_of, names))  # height and width of the longest name
    widths = [lane * len(speakers), values, max(letter * max(map(width_of, texts)), slanted)]
    width = max(_LEFT + sum(widths) + 2 * _GAP, _LEFT + LETTER * 10 * width_of(title))
    height, head, foot = row_height * len(rows), 0.6 + slanted, 0.6
    total = head + height + foot
    figure = Figure(figsize=(width, total))
    places = [_LEFT, _LEFT + widths[0] + _GAP, _LEFT + widths[0] + widths[1] + 2 * _GAP]
    lanes, middle, right = (
        figure.add_axes((place / width, foot / total, column / width, height / total))
        for place, column in zip(places, widths, strict=True)
    )
    for axes in (lanes, middle, right):
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(length=0, labelsize=SMALL)
        axes.set_yticks([])
        axes.xaxis.tick_top()
    line = min(1.0, 10 * row_height)  # width of a frame that does not fill its row
    _draw_lanes(lanes, rows, speakers, size, int((lane - 0.15) / letter), line)
    if is_regression:
        _draw_values(middle, rows)
    else:
        _draw_probabilities(middle, rows, emotions, line)
    right.axis("off")
    for index, text in enumerate(texts):
        right.text(0, index, text, va="center", size=size, transform=right.get_yaxis_transform())
    figure.text(0.1 / width, 1 - 0.08 / total, title, va="top", size="medium")
    figure.text(0.1 / width, 0.1 / total, _legend(is_regression, any(row.is_known for row in rows)), size=SMALL)
    return with_glyphs(figure)


@dataclass(frozen=True)
class _Row:
    speaker: str
    text: str
    label: Any
    scores: Mapping[str, float]
    true: Any

    @property
    def is_known(self) -> bool:
        return self.true is not None

    @property
    def is_wrong(self) -> bool:
        """Whether the class is wrong; a value is never exactly right, and so never wrong."""
        if not self.is_known or isinstance(self.label, float | Mapping):
            return False
        return self.true != self.label if isinstance(self.label, str) else set(self.true) != set(self.label)

    def truly(self, emotion: str) -> bool:
        return self.is_known and (emotion == self.true if isinstance(self.true, str) else emotion in self.true)

    def found(self, emotion: str) -> bool:
        return emotion == self.label if isinstance(self.label, str) else emotion in self.label


def _rows(prediction: Mapping[str, Any], labels: Sequence[Any] | None) -> list[_Row]:
    utterances = prediction.get("utterances") if isinstance(prediction, Mapping) else None
    if not utterances or any("scores" not in utterance for utterance in utterances):
        raise DialogueError("a timeline shows one dialogue as `model.predict` returns it, with label and scores")
    if labels is not None and len(labels) != len(utterances):
        raise DialogueError(f"there are {len(labels)} true labels for {len(utterances)} utterances")
    return [
        _Row(utterance["speaker"], utterance.get("text") or "", utterance["label"], utterance["scores"], true)
        for utterance, true in zip(utterances, [None] * len(utterances) if labels is None else labels, strict=True)
    ]


def _times(prediction: Mapping[str, Any]) -> list[tuple[float, float]] | None:
    """Start and end of each utterance; None if one has none, or several values at once, which need a column each."""
    utterances = prediction["utterances"]
    times = [(utterance.get("start"), utterance.get("end")) for utterance in utterances]
    if any(start is None or end is None or end <= start for start, end in times):
        return None
    return None if any(isinstance(utterance["label"], Mapping) for utterance in utterances) else times


def _draw_lanes(
    axes: Axes, rows: Sequence[_Row], speakers: Sequence[str], size: float, letters: int, line: float
) -> None:
    for index, row in enumerate(rows):
        lane = speakers.index(row.speaker)
        style = "--" if row.is_wrong else "-"
        axes.add_patch(
            Rectangle(
                (lane + 0.03, index - 0.42),
                0.94,
                0.84,
                facecolor="white" if row.is_wrong else "0.92",
                edgecolor="black",
                linestyle=style,
                linewidth=0.7 * line,
            )
        )
        if size >= LEGIBLE and letters > 2:
            axes.text(lane + 0.5, index, plain(_in_lane(row.label), letters), ha="center", va="center", size=size)
    axes.set_xlim(0, len(speakers))
    _name_columns(axes, np.arange(len(speakers)) + 0.5, speakers)
    every = 1 if size >= 6 else 10
    places = [0, *range(every - 1, len(rows), every)] if every > 1 else range(len(rows))
    axes.set_yticks(list(places), [str(place + 1) for place in places])
    for border in range(1, len(speakers)):
        axes.axvline(border, color="0.7", linewidth=0.5, zorder=0)


def _draw_probabilities(axes: Axes, rows: Sequence[_Row], emotions: Sequence[str], line: float) -> None:
    shares = np.array([[row.scores[emotion] for emotion in emotions] for row in rows])
    axes.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for (index, column), _ in np.ndenumerate(shares):
        if rows[index].found(emotions[column]):
            axes.add_patch(
                Rectangle(
                    (column - 0.46, index - 0.44), 0.92, 0.88, fill=False, edgecolor="black", linewidth=1.4 * line
                )
            )
    true = [
        (column, index) for index, row in enumerate(rows) for column, name in enumerate(emotions) if row.truly(name)
    ]
    _mark_true(axes, true, len(rows))
    _name_columns(axes, np.arange(len(emotions)), emotions)


def _in_lane(label: Any) -> str:
    """The label as it stands in a lane; several values are named in the column beside it."""
    if isinstance(label, Mapping):
        return " ".join(f"{value:+.2f}" for value in label.values())
    return label_text(label)


def _draw_values(axes: Axes, rows: Sequence[_Row]) -> None:
    names = list(rows[0].label) if isinstance(rows[0].label, Mapping) else [""]
    values = np.array([list(row.label.values()) if isinstance(row.label, Mapping) else [row.label] for row in rows])
    # Several values of an utterance lie below each other within its row.
    shifts = (np.arange(len(names)) - (len(names) - 1) / 2) * 0.7 / len(names)
    places = np.arange(len(rows))[:, None] + shifts
    axes.hlines(places.ravel(), 0, values.ravel(), color="black", linewidth=1 if len(names) == 1 else 0.5)
    for column, (name, (shape, is_filled)) in enumerate(zip(names, many_markers(len(names)), strict=True)):
        axes.plot(
            values[:, column],
            places[:, column],
            shape if len(names) > 1 else "o",
            color="black",
            markersize=4,
            markerfacecolor="black" if is_filled else "white",
            label=plain(name, _LETTERS_OF_NAME),
        )
    if len(names) > 1:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), frameon=False, fontsize=SMALL, ncols=len(names))
    known = [(index, row.true if isinstance(row.true, Mapping) else {"": row.true}) for index, row in enumerate(rows)]
    true = [
        (given[name], float(places[index, column]))
        for index, given in known
        for column, name in enumerate(names)
        if rows[index].is_known and given.get(name) is not None
    ]
    _mark_true(axes, true, len(rows))
    axes.axvline(0, color="0.5", linewidth=0.8)
    axes.margins(x=0.08)
    axes.set_xlabel("value", size=SMALL)
    axes.xaxis.set_label_position("top")


def _mark_true(axes: Axes, places: Sequence[tuple[float, float]], num_rows: int) -> None:
    if places:
        size = min(4.0, 0.7 * 72 * _PAGE / num_rows)  # no higher than a row
        across, down = zip(*places, strict=True)
        axes.plot(across, down, "D", color="black", markerfacecolor="white", markersize=size, markeredgewidth=0.8)


def _name_columns(axes: Axes, places: Any, names: Sequence[str]) -> None:
    shown = [plain(name, _LETTERS_OF_NAME) for name in names]
    width = axes.bbox.width / axes.figure.dpi / len(names)
    if max(map(width_of, shown)) * LETTER * SMALL < width:
        axes.set_xticks(places, shown)
    else:
        axes.set_xticks(places, shown, rotation=45, ha="left", rotation_mode="anchor")


def _legend(is_regression: bool, has_labels: bool) -> str:
    if is_regression:
        return "black: predicted value" + ("; diamond: true value" if has_labels else "")
    what = "shade: probability, white 0 to black 1; frame: predicted"
    return what + ("; diamond: true\ndashed lane: predicted is not true" if has_labels else "")
