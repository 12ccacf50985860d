"""Dialogues as columns, one list per key (`{"speaker": [...], "text": [...]}`) -> one record per utterance.

Parquet files have them, and data sets on the Hub whose feature is a `Sequence` of several keys.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, LargeList, List

from ..processing import DialogueError
from .arrow_files import dataset_of
from .tables import find_columns


def with_lists(record: Any, place: str, columns: Mapping[str, str] | None) -> Any:
    """Return a dialogue whose utterances are lists by key as one with a record per utterance; others as they are.

    The lists stand in `utterances`, or beside `dialogue_id` where there is no such key.

    Args:
        place: how messages call the dialogue.
        columns: as in `group_rows`, where the lists stand beside `dialogue_id`.

    Raises:
        DialogueError: lists of different lengths.
    """
    if not isinstance(record, Mapping):
        return record
    lists = record.get("utterances")
    rest = {key: value for key, value in record.items() if key != "utterances"}
    if lists is None:
        found = _columns_at_the_top([key for key in record if _is_list(record[key])], place, columns)
        lists = {key: record[column] for key, column in found.items()}
        rest = {key: value for key, value in record.items() if key not in found.values()}
    if not isinstance(lists, Mapping) or not lists:
        return record
    given = {key: values for key, values in lists.items() if values is not None}
    for key, values in given.items():
        if not _is_list(values):
            raise DialogueError(f"{place}: '{key}' must be a list with a value per utterance, got {values!r:.60}")
    lengths = {key: len(values) for key, values in given.items()}
    _check_lengths(lengths, place)
    count = max(lengths.values(), default=0)
    return rest | {"utterances": [{key: values[index] for key, values in given.items()} for index in range(count)]}


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _columns_at_the_top(names: Sequence[str], name: str, columns: Mapping[str, str] | None) -> dict[str, str]:
    """Return key -> column of the columns that hold lists, if they say who speaks; else nothing."""
    given = {key: column for key, column in (columns or {}).items() if column in names}
    found = find_columns(names, name, given)
    return {key: column for key, (column,) in found.items() if key != "dialogue_id"} if "speaker" in found else {}


def _check_lengths(lengths: Mapping[str, int], place: str) -> None:
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise DialogueError(f"{place}: the lists of a dialogue need a value per utterance each, and differ: {told}")


def with_list_of_utterances(dataset: Dataset, name: str, columns: Mapping[str, str] | None) -> Dataset:
    """As `with_lists`, of a whole data set, without a number of it becoming Python's.

    Args:
        name: how messages call the data set.
    """
    features = dataset.features
    fields = features.get("utterances")
    if fields is None:
        lists = [key for key, feature in features.items() if isinstance(feature, List | LargeList)]
        found = _columns_at_the_top(lists, name, columns)
        if not found:
            return dataset
        of_key = {key: dataset.data.column(column).combine_chunks() for key, column in found.items()}
        fields = {key: features[column] for key, column in found.items()}
        replaced = set(found.values())
    elif isinstance(fields, dict) and all(isinstance(feature, List | LargeList) for feature in fields.values()):
        structs = _combined(dataset.data.column("utterances"))
        of_key = dict(zip(fields, structs.flatten(), strict=True))  # a struct that is null has null lists
        replaced = {"utterances"}
    else:
        return dataset
    utterances = _zipped({key: _combined(column) for key, column in of_key.items()}, name)
    rest = [key for key in features if key not in replaced]
    table = dataset.data.table.select(rest).append_column("utterances", utterances)
    changed = Features(
        {key: features[key] for key in rest} | {"utterances": List({key: of.feature for key, of in fields.items()})}
    )
    info = dataset.info.copy()
    info.features = changed
    return dataset_of(table.replace_schema_metadata(changed.arrow_schema.metadata).cast(changed.arrow_schema), info)


def _combined(column: Any) -> Any:
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _zipped(lists: Mapping[str, Any], name: str) -> Any:
    """Join lists of equal lengths to one list of structs; a list that is null gives nulls."""
    lengths = {
        key: pc.call_function("list_value_length", [column]).fill_null(-1).to_numpy(zero_copy_only=False)
        for key, column in lists.items()
    }
    counts = np.maximum(np.max(list(lengths.values()), axis=0), 0)
    for row in range(len(counts)):
        given = {key: int(of_key[row]) for key, of_key in lengths.items() if of_key[row] >= 0}
        _check_lengths(given, f"{name}, row {row}")
    values = []
    for key, column in lists.items():
        flat = column.flatten()
        absent = np.repeat(lengths[key] < 0, counts)
        if absent.any():
            positions = np.where(absent, 0, np.cumsum(~absent) - 1)
            flat = flat.take(pa.array(positions, mask=absent))
        values.append(flat)
    structs = pa.StructArray.from_arrays(values, list(lists))
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *counts]), pa.int32()), structs)
