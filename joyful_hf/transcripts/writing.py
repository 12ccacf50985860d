"""`write_predictions` and `to_frame`: predictions as tables, subtitles and annotation tiers."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..io.files import written_whole
from ..io.messages import did_you_mean
from ..processing.dialogues import Dialogue, DialogueError, as_dialogue_list
from ..processing.optional_imports import import_optional
from .formats.elan import elan_document
from .formats.subtitles import subtitle_lines
from .formats.textgrid import textgrid_lines
from .formats.tiers import label_words
from .rows import Row, iterate_rows, make_rows
from .stored_predictions import StoredPredictions

if TYPE_CHECKING:
    import pandas

_FIRST_KEYS = ("start", "end", "audio", "video")


def check_output(path: Path) -> None:
    """Raise a `DialogueError` unless predictions can be written to a file of this name."""
    if path.suffix.lower() not in _WRITERS:
        raise DialogueError(
            f"{path}: unknown kind of file {path.suffix!r}{did_you_mean(path.suffix.lower(), _WRITERS)}; known are "
            f"{', '.join(_WRITERS)}"
        )


def write_predictions(
    predictions: Dialogue | Iterable[Dialogue], path: str | Path, *, overwrite: bool = False
) -> None:
    """Write predictions in the format given by the suffix of the file; `load_transcript` reads all of them back.

    - `.jsonl`: one dialogue per line, with all keys, times and files first.
    - `.csv`, `.tsv`, `.parquet`: one row per utterance, with its label and a column for the score of each label.
    - `.srt`, `.vtt`: one cue per utterance, with its speaker, label and score.
    - `.TextGrid`, `.eaf`: a tier for each speaker, and one with the emotions under it.

    Subtitles and tiers hold a single dialogue, whose utterances need `start` and `end`. The label None is written as
    an empty label in every format.

    Args:
        predictions: the output of `model.predict` or the pipeline: one dialogue or several.
        overwrite: whether to replace an existing file.

    Raises:
        DialogueError: the suffix is unknown, the file exists, or an utterance lacks the times that the format needs.
            Nothing is written then.
    """
    path = Path(path)
    check_output(path)
    write = _WRITERS[path.suffix.lower()]
    if path.exists() and not overwrite:
        raise DialogueError(f"{path}: exists already; choose another name, remove it, or pass `overwrite=True`")
    dialogues = predictions if isinstance(predictions, StoredPredictions) else as_dialogue_list(predictions)
    check_number(path, len(dialogues))
    with written_whole(path) as part:
        write(dialogues, part)


def check_number(path: Path, num_dialogues: int) -> None:
    """Raise a `DialogueError` unless a file of this name can hold so many dialogues."""
    if num_dialogues > 1 and path.suffix.lower() in _OF_ONE_RECORDING:
        raise DialogueError(
            f"{_OF_ONE_RECORDING[path.suffix.lower()]} holds one recording, and these are {num_dialogues} dialogues; "
            "write one after the other, or all of them to .csv or .jsonl"
        )


def to_frame(predictions: Dialogue | Iterable[Dialogue]) -> "pandas.DataFrame":
    """Make a table of predictions, one row per utterance.

    Columns: `dialogue_id`, `index`, `speaker`, `start`, `end`, `text`, `label`, `score` (of the label),
    `score_<label>` for each label, and the other keys of the utterances that hold a single value. If an utterance
    can have several labels, `label` is a list.

    Raises:
        DialogueError: the predictions are not dialogues.
        ImportError: pandas is not installed.
    """
    pandas = import_optional("pandas", None, "a table of predictions")
    table = _Table(as_dialogue_list(predictions))
    return pandas.DataFrame.from_records(list(table.records()), columns=table.header)


class _Table:
    """A table of predictions, one row per utterance; rows are made when they are asked for."""

    def __init__(self, dialogues: Sequence[Dialogue]) -> None:
        self._dialogues = dialogues
        labels: dict[str, None] = {}
        extra: dict[str, None] = {}
        for row in iterate_rows(dialogues) if len(dialogues) else ():
            labels |= dict.fromkeys(row.scores)
            extra |= dict.fromkeys(row.extra)
        self._labels = list(labels)
        self.header = list(dict.fromkeys([*_NO_ROW.as_dict(self._labels), *extra]))

    def records(self) -> Iterator[dict[str, Any]]:
        for row in iterate_rows(self._dialogues) if len(self._dialogues) else ():
            record = row.as_dict(self._labels)
            yield {key: record.get(key) for key in self.header}


_NO_ROW = Row("", 0, "", None, None, None, None)
_ROWS_AT_ONCE = 2**14


def write_jsonl(dialogues: Sequence[Dialogue], part: Path) -> None:
    """Write predictions as JSONL, one dialogue per line."""
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(dialogues.lines() if isinstance(dialogues, StoredPredictions) else map(_as_line, dialogues))


def _as_line(dialogue: Dialogue) -> str:
    utterances = [_with_times_first(utterance) for utterance in dialogue["utterances"]]
    record = {key: value for key, value in dialogue.items() if value is not None} | {"utterances": utterances}
    return json.dumps(record, ensure_ascii=False, default=_as_json) + "\n"


def _with_times_first(utterance: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out keys that are None, except the label: there it says that nothing could be read."""
    keys = [*(key for key in _FIRST_KEYS if key in utterance), *(key for key in utterance if key not in _FIRST_KEYS)]
    return {key: utterance[key] for key in keys if utterance[key] is not None or key == "label"}


def _as_json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if not hasattr(value, "tolist"):
        raise DialogueError(f"JSONL cannot hold {type(value).__name__}; leave the key out, or name a file instead")
    return value.tolist()


def _csv_writer(delimiter: str) -> Callable[[Sequence[Dialogue], Path], None]:
    def write(dialogues: Sequence[Dialogue], part: Path) -> None:
        table = _Table(dialogues)
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            writer.writerow(table.header)
            for record in table.records():
                for key in ("label", "true_label"):
                    if record.get(key) is not None:
                        record[key] = label_words(record[key])
                writer.writerow(["" if value is None else value for value in record.values()])

    return write


def _write_parquet(dialogues: Sequence[Dialogue], part: Path) -> None:
    table = _Table(dialogues)
    kinds: dict[str, pa.DataType | None] = dict.fromkeys(table.header, pa.null())
    """None for values of several types, which only text can hold together."""
    for records in _batches(table.records()):
        kinds = {key: _merged(kind, [record[key] for record in records]) for key, kind in kinds.items()}
    schema = pa.schema([(key, pa.string() if kind is None else kind) for key, kind in kinds.items()])
    with pq.ParquetWriter(part, schema) as writer:
        for records in _batches(table.records()):
            columns = {key: [record[key] for record in records] for key in table.header}
            for key, values in columns.items():
                if kinds[key] is None:
                    columns[key] = [None if value is None else label_words(value) for value in values]
            writer.write_table(pa.table(columns, schema))


def _batches(records: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    return iter(lambda: list(islice(records, _ROWS_AT_ONCE)), [])


def _merged(known: pa.DataType | None, values: list[Any]) -> pa.DataType | None:
    """Return the type of a column that holds these values too; None where there is none but text."""
    if known is None:
        return None
    try:
        schemas = [pa.schema([("value", kind)]) for kind in (known, pa.array(values).type)]
        return pa.unify_schemas(schemas, promote_options="permissive").field("value").type
    except pa.ArrowException:
        return None


def _row_writer(lines: Callable[[Sequence[Row]], Iterator[str]]) -> Callable[[Sequence[Dialogue], Path], None]:
    def write(dialogues: Sequence[Dialogue], part: Path) -> None:
        rows = make_rows(dialogues)
        text = "".join(lines(sorted(rows, key=lambda row: row.times)))
        part.write_text(text, encoding="utf-8", newline="\n")

    return write


_WRITERS: dict[str, Callable[[Sequence[Dialogue], Path], None]] = {
    ".jsonl": write_jsonl,
    ".csv": _csv_writer(","),
    ".tsv": _csv_writer("\t"),
    ".parquet": _write_parquet,
    ".srt": _row_writer(lambda rows: subtitle_lines(rows, is_vtt=False)),
    ".vtt": _row_writer(lambda rows: subtitle_lines(rows, is_vtt=True)),
    ".textgrid": _row_writer(textgrid_lines),
    ".eaf": _row_writer(elan_document),
}
_OF_ONE_RECORDING = {".srt": "SRT", ".vtt": "WebVTT", ".textgrid": "TextGrid", ".eaf": ".eaf"}
"""Suffixes of files that hold a single dialogue, and what messages call them."""
OUTPUT_SUFFIXES = tuple(_WRITERS)
"""Suffixes that `write_predictions` can write."""
