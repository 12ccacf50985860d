"""Words that messages share."""

import difflib
from collections.abc import Iterable, Sequence

_IRREGULAR = {"medium": "media", "class": "classes", "process": "processes"}


def counted(number: int, noun: str) -> str:
    """Return "1 dialogue", "2 dialogues", "1 medium", "2 media"."""
    return f"{number} {noun if number == 1 else _IRREGULAR.get(noun, f'{noun}s')}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return "a, b, c", or the first `most` names "and 3 more"."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def shortened(text: object, most: int = 300) -> str:
    """Return a text on one line, cut after so many characters: what a file holds may be of any length."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else f"{line[:most]} …"


def nearest(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """Return the known names that look most like a misspelt one, the likeliest first."""
    return difflib.get_close_matches(name, list(known), n=count)


def did_you_mean(name: str, known: Iterable[str], count: int = 1) -> str:
    """Return "; did you mean …?" with the nearest known names, or nothing where none is near."""
    near = nearest(name, known, count)
    return f"; did you mean {' or '.join(near)}?" if near else ""
