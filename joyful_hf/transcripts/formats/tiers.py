"""Tiers as in Praat and ELAN: the utterances of a speaker on one, their emotions on another below it."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...io.messages import did_you_mean
from ...processing.dialogues import DialogueError
from ..rows import Row
from ..segments import Segment

EMOTION = "emotion@"
"""Prefix of the name of a tier of emotions, before the name of the tier that it belongs to."""

_FLOAT = re.compile(r"[+-]?(?:\d+\.\d+(?:e[+-]?\d+)?|\d+e[+-]?\d+)", re.I)


@dataclass
class Tier:
    """A tier with all its intervals, including empty ones."""

    name: str
    segments: list[Segment]
    emotions: dict[tuple[float, float], str] | None = None
    """The emotion of each interval, by its times, if this tier has a tier of emotions."""

    def utterances(self) -> list[Segment]:
        """Return the intervals; with a tier of emotions, those with a text or an emotion, each with its label."""
        if self.emotions is None:
            return self.segments
        return [
            replace(segment, text=(segment.text or "").strip() or None, is_labelled=True, label=label_of(emotion))
            for segment in self.segments
            if segment.text or self.emotions.get(segment.times)
            for emotion in [self.emotions.get(segment.times, "")]
        ]


def label_words(label: Any) -> str:
    """The label as an annotation: itself, the JSON of several, also of values, a number, nothing for None."""
    if label is None:
        return ""
    return json.dumps(label, ensure_ascii=False) if isinstance(label, list | dict) else str(label)


def label_of(words: str) -> Any:
    """Parse the output of `label_words`."""
    words = words.strip()
    if (words[:1], words[-1:]) in (("[", "]"), ("{", "}")):
        try:
            return json.loads(words)
        except ValueError:
            return words
    return float(words) if _FLOAT.fullmatch(words) else words or None


def refuse_unknown_tiers(wanted: Sequence[str], known: Iterable[str], path: Path) -> None:
    """Raise a `DialogueError` if a tier that the user asked for does not exist."""
    names = list(known)
    for name in wanted:
        if name not in names:
            found = ", ".join(map(repr, names)) or "none"
            raise DialogueError(f"{path}: no tier {name!r}{did_you_mean(name, names)} (tiers found: {found})")


def speaker_tiers(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Return the rows of each speaker in order of time; overlapping rows of one speaker go to several tiers.

    Raises:
        DialogueError: an utterance has no times.
    """
    by_speaker: dict[str, list[list[Row]]] = {}
    for row in sorted(rows, key=lambda row: row.times):
        own = by_speaker.setdefault(row.speaker, [])
        free = next((tier for tier in own if tier[-1].times[1] <= row.times[0]), None)
        if free is None:
            own.append([row])
        else:
            free.append(row)
    return [(speaker, tier) for speaker, own in by_speaker.items() for tier in own]
