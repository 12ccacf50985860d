"""JSON Lines: one dialogue per line, read into an Arrow table and written back."""

import itertools
import json
import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

from ..io.text_files import utf8_lines
from ..processing import FEATURE_KEYS, FRAME_KEYS, DialogueError
from ..processing.dialogues import get_utterances, utterance_name
from ..processing.known_keys import KNOWN_KEYS
from .arrow_files import dataset_of, stored_tables
from .columns import MEDIA_FILE_KEYS, found_path
from .list_columns import with_lists
from .tables import find_columns, group_rows, refuse_columns

logger = logging.getLogger(__name__)

_DIALOGUES_PER_CHUNK = 256
# Columns whose type is known, and how messages call it.
_VECTOR, _VECTORS = pa.list_(pa.float32()), pa.list_(pa.list_(pa.float32()))
_COLUMN_TYPES = {f"utterances.{key}": _VECTOR for key in FEATURE_KEYS.values()}
_COLUMN_TYPES |= {f"utterances.{key}": _VECTORS for key in FRAME_KEYS.values()}
_READ = {"dialogue_id", "extractors", *(f"utterances.{key}" for key in KNOWN_KEYS)}
_TYPE_NAMES = {_VECTOR: "a list of numbers", _VECTORS: "a list of vectors of numbers"}


def write_dialogues(dialogues: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """Write dialogues to a JSONL file, one per line. Keys without a value are left out, arrays become lists."""
    with Path(path).open("w", encoding="utf-8") as file:
        for dialogue in dialogues:
            file.write(json.dumps(_without_none(dialogue), ensure_ascii=False, default=_as_list) + "\n")


def _as_list(value: Any) -> Any:
    """Turn a numpy or torch value into what JSON can hold."""
    if not hasattr(value, "tolist"):
        raise TypeError(f"JSONL cannot hold {type(value).__name__}")
    return value.tolist()


def _without_none(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in record.items() if value is not None}
    utterances = kept.get("utterances")
    if utterances is not None:
        kept["utterances"] = [
            {key: value for key, value in utterance.items() if value is not None} for utterance in utterances
        ]
    return kept


def read_jsonl(files: Sequence[Path], columns: Mapping[str, str] | None = None) -> Dataset:
    """Read files of one dialogue per line, a JSON array of dialogues, or one dialogue over several lines.

    A record may also be an utterance that names its dialogue: see `group_rows`.

    Raises:
        DialogueError: a line that is not a dialogue; the message names the file and the line.
    """
    return to_dataset(lambda: (record for file in files for record in _jsonl_records(file, columns)), files[0])


def to_dataset(make_records: Callable[[], Iterable[tuple[str, dict[str, Any]]]], path: Path) -> Dataset:
    """Turn dialogues into a data set, in chunks: as Python numbers, they would take too much memory.

    A key that nobody reads, and that holds values of several kinds, is left out with a warning.

    Args:
        make_records: makes an iterator over the dialogues, each after the name that messages call it by. It is asked
            once more for each key that is left out.
        path: the file; media are looked for beside it.

    Raises:
        DialogueError: a record that is not a dialogue, or a value that cannot be stored.
    """
    left_out: set[str] = set()
    while True:
        try:
            tables = stored_tables(_tables(make_records(), path, left_out))
            return dataset_of(pa.concat_tables(tables, promote_options="permissive"))
        except _MixedKeyError as error:
            logger.warning("%s; the key is left out", error)
            left_out.add(error.key)


class _MixedKeyError(DialogueError):
    """A key that nobody reads holds values of several kinds."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _tables(records: Iterable[tuple[str, dict[str, Any]]], path: Path, left_out: set[str]) -> Iterator[pa.Table]:
    is_empty = True
    types: dict[str, pa.DataType] = {}
    chunk: list[dict[str, Any]] = []
    places: list[str] = []
    for place, record in records:
        chunk.append(_checked(place, record, path, left_out))
        places.append(place)
        if len(chunk) == _DIALOGUES_PER_CHUNK:
            yield _to_table(chunk, places, types)
            chunk, places, is_empty = [], [], False
    if chunk:
        yield _to_table(chunk, places, types)
    elif is_empty:
        raise DialogueError(f"{path}: the file holds no dialogues")


def _checked(place: str, record: dict[str, Any], path: Path, left_out: set[str]) -> dict[str, Any]:
    get_utterances(record, place)
    record = {key: value for key, value in record.items() if key not in left_out}
    record["utterances"] = [
        {
            key: found_path(value, path.parent) if key in MEDIA_FILE_KEYS else value
            for key, value in utterance.items()
            if f"utterances.{key}" not in left_out
        }
        for utterance in record["utterances"]
    ]
    if record.get("dialogue_id") is not None:
        record["dialogue_id"] = str(record["dialogue_id"])
    return record


def _jsonl_records(path: Path, columns: Mapping[str, str] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each dialogue of the file, after the name that messages call it by."""
    values = _jsonl_values(path)
    first = next(values, None)
    if first is None:
        return
    values = itertools.chain([first], values)
    place, record = first
    if isinstance(record, Mapping) and "utterances" in record:
        refuse_columns(columns, place)
    if _is_row(with_lists(record, place, columns), str(path), columns):
        rows = [row for _, row in values if isinstance(row, Mapping)]
        yield from group_rows(rows, list(dict.fromkeys(key for row in rows for key in row)), str(path), columns)
    else:
        yield from ((place, with_lists(record, place, columns)) for place, record in values)


def _is_row(record: Any, name: str, columns: Mapping[str, str] | None) -> bool:
    """Whether a record is an utterance that names its dialogue."""
    if not isinstance(record, Mapping) or "utterances" in record:
        return False
    given = columns if columns and set(columns.values()) <= record.keys() else None
    return "dialogue_id" in find_columns(list(record), name, given)


def _jsonl_values(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the JSON values of a file, one per line, or those of an array, after their names for messages."""
    lines = ((f"{path}, line {number}", line) for number, line in enumerate(utf8_lines(path), 1) if line.strip())
    for position, (place, line) in enumerate(lines):
        try:
            value = _parse(line.rstrip(), place)
        except DialogueError:
            whole = None if position else _whole_document(path)
            if whole is None:
                raise
            yield from _values_of(whole, place, path)
            return
        if position:
            yield place, value
        else:
            yield from _values_of(value, place, path)


def _values_of(first: Any, place: str, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the dialogues of an array, or the value itself."""
    if isinstance(first, list):
        yield from ((f"{path}, [{index}]", value) for index, value in enumerate(first))
    else:
        yield place, first


def _parse(line: bytes, place: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DialogueError(f"{place}: not valid JSON (column {error.colno}: {error.msg})") from None
    except (ValueError, RecursionError) as error:
        raise DialogueError(f"{place}: not valid JSON ({error})") from None


def _whole_document(path: Path) -> Any | None:
    """Return the JSON that a file holds as a whole, over several lines, or None."""
    try:
        return json.loads(b"\n".join(utf8_lines(path)))
    except (ValueError, RecursionError):
        return None


def _to_table(records: list[dict[str, Any]], places: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    """Turn dialogues into an Arrow table with every key that occurs; Arrow infers the types.

    Args:
        places: how messages call each dialogue.
        types: types of the keys in the dialogues before these; brought up to date.

    Raises:
        DialogueError: a value of another kind than those before it.
    """
    utterances = [utterance for record in records for utterance in record["utterances"]]
    utterance_places = [
        utterance_name(place, index)
        for place, record in zip(places, records, strict=True)
        for index in range(len(record["utterances"]))
    ]
    utterance_columns = {
        key: _to_column(f"utterances.{key}", [utterance.get(key) for utterance in utterances], utterance_places, types)
        for key in _keys_of(utterances)
    }
    ends = np.cumsum([0, *(len(record["utterances"]) for record in records)])
    columns = {
        key: _to_column(key, [record.get(key) for record in records], places, types)
        for key in _keys_of(records)
        if key != "utterances"
    }
    structs = pa.StructArray.from_arrays(list(utterance_columns.values()), list(utterance_columns))
    columns["utterances"] = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), structs)
    return pa.table(columns)


def _keys_of(records: list[dict[str, Any]]) -> list[str]:
    keys: dict[str, None] = {}
    for record in records:
        keys |= dict.fromkeys(record)
    return list(keys)


def _to_column(column: str, values: list[Any], places: list[str], types: dict[str, pa.DataType]) -> pa.Array:
    known_type = types.get(column, pa.null())
    array = _to_array(column, values, known_type)
    if array is None:
        # The values before the misfit fit each other, and no longer list does: search for its end by halving.
        index = bisect_left(
            range(len(values)), True, key=lambda last: _to_array(column, values[: last + 1], known_type) is None
        )
        key = column.removeprefix("utterances.")
        if column in _COLUMN_TYPES:
            kind = _TYPE_NAMES[_COLUMN_TYPES[column]]
            raise DialogueError(f"{places[index]}: '{key}' must be {kind}, got {values[index]!r:.60}")
        before = _merge_types(known_type, pa.array(values[:index]).type)
        reason = "cannot be stored" if before == pa.null() else f"is of another kind than those before it ({before})"
        message = f"{places[index]}: '{key}' is {values[index]!r:.60}, which {reason}"
        raise DialogueError(message) if column in _READ else _MixedKeyError(column, message)
    types[column] = _merge_types(known_type, array.type)
    return array


def _to_array(column: str, values: list[Any], known_type: pa.DataType) -> pa.Array | None:
    """Return the values as an Arrow array, or None if they do not fit each other or the type known so far."""
    try:
        array = pa.array(values, _COLUMN_TYPES.get(column))
        _merge_types(known_type, array.type)
    except (ValueError, TypeError, OverflowError):
        return None
    return array


def _merge_types(known: pa.DataType, given: pa.DataType) -> pa.DataType:
    """Return the type that holds the values of both. Raises an Arrow error if none does."""
    schemas = [pa.schema([("value", kind)]) for kind in (known, given)]
    return pa.unify_schemas(schemas, promote_options="permissive").field("value").type
