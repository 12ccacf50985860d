"""The dialogues of a data set, each made when it is asked for: its vectors are arrays over the data set's own memory.

As Python's floats, which a row of a data set holds otherwise, vectors take eight times their memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

_VECTORS = frozenset(("text_features", "audio_features", "visual_features"))
_FRAMES = frozenset(("text_frames", "audio_frames", "video_frames"))
_AT_ONCE = 64
"""Dialogues that are made at once when all of them are gone through."""
_HEADS_AT_ONCE = 1024
MOST_IN_MEMORY = 64 * 2**20
"""Bytes of a data set that may be kept in memory a second time."""


class StoredDialogues(Sequence[Mapping[str, Any]]):
    """The dialogues of a `datasets.Dataset`, which may be gone through any number of times, and are not kept.

    Nothing is checked: what is no list of numbers is given as the data set has it.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset.with_format("arrow")

    def __len__(self) -> int:
        return len(self._dataset)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return _records(self._dataset[index])
        position = range(len(self))[index]
        return _records(self._dataset[position : position + 1])[0]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for first in range(0, len(self), _AT_ONCE):
            yield from self[first : first + _AT_ONCE]

    def heads(self) -> Iterator[Mapping[str, Any]]:
        """Go through the dialogues without their utterances."""
        names = [name for name in self._dataset.column_names if name != "utterances"]
        heads = self._dataset.select_columns(names)
        for first in range(0, len(self), _HEADS_AT_ONCE):
            yield from heads[first : first + _HEADS_AT_ONCE].to_pylist()

    @property
    def is_large(self) -> bool:
        """Whether the dialogues are too many to be kept in memory beside the data set."""
        table = self._dataset.data
        return table.nbytes * len(self) > MOST_IN_MEMORY * max(len(table), 1)


def is_stored(dialogues: Any) -> bool:
    """Whether these are a `datasets.Dataset` whose rows are dialogues as they are stored, with nothing to decode."""
    features = getattr(dialogues, "features", None)
    return hasattr(dialogues, "data") and isinstance(features, Mapping) and not _is_decoded(features)


def _is_decoded(feature: Any) -> bool:
    if isinstance(feature, Mapping):
        return any(map(_is_decoded, feature.values()))
    return _is_decoded(feature.feature) if hasattr(feature, "feature") else hasattr(feature, "decode_example")


def _records(table: Any) -> list[dict[str, Any]]:
    columns = {
        name: _dialogues(column) if name == "utterances" else column.to_pylist()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _dialogues(column: Any) -> list[Any]:
    """Return what the rows of a column hold, in each chunk that it has."""
    return [value for chunk in column.chunks for value in _utterances(chunk)]


def _utterances(lists: Any) -> list[Any]:
    """Return lists of records as such, with arrays in place of vectors, and anything else in plain Python."""
    structs = lists.values if hasattr(lists, "offsets") else None
    if not len(lists) or structs is None or not hasattr(structs, "field") or not structs.type.num_fields:
        return lists.to_pylist()
    offsets = lists.offsets.to_numpy()
    first = int(offsets[0])
    structs = structs.slice(first, int(offsets[-1]) - first)
    names = [structs.type.field(index).name for index in range(structs.type.num_fields)]
    columns = [_values(structs.field(index), name) for index, name in enumerate(names)]
    records: list[Any] = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    if structs.null_count:
        valid = structs.is_valid().to_pylist()
        records = [record if is_there else None for record, is_there in zip(records, valid, strict=True)]
    bounds = (offsets - first).tolist()
    return _where_valid(lists, [records[bounds[row] : bounds[row + 1]] for row in range(len(lists))])


def _values(column: Any, key: str) -> Sequence[Any]:
    try:
        if key in _VECTORS:
            return _vectors(column)
        if key in _FRAMES:
            return _frames(column)
    except (ValueError, NotImplementedError, AttributeError):  # no lists of numbers, or gaps among these
        pass
    return column.to_pylist()


def _vectors(lists: Any) -> list[Any]:
    bounds, values = _bounds(lists)
    numbers = values.to_numpy(zero_copy_only=True)
    return _where_valid(lists, [numbers[bounds[row] : bounds[row + 1]] for row in range(len(lists))])


def _frames(lists: Any) -> list[Any]:
    bounds, inner = _bounds(lists)
    vectors = _vectors(inner)
    if any(vector is None for vector in vectors):
        raise ValueError("a frame is missing")
    frames = [vectors[bounds[row] : bounds[row + 1]] for row in range(len(lists))]
    return _where_valid(lists, [np.stack(own) if own else [] for own in frames])


def _bounds(lists: Any) -> tuple[list[int], Any]:
    """Return where each list begins, and where the last one ends, among the values that it returns beside them."""
    if not len(lists):
        raise ValueError("there are no lists")
    if hasattr(lists, "offsets"):
        offsets = lists.offsets.to_numpy()
        first = int(offsets[0])
        return (offsets - first).tolist(), lists.values.slice(first, int(offsets[-1]) - first)
    size = lists.type.list_size
    return [row * size for row in range(len(lists) + 1)], lists.values.slice(lists.offset * size, len(lists) * size)


def _where_valid(column: Any, values: list[Any]) -> list[Any]:
    if not column.null_count:
        return values
    valid = column.is_valid().to_pylist()
    return [value if is_there else None for value, is_there in zip(values, valid, strict=True)]
