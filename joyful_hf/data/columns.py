"""Change columns of a data set of dialogues without touching the others: class names, paths of media."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Audio, ClassLabel, Dataset, Features, Image, LargeList, List, Value, Video

from ..processing import DialogueError
from ..processing.labels import IGNORED_LABEL
from ..processing.waveforms import scale_integers
from .arrow_files import dataset_of

MEDIA_FILE_KEYS = {"audio", "video"}
# -1 is what data sets write into a `ClassLabel` that is not known.
_NO_CLASS = (None, -1, IGNORED_LABEL)


def with_found_media(dataset: Dataset, folder: Path) -> Dataset:
    """Replace relative paths of media by those of the files in the folder."""
    fields = dataset.data.schema.field("utterances").type.value_type
    keys = [key for key in MEDIA_FILE_KEYS if fields.get_field_index(key) >= 0]
    keys = [key for key in keys if fields.field(key).type in (pa.string(), pa.large_string())]

    def found(paths: Any) -> Any:
        return pa.array([found_path(path, folder) for path in paths.to_pylist()], paths.type)

    return _with_changed(dataset, dict.fromkeys(keys, found))


def with_undecoded_media(dataset: Dataset) -> Dataset:
    """Return the data set with `Audio` and `Video` columns as bytes and paths: they are decoded here, by PyAV.

    `datasets` would ask for torchcodec, even where nobody reads the column.
    """
    for column, feature in dataset.features.items():
        undecoded = _undecoded(feature)
        if undecoded != feature:
            info = dataset.info.copy()
            info.features = Features(dataset.features | {column: undecoded})
            table = dataset.data.table.replace_schema_metadata(info.features.arrow_schema.metadata)
            dataset = dataset_of(table, info)
    return dataset


def _undecoded(feature: Any) -> Any:
    if isinstance(feature, Audio | Video | Image):
        return {"bytes": Value("binary"), "path": Value("string")}  # as they are stored
    if isinstance(feature, List | LargeList):
        return replace(feature, feature=_undecoded(feature.feature))
    if isinstance(feature, dict):
        return {key: _undecoded(value) for key, value in feature.items()}
    return feature


def with_float_samples(dataset: Dataset) -> Dataset:
    """Scale the samples of `audio` arrays whose type says their range: as Python's ints they would lose it."""
    audio: Any = dataset.features["utterances"].feature.get("audio") if _has_utterances(dataset) else None
    samples = audio.get("array") if isinstance(audio, dict) else None
    if getattr(getattr(samples, "feature", None), "dtype", None) not in ("int8", "uint8", "int16", "uint16", "int32"):
        return dataset

    def scaled(media: Any) -> Any:
        arrays = media.field("array")
        floats = _with_values(arrays, pa.array(scale_integers(arrays.flatten().to_numpy(zero_copy_only=False))))
        names = [field.name for field in media.type]
        columns = [floats if name == "array" else media.field(name) for name in names]
        return pa.StructArray.from_arrays(columns, names, mask=media.is_null())

    utterances = dataset.features["utterances"]
    fields = utterances.feature | {"audio": audio | {"array": List(Value("float32"))}}
    features = Features(dataset.features | {"utterances": replace(utterances, feature=fields)})
    return _with_changed(dataset, {"audio": scaled}, features)


def _has_utterances(dataset: Dataset) -> bool:
    return isinstance(getattr(dataset.features.get("utterances"), "feature", None), dict)


def with_class_names(dataset: Dataset, name: str) -> Dataset:
    """Replace the numbers of a `ClassLabel` by names; the marks of no class, -1 and -100, become None."""
    utterances = dataset.features["utterances"]
    features = {key: feature for key, feature in utterances.feature.items() if _class_label_of(feature)}

    def named(key: str, values: Any) -> Any:
        if isinstance(values, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
            return _with_values(values, named(key, values.flatten()))
        classes = _class_label_of(features[key])
        try:
            names = [None if number in _NO_CLASS else classes.int2str(number) for number in values.to_pylist()]
        except ValueError:
            count = len(classes.names)
            raise DialogueError(f"{name}: '{key}' holds a number that is none of its {count} classes") from None
        return pa.array(names, pa.string())

    strings = {
        key: Value("string") if feature is _class_label_of(feature) else List(Value("string"))
        for key, feature in features.items()
    }
    changed = Features(dataset.features | {"utterances": replace(utterances, feature=utterances.feature | strings)})
    return _with_changed(dataset, {key: partial(named, key) for key in features}, changed)


def _class_label_of(feature: Any) -> Any:
    """Return the `ClassLabel` that a feature is, or is a list of; else None."""
    feature = getattr(feature, "feature", feature)
    return feature if isinstance(feature, ClassLabel) else None


def _with_changed(
    dataset: Dataset, changes: Mapping[str, Callable[[Any], Any]], features: Features | None = None
) -> Dataset:
    """Return the data set with some keys of its utterances changed.

    Args:
        changes: key -> function from all values of the key to the new ones.
        features: features of the changed data set, if they differ.
    """
    if not changes:
        return dataset
    table = dataset.data.table
    index = table.column_names.index("utterances")
    chunks = [_chunk_with_changed(chunk, changes) for chunk in table.column(index).chunks]
    info = dataset.info.copy()
    info.features = features or dataset.features
    table = table.set_column(index, "utterances", pa.chunked_array(chunks))
    return dataset_of(table.replace_schema_metadata(info.features.arrow_schema.metadata), info)


def _chunk_with_changed(dialogues: Any, changes: Mapping[str, Callable[[Any], Any]]) -> Any:
    utterances = dialogues.flatten()
    names = [field.name for field in utterances.type]
    columns = [utterances.field(name) for name in names]
    columns = [
        changes[name](column) if name in changes else column for name, column in zip(names, columns, strict=True)
    ]
    structs = pa.StructArray.from_arrays(columns, names, mask=utterances.is_null())
    return _with_values(dialogues, structs)


def _with_values(lists: Any, values: pa.Array) -> Any:
    """Make lists of the same lengths that hold other values."""
    lengths = pc.call_function("list_value_length", [lists]).fill_null(0)
    offsets = pa.array(np.cumsum([0, *lengths.to_pylist()]), lengths.type)
    kind = pa.LargeListArray if pa.types.is_large_list(lists.type) else pa.ListArray
    return kind.from_arrays(offsets, values, mask=lists.is_null())


def found_path(path: Any, folder: Path) -> Any:
    """Return a path of a medium as it can be opened from here: a relative one is that of a file in the folder."""
    if not isinstance(path, str) or not path or Path(path).is_absolute():
        return path
    spellings = (path, path.replace("\\", "/"))  # Windows writes backslashes
    return next((str(folder / spelling) for spelling in spellings if (folder / spelling).is_file()), path)
