"""Encoded examples that need not fit into memory: few stay there, many lie in a file that is mapped into it."""

import dataclasses
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ..processing import EncodedExample
from . import arrow_files

_Kinds = dict[str, type]
"""Path to a part of an example -> the kind of a part that holds others: a data class or a dict."""


def stored_examples(parts: Iterable[Sequence[EncodedExample]]) -> Sequence[EncodedExample]:
    """Collect examples, in memory while they are small together, and in a file once they are not.

    An example of a family from outside that is not made of arrays stays in memory.

    Raises:
        DialogueError: the file cannot be written.
    """
    kept: list[EncodedExample] = []
    size, are_arrays = 0, True
    rest = iter(parts)
    for part in rest:
        kept += part
        are_arrays &= all(map(_is_made_of_arrays, part))
        if not are_arrays:
            continue
        size += sum(array.nbytes for example in part for array in _taken_apart(example, {}).values())
        if size > arrow_files.MOST_IN_MEMORY:
            first = kept
            kept = []
            return _ExamplesOnDisk(_chain(first, rest))
    return kept


def _chain(
    first: list[EncodedExample], rest: Iterator[Sequence[EncodedExample]]
) -> Iterator[Sequence[EncodedExample]]:
    yield list(first)
    first.clear()
    yield from rest


class _ExamplesOnDisk(Sequence[EncodedExample]):
    """Examples in an Arrow file: a row per example, a column per array that it is made of."""

    def __init__(self, parts: Iterator[Sequence[EncodedExample]]) -> None:
        self._kinds: _Kinds = {}
        file = arrow_files.ArrowFile()
        for part in parts:
            if part:
                file.write(_table([_taken_apart(example, self._kinds) for example in part]))
        self._columns = [
            {name: _Column(column.chunk(0)) for name, column in zip(table.column_names, table.columns, strict=True)}
            for table in file.tables()
        ]
        self._ends = np.cumsum([next(iter(columns.values())).length for columns in self._columns]).tolist()

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        part = bisect_right(self._ends, position)
        row = position - (self._ends[part - 1] if part else 0)
        arrays = {}
        for name, column in self._columns[part].items():
            path, kind = name.rsplit(":", 1)
            array = column.array(row, np.dtype(kind))
            if array is not None:
                arrays[path] = array
        return _put_together("", arrays, self._kinds)


class _Column:
    """One array of each example of a part, as `_table` wrote them. Arrow's own access takes ten times as long."""

    def __init__(self, structs: pa.StructArray) -> None:
        data, shapes = structs.field("data"), structs.field("shape")
        self.length = len(structs)
        self._is_there = data.is_valid().to_numpy(zero_copy_only=False)
        _, offsets, self._data = data.buffers()
        self._starts = np.frombuffer(offsets, np.int64)
        self._shape_starts, self._shapes = shapes.offsets.to_numpy(), shapes.values.to_numpy()

    def array(self, row: int, kind: np.dtype) -> np.ndarray | None:
        """Return the array of an example, over the memory of the file, or None where it has none."""
        if not self._is_there[row]:
            return None
        shape = self._shapes[self._shape_starts[row] : self._shape_starts[row + 1]]
        start, end = int(self._starts[row]), int(self._starts[row + 1])
        return np.frombuffer(self._data, kind, (end - start) // kind.itemsize, start).reshape(shape)


def _is_made_of_arrays(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_made_of_arrays(part) for key, part in value.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return all(_is_made_of_arrays(getattr(value, field.name)) for field in dataclasses.fields(value))
    return value is None or (isinstance(value, np.ndarray) and not value.dtype.hasobject)


def _taken_apart(value: Any, kinds: _Kinds, path: str = "") -> dict[str, np.ndarray]:
    """Return path -> array of all arrays in an example; note in `kinds` what holds them."""
    if value is None:
        return {}
    if isinstance(value, np.ndarray):
        return {path: value}
    kinds[path] = type(value)
    parts = value if isinstance(value, dict) else {name: getattr(value, name) for name in _fields_of(type(value))}
    return {
        inner: array
        for name, part in parts.items()
        for inner, array in _taken_apart(part, kinds, f"{path}/{name}").items()
    }


def _put_together(path: str, arrays: dict[str, np.ndarray], kinds: _Kinds) -> Any:
    """Return what `_taken_apart` took apart: an array, what holds others, or None where there is nothing."""
    if path in arrays:
        return arrays[path]
    kind = kinds.get(path)
    if kind is dict:
        names = dict.fromkeys(inner[len(path) + 1 :].split("/")[0] for inner in arrays if inner.startswith(f"{path}/"))
        return {name: _put_together(f"{path}/{name}", arrays, kinds) for name in names}
    if kind is None or (path and not any(inner.startswith(f"{path}/") for inner in arrays)):
        return None
    return kind(**{name: _put_together(f"{path}/{name}", arrays, kinds) for name in _fields_of(kind)})


def _fields_of(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _table(rows: Sequence[dict[str, np.ndarray]]) -> pa.Table:
    names = dict.fromkeys(f"{path}:{array.dtype.str}" for row in rows for path, array in row.items())
    columns = {}
    for name in names:
        path, kind = name.rsplit(":", 1)
        arrays = [array if (array := row.get(path)) is not None and array.dtype.str == kind else None for row in rows]
        columns[name] = pa.StructArray.from_arrays(
            [
                pa.array([None if array is None else array.shape for array in arrays], pa.list_(pa.int64())),
                pa.array([None if array is None else array.tobytes() for array in arrays], pa.large_binary()),
            ],
            ["shape", "data"],
            mask=pa.array([array is None for array in arrays]),
        )
    return pa.table(columns)
