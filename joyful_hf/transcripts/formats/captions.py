"""Captions that roll up the screen, as YouTube and live television have them: each line is read once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..segments import Word
from .cues import without_tags

_WORD_TIME = re.compile(r"<(?:(\d+):)?([0-5]?\d):([0-5]\d\.\d{3})>")

# Rolling cues follow one another without a longer pause than this, in seconds.
_PAUSE = 0.1
# Share of all neighbours in a file that must repeat a line: a person can say the same twice, too.
_LEAST_REPEATS = 0.5


@dataclass
class Cue:
    """A cue of subtitles as it stands in the file."""

    start: float
    end: float
    lines: list[str]
    place: str


def without_rolling(cues: Sequence[Cue]) -> tuple[list[Cue], int]:
    """Take out of each cue the lines that it repeats from the cue before it, if the file is one of rolling captions.

    Returns:
        The cues that say something new, and the number of the others.
    """
    texts = [[text for line in cue.lines if (text := without_tags(line))] for cue in cues]
    repeats = [0 for _ in cues[:1]] + [
        _overlap(before, after) if second.start - first.end <= _PAUSE else 0
        for (first, second), (before, after) in zip(pairwise(cues), pairwise(texts), strict=True)
    ]
    # Whoever underlines the words of a subtitle one after the other repeats it, too, and never adds a line.
    are_rolling = any(0 < count < len(lines) for count, lines in zip(repeats, texts, strict=True))
    if not are_rolling or sum(map(bool, repeats)) < _LEAST_REPEATS * (len(cues) - 1):
        return list(cues), 0
    kept = []
    for cue, count in zip(cues, repeats, strict=True):
        lines = [line for line in cue.lines if without_tags(line)]
        if lines[count:]:
            kept.append(replace(cue, lines=lines[count:]))
    return kept, len(cues) - len(kept)


def _overlap(before: Sequence[str], after: Sequence[str]) -> int:
    """Return how many lines the second cue begins with that the first one ends with."""
    longest = min(len(before), len(after))
    return next((count for count in range(longest, 0, -1) if before[-count:] == after[:count]), 0)


def timed_words(text: str, start: float, end: float) -> list[Word]:
    """Return the words of a cue that says when each of them begins, `so<00:00:01.200><c> good</c>`; else none."""
    parts = _WORD_TIME.split(text)
    times = [
        start,
        *(
            int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
            for hours, minutes, seconds in zip(parts[1::4], parts[2::4], parts[3::4], strict=True)
        ),
        end,
    ]
    if len(times) == 2 or any(after < before for before, after in pairwise(times)):
        return []
    return [
        Word(said, *own) for part, own in zip(parts[::4], pairwise(times), strict=True) if (said := without_tags(part))
    ]
