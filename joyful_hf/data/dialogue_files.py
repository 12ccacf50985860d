"""`load_dialogues`: read JSONL, Parquet or a Hub data set as a `datasets.Dataset` of dialogues."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from ..io.data_root import refuse_files_outside, refuse_media_of_this_machine, refuse_media_outside
from ..io.hub_errors import hub_reason
from ..io.messages import counted
from ..io.shards import files_of_pattern, is_pattern, shards_of_split
from ..io.text_files import suffix_of
from ..processing import DialogueError
from ..processing.dialogues import dialogue_name
from ..processing.known_keys import KNOWN_KEYS, known_key_of, warn_of_unknown_keys
from .arrow_files import dataset_of, stored_tables
from .columns import with_class_names, with_float_samples, with_found_media, with_undecoded_media
from .jsonl import read_jsonl, to_dataset
from .list_columns import with_list_of_utterances
from .recordings import find_recordings, load_recordings
from .tables import find_columns, group_rows, read_table, refuse_columns, rows_of

logger = logging.getLogger(__name__)

_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
_SUFFIXES |= {".csv": "table", ".tsv": "table"}
_SHARDED = (".parquet", ".jsonl")
_KINDS_OF_IDS = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating),
    *(pa.types.is_boolean, pa.types.is_null),
)
_ROWS_AT_ONCE = 256
"""Dialogues of a Parquet file that are decoded at once."""


def load_dialogues(
    path_or_hub_id: str | Path,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
    data_root: str | Path | None = None,
) -> Dataset:
    """Read dialogues, one per line or row, in the record that the README shows.

    A table with an utterance per row is read too, if columns say of which dialogue it is and who speaks, and so are
    dialogues whose utterances are columns, with a list per key.

    Data that are too large for memory are mapped into it from the disk, at `HF_DATASETS_CACHE`; a table with an
    utterance per row is the exception, as it is grouped in memory.

    A relative path in `audio` or `video` is that of a file beside the data file, if there is one, and is left as it is
    otherwise. Numbers of a `ClassLabel` become the names that they stand for.

    Args:
        path_or_hub_id: a `.jsonl`, `.json`, `.parquet`, `.csv` or `.tsv` file (all but Parquet also as `.gz`), a
            folder with `<split>.jsonl` or another of these, or with the shards `<split>-00000-of-00008.parquet` and so
            on, a pattern such as `features-*.parquet`, a folder of recordings (see `load_recordings`), or the id of a
            data set on the Hub.
        split: which part of a folder or a Hub data set; "train" by default.
        columns: key of the record -> name of its column, in a table with an utterance per row; by default the columns
            are found by their usual names, such as MELD's `Dialogue_ID`, `Utterance`, `Speaker` and `Emotion`.
        data_root: for records of strangers, the folder in which every recording that they name has to lie. Those of
            a data set on the Hub never name a file of this machine.

    Returns:
        A data set with the columns `dialogue_id` and `utterances`.

    Raises:
        DialogueError: no such file or data set, an empty or truncated file, a line that is not JSON (with its
            number), a record that is not a dialogue, a shard that is missing, or a recording outside of `data_root`.
    """
    refuse_files_outside(path_or_hub_id, data_root)
    dataset = _load(path_or_hub_id, split, columns)
    refuse_media_outside(dataset, data_root)
    _warn_of_unknown_columns(dataset)
    _warn_of_unsorted(dataset)
    return dataset


def _load(path_or_hub_id: str | Path, split: str | None, columns: Mapping[str, str] | None) -> Dataset:
    path = Path(path_or_hub_id)
    if is_pattern(path):
        return _read_files(files_of_pattern(path), str(path), columns)
    if path.is_dir():
        files = _files_of_split(path, split or "train")
        if not files:
            refuse_columns(columns, str(path))
            return load_recordings(path)
        return _read_files(files, str(path), columns)
    if path.is_file():
        return _read_files([path], str(path), columns)
    if suffix_of(path) in _SUFFIXES or path.is_absolute() or str(path_or_hub_id).startswith("."):
        raise DialogueError(f"{path}: there is no such file")
    return _load_from_hub(str(path_or_hub_id), split or "train", columns)


def _read_files(files: Sequence[Path], name: str, columns: Mapping[str, str] | None) -> Dataset:
    """Read one file, or several of one kind in one folder.

    Args:
        name: how messages call them together.
    """
    path = files[0]
    if any(file.parent != path.parent or suffix_of(file) != suffix_of(path) for file in files):
        raise DialogueError(f"{name}: these files are of several kinds, or in several folders; give those of one")
    kind = _SUFFIXES.get(suffix_of(path))
    if kind == "parquet" and path.suffix.lower() != ".gz":
        return _read_parquet(files, name, columns)
    if kind == "jsonl":
        return read_jsonl(files, columns)
    if kind == "table" and len(files) == 1:
        return to_dataset(lambda: read_table(path, columns), path)
    if kind == "table":
        raise DialogueError(f"{name}: these are {len(files)} tables; several files are read as .jsonl or .parquet")
    raise DialogueError(f"{path}: unknown kind of file {path.suffix!r}; give .jsonl, .parquet or .csv")


def _warn_of_unsorted(dataset: Dataset) -> None:
    """Warn of dialogues whose utterances are not in spoken order, as `start` tells; models read them in order."""
    structs = dataset.data.schema.field("utterances").type.value_type
    if structs.get_field_index("start") < 0:
        return
    unsorted = []
    position = 0
    for chunk in dataset.data.column("utterances").chunks:
        starts = chunk.flatten().field("start").to_pylist()
        first = 0
        for length in pc.call_function("list_value_length", [chunk]).fill_null(0).to_pylist():
            times = [time for time in starts[first : first + length] if time is not None]
            if all(isinstance(time, int | float) for time in times) and times != sorted(times):
                unsorted.append(position)
            first, position = first + length, position + 1
    if unsorted:
        name = dialogue_name(dataset[unsorted[0]], unsorted[0])
        logger.warning(
            "%s of %d have utterances that 'start' before the one above them, the first of which is %s; "
            "utterances are read in their order in the file",
            *(counted(len(unsorted), "dialogue"), len(dataset), name),
        )


def _warn_of_unknown_columns(dataset: Dataset) -> None:
    """Warn of keys that look like known ones, before their absence is an error, or text alone is all that is read."""
    structs = dataset.data.schema.field("utterances").type.value_type
    keys = [structs.field(index).name for index in range(structs.num_fields)]
    if any(key not in KNOWN_KEYS and known_key_of(key) for key in keys):
        for position, dialogue in enumerate(dataset):
            warn_of_unknown_keys(dialogue_name(dialogue, position), dialogue["utterances"] or ())


def is_folder_of_recordings(path: Path, split: str = "train") -> bool:
    """Return whether `load_dialogues` reads a path as a folder of recordings."""
    return path.is_dir() and bool(find_recordings(path)) and not _files_of_split(path, split)


def _files_of_split(folder: Path, split: str) -> list[Path]:
    """Return the file of a split, or its shards; none in a folder of recordings."""
    for suffix in (*_SUFFIXES, *(f"{suffix}.gz" for suffix in _SUFFIXES)):
        if (file := folder / f"{split}{suffix}").is_file():
            return [file]
    if shards := shards_of_split(folder, split, _SHARDED):
        return shards
    if find_recordings(folder):
        return []
    found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
    raise DialogueError(f"{folder}: no {split}.jsonl or {split}.parquet in this folder, which holds {found}")


def _read_parquet(files: Sequence[Path], name: str, columns: Mapping[str, str] | None) -> Dataset:
    tables = stored_tables(table for file in files for table in _tables_of(file))
    if not tables:
        raise DialogueError(f"{name}: {'the file holds' if len(files) == 1 else 'these files hold'} no dialogues")
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise DialogueError(f"{name}: the files have columns of different types ({error})") from None
    try:
        dataset = dataset_of(table)
    except (ValueError, NotImplementedError) as error:
        raise DialogueError(f"{name}: a column has a type that data sets do not know ({error})") from None
    return with_found_media(_as_dialogues(dataset, name, files[0], columns), files[0].parent)


def _tables_of(file: Path) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet file, some at a time."""
    try:
        with pq.ParquetFile(file, buffer_size=2**16, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(_ROWS_AT_ONCE):
                batch.validate(full=True)  # texts that are not UTF-8 would be found where somebody reads them
                if batch.num_rows:
                    yield pa.Table.from_batches([batch]).replace_schema_metadata(parquet.schema_arrow.metadata)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise DialogueError(f"{file}: not a readable Parquet file, it may be truncated ({error})") from None


def _as_dialogues(dataset: Dataset, name: str, path: Path, columns: Mapping[str, str] | None) -> Dataset:
    """Return a data set with the columns of dialogues, in the types that processors read."""
    dataset = with_undecoded_media(dataset)
    if "utterances" in dataset.column_names:
        refuse_columns(columns, name)
    dataset = with_list_of_utterances(dataset, name, columns)
    names = dataset.column_names
    if "utterances" not in names and {"dialogue_id", "speaker"} <= find_columns(names, name, columns).keys():
        return to_dataset(lambda: group_rows(rows_of(dataset), names, name, columns), path)
    return with_float_samples(with_class_names(_with_utterances(dataset, name), name))


def _with_utterances(dataset: Dataset, name: str) -> Dataset:
    """Return the data set itself if its schema is that of dialogues; the processor checks the rows."""
    utterances = dataset.data.schema.field("utterances").type if "utterances" in dataset.features else None
    if utterances is None:
        columns = ", ".join(dataset.features) or "none"
        raise DialogueError(f"{name}: the column 'utterances' is missing (columns found: {columns})")
    is_list = pa.types.is_list(utterances) or pa.types.is_large_list(utterances)
    if not is_list or not pa.types.is_struct(utterances.value_type):
        raise DialogueError(
            f"{name}: the column 'utterances' must hold a list of records in each row, got {utterances}"
        )
    if "dialogue_id" in dataset.column_names:
        kind = dataset.data.schema.field("dialogue_id").type
        if not any(is_known(kind) for is_known in _KINDS_OF_IDS):
            raise DialogueError(
                f"{name}: the column 'dialogue_id' holds {kind}, and an id is a string or a number; convert the column"
            )
    return dataset


def _load_from_hub(hub_id: str, split: str, columns: Mapping[str, str] | None) -> Dataset:
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
    dialogues = _as_dialogues(dataset, repr(hub_id), Path(), columns)
    refuse_media_of_this_machine(dialogues)
    return dialogues
