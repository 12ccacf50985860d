"""Fields of parsed JSON; if one is missing or of the wrong type, the error message names its place."""

import math
from collections.abc import Mapping
from typing import Any

from ...processing.dialogues import DialogueError


def record_of(value: Any, place: str) -> Mapping[str, Any]:
    """Return the value. Raises a `DialogueError` if it is not an object."""
    if not isinstance(value, Mapping):
        raise DialogueError(f"{place}: expected an object, got {value!r:.60}")
    return value


def records_of(record: Mapping[str, Any], key: str, place: str) -> list[Mapping[str, Any]]:
    """Return a list of objects, empty if the key is missing. Raises a `DialogueError` if it holds something else."""
    value = record.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise DialogueError(f"{place}: {key!r} must be a list, got {value!r:.60}")
    return [record_of(each, f"{place}, {key}[{index}]") for index, each in enumerate(value)]


def text_of(record: Mapping[str, Any], place: str, *keys: str) -> str:
    """Return the text of the first of these keys. Raises a `DialogueError` if there is none."""
    value = next((record[key] for key in keys if record.get(key) is not None), None)
    if not isinstance(value, str):
        raise DialogueError(f"{place}: {keys[0]!r} must be a text, got {value!r:.60}")
    return value


def optional_number(record: Mapping[str, Any], key: str, place: str) -> float | None:
    """Return a number, which may be written as text, or None. Raises a `DialogueError` if it is something else."""
    value = record.get(key)
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DialogueError(f"{place}: {key!r} must be a number, got {value!r:.60}")
    return number


def number_of(record: Mapping[str, Any], key: str, place: str) -> float:
    """Return a number. Raises a `DialogueError` if it is missing or something else."""
    number = optional_number(record, key, place)
    if number is None:
        raise DialogueError(f"{place}: there is no {key!r}")
    return number


def name_of(speaker: Any) -> str | None:
    """Return the name or number of a speaker as text."""
    return None if speaker is None else str(speaker)
