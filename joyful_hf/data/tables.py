"""Flat tables, one utterance per row, as CSV files and spreadsheets have them -> dialogues."""

import ast
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset

from ..io.messages import did_you_mean
from ..io.text_files import read_any_text, suffix_of
from ..processing import FEATURE_KEYS, FRAME_KEYS, DialogueError
from ..processing.known_keys import KNOWN_KEYS, OTHER_NAMES

# Beside the other names of an utterance's keys: what tables call the dialogue and the position in it.
_OTHER_NAMES = OTHER_NAMES | {
    "dialogue_id": ("dialogueid", "dialog_id", "conversation_id", "conv_id", "dia_id", "session_id", "dialogue"),
    "utterance_id": ("utt_id", "utteranceid", "turn_id", "turn"),
}
_NAMED = ("dialogue_id", *sorted(KNOWN_KEYS))
# EmoryNLP's scenes are numbered within an episode.
_SCENE = ("season", "episode", "scene_id")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)")
_VECTORS = {*FEATURE_KEYS.values(), *FRAME_KEYS.values()}


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dialogues of a CSV or TSV file with a row per utterance, each after its name for messages.

    Args:
        path: the file.
        columns: as in `group_rows`.

    Raises:
        DialogueError: as `group_rows`, or a file that is no table.
    """
    text = read_any_text(path)
    delimiter = "\t" if suffix_of(path) == ".tsv" else _delimiter_of(text)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [_without_empty(row, f"{path}, line {reader.line_num}") for row in reader]
    except csv.Error as error:
        raise DialogueError(f"{path}, line {reader.line_num}: not readable as a table ({error})") from None
    yield from group_rows(rows, reader.fieldnames or (), str(path), columns)


def _delimiter_of(text: str) -> str:
    head = text.partition("\n")[0]
    return max(",;\t", key=head.count)


def _without_empty(row: dict[Any, Any], place: str) -> dict[str, Any]:
    if None in row:
        raise DialogueError(f"{place}: more values than columns; a value with commas needs quotes")
    return {key.strip(): value for key, value in row.items() if value is not None and value.strip()}


def rows_of(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Yield the rows of a flat data set, with the names of classes in place of their numbers."""
    classes = {key: feature for key, feature in dataset.features.items() if isinstance(feature, ClassLabel)}
    for row in dataset.with_format(None):
        named = {key: feature.int2str(row[key]) for key, feature in classes.items() if row[key] not in (None, -1)}
        yield {**row, **dict.fromkeys(classes), **named}


def group_rows(
    rows: Iterable[Mapping[str, Any]], names: Sequence[str], name: str, columns: Mapping[str, str] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Group the utterances of a flat table by dialogue, in the order of the table, or of the utterances' numbers.

    Args:
        rows: one per utterance.
        names: names of the columns.
        name: how messages call the table.
        columns: key of the record -> name of its column; others are found by the names that data sets usually have,
            such as those of MELD (`Dialogue_ID`, `Utterance`, `Speaker`, `Emotion`).

    Yields:
        Each dialogue, after its name for messages.

    Raises:
        DialogueError: no column says which dialogue a row is of, or who speaks, or one of `columns` is not there.
    """
    found = find_columns(names, name, columns)
    if missing := [key for key in ("dialogue_id", "speaker") if key not in found]:
        raise DialogueError(
            f"{name}: a table of utterances needs columns for 'dialogue_id' and 'speaker', and the one for "
            f"{missing[0]!r} is missing (columns found: {', '.join(map(str, names)) or 'none'}); "
            f'name it as in `columns={{"{missing[0]}": "..."}}`'
        )
    groups: dict[str, list[dict[str, Any]]] = {}
    of_dialogue = found.pop("dialogue_id")
    used = {*of_dialogue, *(column for (column,) in found.values())}
    for row in rows:
        values = {key: _value(key, row.get(column)) for key, (column,) in found.items()}
        rest = {key: value for key, value in row.items() if key not in used and key not in values}
        dialogue_id = "_".join(str(row.get(column)) for column in of_dialogue)
        groups.setdefault(dialogue_id, []).append(values | rest)
    for dialogue_id, utterances in groups.items():
        numbers = [str(utterance.get("utterance_id")) for utterance in utterances]
        if all(map(str.isdecimal, numbers)):
            utterances.sort(key=lambda utterance: int(utterance["utterance_id"]))
        yield f"{name}, dialogue {dialogue_id!r}", {"dialogue_id": dialogue_id, "utterances": utterances}


def find_columns(
    names: Sequence[str], name: str, columns: Mapping[str, str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Return key -> the column that holds it, for each key that is found; several for a dialogue's id."""
    plain = {re.sub(r"[\s-]+", "_", each.strip().lower()): each for each in names if isinstance(each, str)}
    found: dict[str, tuple[str, ...]] = {}
    for key in _NAMED:
        column = next((plain[other] for other in (key, *_OTHER_NAMES.get(key, ())) if other in plain), None)
        if column is not None:
            found[key] = (column,)
    if "dialogue_id" not in found and all(part in plain for part in _SCENE):
        found["dialogue_id"] = tuple(plain[part] for part in _SCENE)
    for key, column in (columns or {}).items():
        if key not in _NAMED:
            raise DialogueError(f"`columns`: {key!r} is no key of an utterance{did_you_mean(key, _NAMED)}")
        if column not in names:
            raise DialogueError(f"{name}: `columns` names {column!r}, which is not there{did_you_mean(column, names)}")
        found[key] = (column,)
    return found


def refuse_columns(columns: Mapping[str, str] | None, name: str) -> None:
    """Raise a DialogueError if columns are given for dialogues, which have none.

    Args:
        name: how messages call the dialogues.
    """
    if columns:
        raise DialogueError(
            f"{name}: `columns` are those of a table with an utterance per row, and these are dialogues with "
            "'utterances'; leave it out, and give the utterances the keys of the record"
        )


def _value(key: str, value: Any) -> Any:
    """Turn what a table holds into what a record holds: seconds, vectors, names."""
    if key in ("start", "end"):
        return _seconds(value)
    if key in _VECTORS and isinstance(value, str):
        try:
            return json.loads(value if value.lstrip().startswith("[") else f"[{','.join(re.split('[,; ]+', value))}]")
        except ValueError:
            return value  # refused with its place
    if key == "speaker" and value is not None:
        return _speaker(str(value).strip())
    return value


def _speaker(name: str) -> str:
    """Return a name; EmoryNLP has lists of them: `['Monica Geller']`."""
    if name.startswith("['"):
        try:
            return " and ".join(ast.literal_eval(name))
        except (ValueError, SyntaxError, TypeError):
            return name
    return name


def _seconds(value: Any) -> Any:
    """Return seconds; MELD's times are those of a clock: `00:16:16,059`."""
    if not isinstance(value, str):
        return value
    clock = _CLOCK.fullmatch(value.strip())
    if clock:
        hours, minutes, seconds = clock.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))
    try:
        return float(value)
    except ValueError:
        return value
