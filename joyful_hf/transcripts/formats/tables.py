"""Tables with one utterance per row: CSV, TSV and Parquet with named columns, and whisper's TSV.

Tables that `write_predictions` has written are read back unchanged.
"""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...io.messages import did_you_mean
from ...processing.dialogues import FEATURE_KEYS, FRAME_KEYS, DialogueError
from ..segments import Segment, Transcript

# Common names of columns, in lower case, with `_` for all other characters and without a unit at the end.
_USUAL_NAMES = {
    "start": "start begin start_time starttime begin_time begintime onset time_start from t0 tmin xmin t_start",
    "end": "end stop finish end_time endtime stop_time time_end to t1 tmax xmax t_end",
    "duration": "duration dur length",
    "speaker": "speaker who speaker_name speaker_label speaker_id spk participant talker tier name role",
    "text": "text transcript transcription utterance sentence words content annotation caption value what",
    "label": "label emotion",
    "channel": "channel",
    "face": "face face_id",
    "dialogue_id": "dialogue_id dialog_id conversation_id dialogue conversation",
    "audio": "audio",
    "video": "video",
}
_COLUMN_OF = {name: key for key, names in _USUAL_NAMES.items() for name in names.split()}
_UNIT = re.compile(r"_(?P<unit>s|sec|secs|seconds|ms|msec|millis|milliseconds|hh_mm_ss_ms|ss_msec)$")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)")
_FLOAT = re.compile(r"[+-]?(?:\d+\.\d+(?:e[+-]?\d+)?|\d+e[+-]?\d+)", re.I)
_WHISPER = re.compile(r"start\tend\ttext\n(?:\d+\t\d+\t[^\n]*(?:\n|$)|\n)*")
_NOT_CARRIED = {*FEATURE_KEYS.values(), *FRAME_KEYS.values(), "index", "score", "scores", "extractors"}


def read_table(text: str, path: Path, columns: Mapping[str, str] | None = None) -> Transcript:
    """Read CSV or TSV whose first line names the columns.

    Args:
        columns: `start`, `end`, `duration`, `speaker`, `text`, … -> the name of the column in the file; the
            rest is guessed.

    Raises:
        DialogueError: there are no columns for start and end, the file lacks a given name, or a row does not fit
            (the message names its line).
    """
    if columns is None and _WHISPER.fullmatch(text):
        return _whisper_table(text, path)
    delimiter = _delimiter(text, path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise DialogueError(f"{path}, line {reader.line_num}: not a table ({error})") from None
    header = [name.strip() for name in lines[0][1]]
    for number, line in lines[1:]:
        if len(line) > len(header):
            raise DialogueError(
                f"{path}, line {number}: {len(line)} cells, but {len(header)} columns; put texts that hold "
                f"{delimiter!r} into double quotes"
            )
    records = [
        (f"{path}, line {number}", dict(zip(header, [*line, *[""] * (len(header) - len(line))], strict=True)))
        for number, line in lines[1:]
    ]
    decimal = "," if delimiter != "," else "."
    return _transcript(records, header, path, columns, "TSV" if delimiter == "\t" else "CSV", decimal)


def read_parquet_table(path: Path, columns: Mapping[str, str] | None = None) -> Transcript:
    """Read Parquet with one utterance per row. Arguments and errors as for `read_table`."""
    try:
        table = pq.read_table(path)
        table.validate(full=True)  # texts that are not UTF-8 would be found where somebody reads them
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise DialogueError(f"{path}: not a readable Parquet file, it may be truncated ({error})") from None
    if "utterances" in table.column_names:
        raise DialogueError(f"{path}: holds one dialogue per row, not one utterance; read it with `load_dialogues`")
    records = [(f"{path}, row {number}", row) for number, row in enumerate(table.to_pylist())]
    return _transcript(records, table.column_names, path, columns, "Parquet", ".")


def _delimiter(text: str, path: Path) -> str:
    header = text.split("\n", 1)[0]
    if path.suffix.lower() == ".tsv" or "\t" in header:
        return "\t"
    return max(",;|", key=header.count)


def _whisper_table(text: str, path: Path) -> Transcript:
    """Read the output of whisper's `--output_format tsv`: whole milliseconds, and quotes that have no meaning."""
    segments = []
    for number, line in enumerate(text.split("\n")[1:], 2):
        if line.strip():
            start, end, said = line.split("\t", 2)
            segments.append(Segment(int(start) / 1000, int(end) / 1000, said.strip(), place=f"{path}, line {number}"))
    return Transcript("whisper TSV", segments, notes=["times are whole numbers: read as milliseconds"])


def _transcript(
    records: Sequence[tuple[str, dict[str, Any]]],
    header: Sequence[str],
    path: Path,
    columns: Mapping[str, str] | None,
    name: str,
    decimal: str,
) -> Transcript:
    chosen = _choose_columns(header, path, columns)
    are_labelled = "label" in chosen
    are_floats = are_labelled and all(
        _FLOAT.fullmatch(value) for _, row in records if isinstance(value := row[chosen["label"]], str) and value
    )
    scored = [column for column in header if column.startswith("score_") and are_labelled]
    carried = [
        column
        for column in header
        if column and column not in {*chosen.values(), *scored, *_NOT_CARRIED} and column not in _USUAL_NAMES
    ]
    segments = []
    for place, row in records:
        times = _Times(row, chosen, place, decimal)
        extra = {key: _cell(row[chosen[key]]) for key in ("dialogue_id", "audio", "video") if key in chosen}
        extra |= {column: _cell(row[column]) for column in carried}
        extra["face"] = _number_from_0(_cell(row[chosen["face"]]), "face", place) if "face" in chosen else None
        scores = {column.removeprefix("score_"): _number(row[column], place, column) for column in scored}
        if any(score is not None for score in scores.values()):
            extra["scores"] = scores
        label = _label(row[chosen["label"]], are_floats) if are_labelled else None
        text, speaker, channel = (_cell(row[chosen[key]]) if key in chosen else None for key in _OTHER)
        segments.append(
            Segment(
                start=times.start,
                end=times.end,
                text=None if text is None else str(text).strip(),
                speaker=None if speaker is None else str(speaker).strip() or None,
                channel=_number_from_0(channel, "channel", place),
                place=place,
                is_labelled=are_labelled,
                label=label,
                extra={key: value for key, value in extra.items() if value is not None},
            )
        )
        if text is None and "text" in chosen and not are_labelled:
            segments[-1].text = ""  # a row without words, where others have them
    is_complete = all(segment.start is not None for segment in segments)
    if not is_complete and any(segment.start is not None for segment in segments):
        bare = next(segment for segment in segments if segment.start is None)
        raise DialogueError(f"{bare.place}: no start and end, which other rows have; give it times or remove it")
    guessed = ", ".join(f"{key} = {column!r}" for key, column in chosen.items() if key != column)
    notes = [f"columns: {guessed}"] if guessed else []
    return Transcript(name, segments, merge_gap=0.0, is_in_order=False, notes=notes)


_OTHER = ("text", "speaker", "channel")


def _choose_columns(header: Sequence[str], path: Path, columns: Mapping[str, str] | None) -> dict[str, str]:
    """Map keys to columns; names that the user gave come first, the others are guessed.

    Raises:
        DialogueError: the file lacks a given name, a key is unknown, or there are no columns for start and end.
    """
    chosen: dict[str, str] = {}
    for key, column in (columns or {}).items():
        if key not in _USUAL_NAMES:
            raise DialogueError(
                f"`columns`: there is no key {key!r}{did_you_mean(key, _USUAL_NAMES)} "
                f"(known: {', '.join(_USUAL_NAMES)})"
            )
        if column not in header:
            raise DialogueError(
                f"{path}: no column {column!r}{did_you_mean(column, header)} (columns found: {', '.join(header)})"
            )
        chosen[key] = column
    for column in header:
        key = _COLUMN_OF.get(_UNIT.sub("", _plain(column)))
        if key is not None and key not in chosen and column not in chosen.values():
            chosen[key] = column
    has_text = "text" in chosen or "audio" in chosen or "video" in chosen
    missing = [key for key in ("start", "end") if key not in chosen and not (key == "end" and "duration" in chosen)]
    if missing and not (len(missing) == 2 and has_text and "dialogue_id" in chosen):
        near = next(
            (hint for key in missing for column in header if (hint := did_you_mean(_plain(column), [key]))), ""
        )
        raise DialogueError(
            f"{path}, line 1: no column for {' and '.join(missing)} (columns found: {', '.join(header)}){near}; "
            'name them, as in columns={"start": "begin_s", "end": "end_s"}'
        )
    return chosen


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.strip()).lower()).strip("_")


class _Times:
    """Start and end of a row, in seconds."""

    def __init__(self, row: Mapping[str, Any], chosen: Mapping[str, str], place: str, decimal: str) -> None:
        self._row, self._chosen, self._place, self._decimal = row, chosen, place, decimal
        self.start = self._seconds("start")
        self.end = self._seconds("end")
        duration = self._seconds("duration")
        if self.end is None and self.start is not None and duration is not None:
            self.end = self.start + duration
        if (self.start is None) != (self.end is None):
            missing = "start" if self.start is None else "end"
            raise DialogueError(f"{place}: no {missing}; fill in the cell or remove the row")

    def _seconds(self, key: str) -> float | None:
        column = self._chosen.get(key)
        cell = None if column is None else _cell(self._row[column])
        if column is None or cell is None:
            return None
        text = str(cell).strip()
        clock = _CLOCK.fullmatch(text)
        if clock:
            hours, minutes, seconds = clock.groups()
            return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
        try:
            number = float(text.replace(",", ".") if self._decimal == "," else text)
        except ValueError:
            number = float("nan")
        if not abs(number) < float("inf"):
            raise DialogueError(f"{self._place}: {column!r} is {text!r:.40}, expected seconds or hh:mm:ss.mmm")
        unit = _UNIT.search(_plain(column))
        return number / 1000 if unit and unit["unit"].startswith("m") else number


def _cell(value: Any) -> Any:
    """Return the value of a cell, or None if it is empty."""
    return None if isinstance(value, str) and not value.strip() else value


def _label(value: Any, are_floats: bool) -> Any:
    value = _cell(value)
    if not isinstance(value, str):
        return value
    if (value[:1], value[-1:]) in (("[", "]"), ("{", "}")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return float(value) if are_floats else value


def _number(value: Any, place: str, column: str) -> float | None:
    value = _cell(value)
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise DialogueError(f"{place}: {column!r} is {value!r:.40}, expected a number") from None


def _number_from_0(value: Any, name: str, place: str) -> int | None:
    if value is None:
        return None
    try:
        return int(float(value))
    except (TypeError, ValueError):
        raise DialogueError(f"{place}: the {name} is {value!r:.40}, expected a number, counted from 0") from None
