"""JSON Lines: one dialogue per line, read into an Arrow table and written back."""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

from ..processing import FEATURE_KEYS, FRAME_KEYS, DialogueError
from ..processing.dialogues import get_utterances, utterance_name
from .columns import MEDIA_FILE_KEYS, found_path

_DIALOGUES_PER_CHUNK = 256
# Columns whose type is known, and how messages call it.
_VECTOR, _VECTORS = pa.list_(pa.float32()), pa.list_(pa.list_(pa.float32()))
_COLUMN_TYPES = {f"utterances.{key}": _VECTOR for key in FEATURE_KEYS.values()}
_COLUMN_TYPES |= {f"utterances.{key}": _VECTORS for key in FRAME_KEYS.values()}
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


def read_jsonl(path: Path) -> Dataset:
    """Read a file of one dialogue per line.

    Raises:
        DialogueError: a line that is not a dialogue; the message names the file and the line.
    """
    tables: list[pa.Table] = []
    types: dict[str, pa.DataType] = {}
    records: list[dict[str, Any]] = []
    places: list[str] = []
    for place, record in _jsonl_records(path):
        records.append(record)
        places.append(place)
        if len(records) == _DIALOGUES_PER_CHUNK:
            tables.append(_to_table(records, places, types))
            records, places = [], []
    if records:
        tables.append(_to_table(records, places, types))
    if not tables:
        raise DialogueError(f"{path}: the file holds no dialogues")
    return Dataset(pa.concat_tables(tables, promote_options="permissive"))


def _jsonl_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each dialogue of the file, after the name that messages call it by."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                record = json.loads(line.rstrip())
            except json.JSONDecodeError as error:
                raise DialogueError(f"{place}: not valid JSON (column {error.colno}: {error.msg})") from None
            except (ValueError, RecursionError) as error:
                raise DialogueError(f"{place}: not valid JSON ({error})") from None
            get_utterances(record, place)
            for utterance in record["utterances"]:
                utterance |= {
                    key: found_path(utterance[key], path.parent) for key in MEDIA_FILE_KEYS & utterance.keys()
                }
            if record.get("dialogue_id") is not None:
                record["dialogue_id"] = str(record["dialogue_id"])
            yield place, record


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
        raise DialogueError(f"{places[index]}: '{key}' is {values[index]!r:.60}, which {reason}")
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
