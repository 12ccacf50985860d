"""`load_dialogues`: JSONL, Parquet or a Hub data set -> a `datasets.Dataset` of dialogues."""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from datasets import ClassLabel, Dataset, Features, List, Value, load_dataset
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from .hub_errors import hub_reason
from .processing import FEATURE_KEYS, FRAME_KEYS, DialogueError
from .processing.dialogues import get_utterances, utterance_name
from .recordings import find_recordings, load_recordings

_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
_DIALOGUES_PER_CHUNK = 256
_MEDIA_FILE_KEYS = {"audio", "video"}
# Columns whose type is known, and what messages call it.
_VECTOR, _VECTORS = pa.list_(pa.float32()), pa.list_(pa.list_(pa.float32()))
_COLUMN_TYPES = {f"utterances.{key}": _VECTOR for key in FEATURE_KEYS.values()}
_COLUMN_TYPES |= {f"utterances.{key}": _VECTORS for key in FRAME_KEYS.values()}
_TYPE_NAMES = {_VECTOR: "a list of numbers", _VECTORS: "a list of vectors of numbers"}


def load_dialogues(path_or_hub_id: str | Path, split: str | None = None) -> Dataset:
    """Read dialogues, one a line or row, in the record that the README shows.

    A relative path in `audio` or `video` is that of a file beside the data file, if there is one, and otherwise left
    as it is. Numbers of a `ClassLabel` become the names that they stand for.

    Args:
        path_or_hub_id: a `.jsonl` or `.parquet` file, a folder with `<split>.jsonl` or `<split>.parquet`, a folder of
            recordings (see `load_recordings`), or the id of a data set on the Hub.
        split: which part of a folder or a Hub data set; "train" by default.

    Returns:
        A data set with the columns `dialogue_id` and `utterances`.

    Raises:
        DialogueError: no such file or data set, an empty or truncated file, a line that is not JSON (with its
            number), or a record that is no dialogue.
    """
    path = Path(path_or_hub_id)
    if path.is_dir():
        file = _file_of_split(path, split or "train")
        if file is None:
            return load_recordings(path)
        path = file
    if path.is_file():
        if _SUFFIXES.get(path.suffix.lower()) == "parquet":
            return _read_parquet(path)
        if _SUFFIXES.get(path.suffix.lower()) == "jsonl":
            return _read_jsonl(path)
        raise DialogueError(f"{path}: unknown kind of file {path.suffix!r}; give .jsonl or .parquet")
    if path.suffix.lower() in _SUFFIXES or path.is_absolute() or str(path_or_hub_id).startswith("."):
        raise DialogueError(f"{path}: there is no such file")
    return _load_from_hub(str(path_or_hub_id), split or "train")


def write_dialogues(dialogues: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """Write dialogues to a JSONL file, one a line. Keys without a value are left out, arrays become lists."""
    with Path(path).open("w", encoding="utf-8") as file:
        for dialogue in dialogues:
            file.write(json.dumps(_without_none(dialogue), ensure_ascii=False, default=_as_list) + "\n")


def _as_list(value: Any) -> Any:
    """What JSON holds of a numpy or torch value."""
    if not hasattr(value, "tolist"):
        raise TypeError(f"JSONL cannot hold {type(value).__name__}")
    return value.tolist()


def _without_none(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in record.items() if value is not None}
    utterances = kept.get("utterances")
    if utterances is not None:
        kept["utterances"] = [{k: v for k, v in one.items() if v is not None} for one in utterances]
    return kept


def _file_of_split(folder: Path, split: str) -> Path | None:
    """The file of a split, or None in a folder of recordings."""
    for suffix in _SUFFIXES:
        if (file := folder / f"{split}{suffix}").is_file():
            return file
    if find_recordings(folder):
        return None
    found = ", ".join(sorted(one.name for one in folder.iterdir())) or "nothing"
    raise DialogueError(f"{folder}: no {split}.jsonl or {split}.parquet in this folder, which holds {found}")


def _read_parquet(path: Path) -> Dataset:
    try:
        table = pyarrow.parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DialogueError(f"{path}: not a readable Parquet file, it may be truncated ({error})") from None
    if not table.num_rows:
        raise DialogueError(f"{path}: the file holds no dialogues")
    try:
        dataset = Dataset(table)
    except (ValueError, NotImplementedError) as error:
        raise DialogueError(f"{path}: a column has a type that data sets do not know ({error})") from None
    return _with_found_media(_with_class_names(_with_utterances(dataset, str(path)), str(path)), path.parent)


def _with_found_media(dataset: Dataset, folder: Path) -> Dataset:
    """Relative paths of media replaced by those of the files in the folder."""
    fields = dataset.data.schema.field("utterances").type.value_type
    keys = [key for key in _MEDIA_FILE_KEYS if fields.get_field_index(key) >= 0]
    keys = [key for key in keys if fields.field(key).type in (pa.string(), pa.large_string())]

    def found(paths: Any) -> Any:
        return pa.array([_found(path, folder) for path in paths.to_pylist()], paths.type)

    return _with_changed(dataset, dict.fromkeys(keys, found))


def _with_class_names(dataset: Dataset, name: str) -> Dataset:
    """Names instead of the numbers of a `ClassLabel`; the number of no class, -1, becomes None."""
    utterances = dataset.features["utterances"]
    features = {key: feature for key, feature in utterances.feature.items() if _class_label_of(feature)}

    def named(key: str, values: Any) -> Any:
        if isinstance(values, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
            return _with_values(values, named(key, values.flatten()))
        classes = _class_label_of(features[key])
        try:
            names = [None if number in (None, -1) else classes.int2str(number) for number in values.to_pylist()]
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
    """The `ClassLabel` that a feature is, or is a list of; else None."""
    feature = getattr(feature, "feature", feature)
    return feature if isinstance(feature, ClassLabel) else None


def _with_changed(
    dataset: Dataset, changes: Mapping[str, Callable[[Any], Any]], features: Features | None = None
) -> Dataset:
    """The data set with some keys of its utterances changed, each by a function of all the key's values.

    Args:
        features: of the data set when changed, if they are others.
    """
    if not changes:
        return dataset
    table = dataset.data.table
    index = table.column_names.index("utterances")
    chunks = [_chunk_with_changed(one, changes) for one in table.column(index).chunks]
    info = dataset.info.copy()
    info.features = features or dataset.features
    table = table.set_column(index, "utterances", pa.chunked_array(chunks))
    return Dataset(table.replace_schema_metadata(info.features.arrow_schema.metadata), info=info)


def _chunk_with_changed(dialogues: Any, changes: Mapping[str, Callable[[Any], Any]]) -> Any:
    utterances = dialogues.flatten()
    names = [field.name for field in utterances.type]
    columns = [utterances.field(name) for name in names]
    columns = [changes[name](one) if name in changes else one for name, one in zip(names, columns, strict=True)]
    structs = pa.StructArray.from_arrays(columns, names, mask=utterances.is_null())
    return _with_values(dialogues, structs)


def _with_values(lists: Any, values: pa.Array) -> Any:
    """Lists of the same lengths, of other values."""
    lengths = pc.call_function("list_value_length", [lists]).fill_null(0)
    offsets = pa.array(np.cumsum([0, *lengths.to_pylist()]), lengths.type)
    kind = pa.LargeListArray if pa.types.is_large_list(lists.type) else pa.ListArray
    return kind.from_arrays(offsets, values, mask=lists.is_null())


def _found(path: Any, folder: Path) -> Any:
    """A path of a medium as it can be opened from here."""
    if isinstance(path, str) and path and not Path(path).is_absolute() and (folder / path).is_file():
        return str(folder / path)
    return path


def _with_utterances(dataset: Dataset, name: str) -> Dataset:
    """The data set itself, if its schema is that of dialogues; what its rows hold is for the processor to check."""
    utterances = dataset.data.schema.field("utterances").type if "utterances" in dataset.features else None
    if utterances is None:
        columns = ", ".join(dataset.features) or "none"
        raise DialogueError(f"{name}: the column 'utterances' is missing (columns found: {columns})")
    is_list = pa.types.is_list(utterances) or pa.types.is_large_list(utterances)
    if not is_list or not pa.types.is_struct(utterances.value_type):
        raise DialogueError(
            f"{name}: the column 'utterances' must hold a list of records in each row, got {utterances}"
        )
    return dataset


def _read_jsonl(path: Path) -> Dataset:
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
    """Each dialogue of the file, after what messages call it."""
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
                utterance |= {key: _found(utterance[key], path.parent) for key in _MEDIA_FILE_KEYS & utterance.keys()}
            if record.get("dialogue_id") is not None:
                record["dialogue_id"] = str(record["dialogue_id"])
            yield place, record


def _to_table(records: list[dict[str, Any]], places: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    """Dialogues -> an Arrow table with every key that occurs; types are Arrow's own inference.

    Args:
        places: what messages call each dialogue.
        types: of the keys in the dialogues before these; brought up to date.

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
        key: _to_column(f"utterances.{key}", [one.get(key) for one in utterances], utterance_places, types)
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
        # The values up to a misfit fit each other, and no longer list does.
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
    """The values as an Arrow array, or None if they do not fit each other or the type known so far."""
    try:
        array = pa.array(values, _COLUMN_TYPES.get(column))
        _merge_types(known_type, array.type)
    except (ValueError, TypeError, OverflowError):
        return None
    return array


def _merge_types(known: pa.DataType, given: pa.DataType) -> pa.DataType:
    """The type that holds the values of both. Raises an Arrow error if none does."""
    schemas = [pa.schema([("value", one)]) for one in (known, given)]
    return pa.unify_schemas(schemas, promote_options="permissive").field("value").type


def _load_from_hub(hub_id: str, split: str) -> Dataset:
    try:
        validate_repo_id(hub_id)
        if "/" not in hub_id:  # `datasets` would take "csv" or "json" for a reader of the current folder
            raise HFValidationError
        dataset = load_dataset(hub_id, split=split)
    except HFValidationError:
        raise DialogueError(f"{hub_id!r} is neither a file nor the id of a data set on the Hub (user/name)") from None
    except (HTTPError, DatasetsError, ValueError, OSError) as error:
        reason = hub_reason(error) or (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DialogueError(
            f"{hub_id!r}: there is no such file, and the Hub gave no data set of this id "
            f"and split {split!r} ({reason})"
        ) from None
    if not isinstance(dataset, Dataset):
        raise DialogueError(f"{hub_id!r}: the split {split!r} is not one data set but a {type(dataset).__name__}")
    return _with_class_names(_with_utterances(dataset, repr(hub_id)), repr(hub_id))
