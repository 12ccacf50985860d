"""The data of the timeline: what `timeline.js` draws of a prediction and of an explanation, ready to be shown."""

from collections.abc import Mapping, Sequence
from itertools import chain, cycle
from typing import Any

from joyful_hf.inference.explanation import Explanation
from joyful_hf.pictures.style import label_text
from joyful_hf.transcripts.rows import Row, make_rows, score_labels_of

SHAPES = ("circle", "square", "triangle", "diamond", "star", "drop", "plus", "hexagon")
"""The second sign of an emotion, for those who cannot tell its colour."""
SKY, GREEN, PURPLE, VERMILLION, BLUE, ORANGE, YELLOW, GREY = COLOURS = (
    *("#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#e69f00", "#d9c400", "#8a8f98"),
)
"""Okabe and Ito's colours, which the colour-blind can tell apart; the yellow is darker, to be seen on white."""
_USUAL = {
    "ang": VERMILLION,
    "joy": ORANGE,
    "hap": ORANGE,
    "sur": YELLOW,
    "exc": YELLOW,
    "dis": GREEN,
    "sad": BLUE,
    "fea": PURPLE,
    "neu": GREY,
    "cal": GREY,
}
"""Where people expect a colour: by the first letters of the emotion."""
_MOST_INFLUENCES = 6
_LATE = 600
"""A recording of which the first words come later than this, in seconds, is shown from there on."""


def signs_of(labels: Sequence[str]) -> list[dict[str, str]]:
    """Return name, colour and shape of each emotion: of the first eight both differ, of the first 64 at least one."""
    usual: list[str | None] = []
    for label in labels:
        colour = _USUAL.get(label.lower()[:3])
        usual.append(None if colour in usual else colour)
    others = chain([colour for colour in COLOURS if colour not in usual], cycle(COLOURS))
    signs: list[dict[str, str]] = []
    taken: set[tuple[str, str]] = set()
    for place, label in enumerate(labels):
        colour = usual[place] or next(others)
        shapes = [SHAPES[(place + step) % len(SHAPES)] for step in range(len(SHAPES))]
        shape = next((shape for shape in shapes if (colour, shape) not in taken), shapes[0])
        taken.add((colour, shape))
        signs.append({"name": label, "colour": colour, "shape": shape})
    return signs


def view_of(prediction: Mapping[str, Any], media_of: Sequence[int | None] = ()) -> dict[str, Any]:
    """Return what the timeline shows of a dialogue.

    It is in real time if all utterances have `start` and `end`, and otherwise gives each of them the same width.

    Args:
        prediction: the dialogue as `model.predict` returns it.
        media_of: number of the file in which each utterance is heard; None where there is none.
    """
    rows = make_rows(prediction)
    is_timed = all(row.start is not None and row.end is not None and row.end > row.start for row in rows)
    times = [row.times if is_timed else (float(row.index), row.index + 1.0) for row in rows]
    first = min(start for start, _ in times)
    speakers = list(dict.fromkeys(row.speaker for row in rows))
    values = [row.label for row in rows if isinstance(row.label, float)]
    signs = signs_of([] if values or _has_values(rows) else score_labels_of(rows))
    if values:
        signs = [
            {"name": "above 0", "colour": BLUE, "shape": "triangle"},
            {"name": "below 0", "colour": VERMILLION, "shape": "drop"},
        ]
    names = [sign["name"] for sign in signs]
    largest = max(map(abs, values), default=0.0) or 1.0
    return {
        "timed": is_timed,
        "begin": first if first > _LATE else 0.0,
        "end": max(end for _, end in times),
        "speakers": speakers,
        "signs": signs,
        "utterances": [
            {
                "speaker": speakers.index(row.speaker),
                "start": start,
                "end": end,
                "text": row.text or "",
                "label": label_of(row),
                "score": score_of(row),
                "sign": _sign_of(row, names),
                "strength": abs(row.label) / largest if isinstance(row.label, float) else row.score or 0.0,
                "bars": _bars_of(row, names, largest),
                "medium": media_of[place] if media_of else None,
            }
            for place, (row, (start, end)) in enumerate(zip(rows, times, strict=True))
        ],
    }


def label_of(row: Row) -> str:
    """Return the label as the page shows it."""
    return "nothing read" if row.label is None else label_text(row.label)


def score_of(row: Row) -> str:
    """Return the score of the label, or of each label, as the page shows it."""
    labels = row.label if isinstance(row.label, list) else [row.label]
    return ", ".join(f"{row.scores[label]:.0%}" for label in labels if isinstance(label, str))


def _has_values(rows: Sequence[Row]) -> bool:
    return any(isinstance(row.label, dict) for row in rows)


def _sign_of(row: Row, names: Sequence[str]) -> int | None:
    """Return the emotion whose colour and shape the utterance has: the strongest of several."""
    if isinstance(row.label, float):
        return 0 if row.label >= 0 else 1
    labels = row.label if isinstance(row.label, list) else [row.label]
    known = [label for label in labels if isinstance(label, str)]
    return names.index(max(known, key=row.scores.__getitem__)) if known else None


def _bars_of(row: Row, names: Sequence[str], largest: float) -> list[dict[str, Any]]:
    """Return a bar per score, the highest first; of values, a bar per value."""
    if isinstance(row.label, float):
        return [_bar("value", f"{row.label:+.2f}", abs(row.label) / largest, _sign_of(row, names))]
    if isinstance(row.label, dict):
        most = max(map(abs, row.label.values()), default=0.0) or 1.0
        return [_bar(name, f"{value:+.2f}", abs(value) / most, None) for name, value in row.label.items()]
    scores = sorted(row.scores.items(), key=lambda item: -item[1])
    return [_bar(name, f"{score:.0%}", score, names.index(name)) for name, score in scores]


def _bar(name: str, text: str, share: float, sign: int | None) -> dict[str, Any]:
    return {"name": name, "text": text, "share": round(share, 4), "sign": sign}


def reasons_of(explanation: Explanation, prediction: Mapping[str, Any], index: int, first: int = 0) -> dict[str, Any]:
    """Return what the page shows of why an utterance got its label: the falls of its score without something.

    Args:
        explanation: with the modalities of this utterance.
        prediction: the dialogue as `model.predict` returns it.
        index: of the utterance.
        first: index of the first utterance that the explanation is of; it may be of a part of the dialogue.
    """
    rows = make_rows(prediction)
    is_value = isinstance(rows[index].label, float | dict)
    scale, decimals = (1, 2) if is_value else (100, 1)
    inside = index - first
    others = explanation.top_influences(inside, _MOST_INFLUENCES)
    shown = sorted([inside, *(other for other, fall in others.items() if round(scale * fall, decimals))])
    modalities = explanation.modalities(inside)
    falls = [float(explanation.utterance_falls[inside, other]) for other in shown]
    longest = max([*map(abs, falls), *map(abs, modalities.values())], default=0.0) or 1.0

    def line(name: str, fall: float, other: int | None = None) -> dict[str, Any]:
        number = f"{round(scale * fall, decimals) + 0.0:+.{decimals}f}".replace("-", "−")
        return {"name": name, "text": number, "share": round(fall / longest, 4), "index": other}

    return {
        "index": index,
        "what": "Change of the value"
        if is_value
        else f"Percentage points by which the score of {explanation.labels[inside]} falls (+) or rises (−)",
        "utterances": [
            line(_short(rows[first + other], is_itself=other == inside), fall, first + other)
            for other, fall in zip(shown, falls, strict=True)
        ],
        "modalities": [line(name, fall) for name, fall in modalities.items()],
    }


def _short(row: Row, is_itself: bool) -> str:
    said = f"{row.speaker}: {row.text}" if row.text else row.speaker
    return f"{row.index + 1}  {'(itself) ' if is_itself else ''}{said}"
