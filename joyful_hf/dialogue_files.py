"""`load_dialogues`: JSONL, Parquet or a Hub data set -> a `datasets.Dataset` of dialogues."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from datasets import Dataset, DatasetDict, load_dataset
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from .processing import FEATURE_KEYS, DialogueError
from .processing.dialogues import dialogue_name, get_utterances

_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
_DIALOGUES_PER_CHUNK = 256


def load_dialogues(path_or_hub_id: str | Path, split: str | None = None) -> Dataset:
    """Read dialogues, one a line or row, in the record that the README shows.

    Args:
        path_or_hub_id: a `.jsonl` or `.parquet` file, a folder with `<split>.jsonl` or `<split>.parquet`, or the id
            of a data set on the Hub.
        split: which part of a folder or a Hub data set; "train" by default.

    Returns:
        A data set with the columns `dialogue_id` and `utterances`.

    Raises:
        DialogueError: no such file or data set, an empty or truncated file, a line that is not JSON (with its
            number), or a record that is no dialogue.
    """
    path = Path(path_or_hub_id)
    if path.is_dir():
        path = _file_of_split(path, split or "train")
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
    """Write dialogues to a JSONL file, one a line. Keys without a value are left out."""
    with Path(path).open("w", encoding="utf-8") as file:
        for dialogue in dialogues:
            file.write(json.dumps(_without_none(dialogue), ensure_ascii=False) + "\n")


def _without_none(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in record.items() if value is not None}
    utterances = kept.get("utterances")
    if utterances is not None:
        kept["utterances"] = [{k: v for k, v in one.items() if v is not None} for one in utterances]
    return kept


def _file_of_split(folder: Path, split: str) -> Path:
    for suffix in _SUFFIXES:
        if (file := folder / f"{split}{suffix}").is_file():
            return file
    found = ", ".join(sorted(one.name for one in folder.iterdir())) or "nothing"
    raise DialogueError(f"{folder}: no {split}.jsonl or {split}.parquet in this folder, which holds {found}")


def _read_parquet(path: Path) -> Dataset:
    try:
        table = pyarrow.parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DialogueError(f"{path}: not a readable Parquet file, it may be truncated ({error})") from None
    if "utterances" not in table.column_names:
        columns = ", ".join(table.column_names) or "none"
        raise DialogueError(f"{path}: the column 'utterances' is missing (columns found: {columns})")
    if not table.num_rows:
        raise DialogueError(f"{path}: the file holds no dialogues")
    return Dataset(table)


def _read_jsonl(path: Path) -> Dataset:
    chunks: list[pa.Table] = []
    chunk: list[dict[str, Any]] = []
    schema: pa.Schema | None = None
    for record in _jsonl_records(path):
        chunk.append(record)
        if len(chunk) == _DIALOGUES_PER_CHUNK:
            chunks.append(_to_table(chunk, path))
            chunk = []
    if chunk:
        chunks.append(_to_table(chunk, path))
    if not chunks:
        raise DialogueError(f"{path}: the file holds no dialogues")
    try:
        schema = pa.unify_schemas([table.schema for table in chunks], promote_options="permissive")
        return Dataset(pa.concat_tables([table.cast(schema) for table in chunks]))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DialogueError(
            f"{path}: a key holds different kinds of values in different dialogues ({error})"
        ) from None


def _jsonl_records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                record = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise DialogueError(f"{place}: not valid JSON ({error})") from None
            get_utterances(record, place)
            if "dialogue_id" in record and record["dialogue_id"] is not None:
                record["dialogue_id"] = str(record["dialogue_id"])
            yield record


def _to_table(records: list[dict[str, Any]], path: Path) -> pa.Table:
    try:
        return pa.Table.from_pylist(records, schema=_schema_of(records))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        place = _first_misfit(records)
        raise DialogueError(f"{path}, {place}: a value does not fit the others of its key ({error})") from None


def _schema_of(records: list[dict[str, Any]]) -> pa.Schema:
    """Arrow's own inference over all keys that occur, with features as lists of float32."""
    keys: dict[str, None] = {}
    utterance_keys: dict[str, None] = {}
    for record in records:
        keys |= dict.fromkeys(record)
        for utterance in record["utterances"]:
            utterance_keys |= dict.fromkeys(utterance)
    features = set(FEATURE_KEYS.values())
    fields = []
    for key in utterance_keys:
        if key in features:
            fields.append(pa.field(key, pa.list_(pa.float32())))
        else:
            values = [utterance.get(key) for record in records for utterance in record["utterances"]]
            fields.append(pa.field(key, pa.array(values).type))
    types = {"utterances": pa.list_(pa.struct(fields))}
    for key in keys:
        if key != "utterances":
            types[key] = pa.array([record.get(key) for record in records]).type
    return pa.schema(list(types.items()))


def _first_misfit(records: list[dict[str, Any]]) -> str:
    """Which record Arrow could not join with the ones before it."""
    for end in range(1, len(records) + 1):
        try:
            pa.Table.from_pylist(records[:end], schema=_schema_of(records[:end]))
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return dialogue_name(records[end - 1], end - 1)
    return dialogue_name(records[0], 0)


def _load_from_hub(hub_id: str, split: str) -> Dataset:
    try:
        validate_repo_id(hub_id)
        dataset = load_dataset(hub_id, split=split)
    except HFValidationError:
        raise DialogueError(f"{hub_id!r} is neither a file nor the id of a data set on the Hub") from None
    except (HfHubHTTPError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DialogueError(
            f"{hub_id!r}: there is no such file, and the Hub gave no data set of this id and split {split!r} ({reason})"
        ) from None
    if not isinstance(dataset, Dataset) or isinstance(dataset, DatasetDict) or "utterances" not in dataset.features:
        raise DialogueError(f"{hub_id!r}: the data set has no column 'utterances'")
    return dataset
