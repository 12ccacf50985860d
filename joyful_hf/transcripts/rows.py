"""Predictions as rows, one per utterance: the form that every writer starts from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from ..processing.dialogues import (
    FEATURE_KEYS,
    FRAME_KEYS,
    Dialogue,
    DialogueError,
    dialogue_name,
    get_utterances,
    iterate_dialogues,
    utterance_name,
)

_OWN_KEYS = {"speaker", "text", "start", "end", "label", "scores", "score", "index", "dialogue_id"}
_OWN_KEYS |= {*FEATURE_KEYS.values(), *FRAME_KEYS.values()}


@dataclass
class Row:
    """One utterance with its prediction."""

    dialogue_id: str
    index: int
    """Position in the dialogue, from 0."""
    speaker: str
    start: float | None
    end: float | None
    text: str | None
    label: Any
    """A string, a list of strings, a float, floats by name, or None where nothing could be read."""
    scores: dict[str, float] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    """`true_label`, and other keys with one value: `audio`, `channel` and the like."""
    place: str = ""

    @property
    def times(self) -> tuple[float, float]:
        """Start and end in seconds.

        Raises:
            DialogueError: there are none, or the end is not after the start.
        """
        if self.start is None or self.end is None:
            raise DialogueError(
                f"{self.place}: no 'start' and 'end', which subtitles and tiers need; write .csv or .jsonl instead"
            )
        if self.end <= self.start:
            raise DialogueError(f"{self.place}: 'end' ({self.end:g} s) is not after 'start' ({self.start:g} s)")
        return self.start, self.end

    @property
    def score(self) -> float | None:
        """The score of the label, or of the strongest of several; None for a value."""
        labels = self.label if isinstance(self.label, list) else [self.label]
        scores = [self.scores[label] for label in labels if isinstance(label, str) and label in self.scores]
        return max(scores, default=None)

    def as_dict(self, score_labels: Sequence[str]) -> dict[str, Any]:
        """Return the row of a table, with a column for the score of each label."""
        return {
            "dialogue_id": self.dialogue_id,
            "index": self.index,
            "speaker": self.speaker,
            "start": self.start,
            "end": self.end,
            "text": self.text,
            "label": self.label,
            "score": self.score,
            **{f"score_{label}": self.scores.get(label) for label in score_labels},
            **self.extra,
        }


def make_rows(predictions: Dialogue | Iterable[Dialogue]) -> list[Row]:
    """Return a row for each utterance of the predictions, in order.

    Raises:
        DialogueError: the predictions are not dialogues.
    """
    return list(iterate_rows(predictions))


def iterate_rows(predictions: Dialogue | Iterable[Dialogue]) -> Iterator[Row]:
    """Yield what `make_rows` returns, one after the other."""
    first_position = getattr(predictions, "first_position", 0)  # of some dialogues of many
    for position, dialogue in enumerate(iterate_dialogues(predictions), first_position):
        name = dialogue_name(dialogue, position)
        dialogue_id = dialogue.get("dialogue_id")
        for index, utterance in enumerate(get_utterances(dialogue, name)):
            scores = {label: score for label, score in (utterance.get("scores") or {}).items() if score is not None}
            extra = {key: _as_scalar(value) for key, value in utterance.items() if key not in _OWN_KEYS}
            if isinstance(true_label := utterance.get("true_label"), Mapping | list | tuple):
                extra["true_label"] = _as_label(true_label)
            yield Row(
                dialogue_id=str(position) if dialogue_id in (None, "") else str(dialogue_id),
                index=index,
                speaker=utterance["speaker"],
                start=_milliseconds(utterance.get("start")),
                end=_milliseconds(utterance.get("end")),
                text=utterance.get("text"),
                label=_as_label(utterance.get("label")),
                scores={str(label): float(score) for label, score in scores.items()},
                extra={key: value for key, value in extra.items() if value is not None},
                place=utterance_name(name, index),
            )


def score_labels_of(rows: Iterable[Row]) -> list[str]:
    """Return all labels that have scores, in order of appearance."""
    return list(dict.fromkeys(label for row in rows for label in row.scores))


def _milliseconds(value: Any) -> float | None:
    return None if value is None else round(float(value), 3)


def _as_label(label: Any) -> Any:
    if hasattr(label, "tolist"):  # a number or an array of numpy or torch
        label = label.tolist()
    if isinstance(label, Mapping):
        return {str(name): float(value) for name, value in label.items() if value is not None}
    if isinstance(label, list | tuple):
        return [float(each) if isinstance(each, float) else str(each) for each in label]
    if label is None or isinstance(label, str):
        return label
    return str(label) if isinstance(label, bool | int) else float(label)


def _as_scalar(value: Any) -> Any:
    """Return the value if a table cell can hold it, else None: media become their path, vectors are left out."""
    if isinstance(value, Mapping):
        value = value.get("path")  # how data sets hold a file
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:
        value = value.item()
    return value if isinstance(value, str | bool | Real) else None
