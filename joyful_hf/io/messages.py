"""Words that messages share."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """Return the known names that look most like a misspelt one, the likeliest first."""
    return difflib.get_close_matches(name, list(known), n=count)


def did_you_mean(name: str, known: Iterable[str], count: int = 1) -> str:
    """Return "; did you mean …?" with the nearest known names, or nothing where none is near."""
    near = nearest(name, known, count)
    return f"; did you mean {' or '.join(near)}?" if near else ""
