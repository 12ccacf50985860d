"""`load_transcript`: turn the transcript of a recording, written by another tool, into a dialogue with times."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from ..io.messages import did_you_mean
from ..processing.dialogues import DialogueError
from .formats.elan import read_elan
from .formats.labels import LABEL_LINE, read_labels
from .formats.rttm import read_rttm
from .formats.services import (
    is_assembly,
    is_aws,
    is_aws_call,
    is_deepgram,
    read_assembly,
    read_aws,
    read_aws_call,
    read_deepgram,
)
from .formats.subtitles import read_subtitles
from .formats.tables import read_parquet_table, read_table
from .formats.text import parse_json, read_text
from .formats.textgrid import read_textgrid
from .formats.whisper import is_chunks, is_whisper, is_whisper_cpp, read_chunks, read_whisper, read_whisper_cpp
from .options import DEFAULTS, TranscriptOptions
from .recording import Media, name_channels, put_on_recordings, show_faces
from .report import TranscriptReport
from .segments import Segment, Transcript, check_times
from .utterances import make_utterances

logger = logging.getLogger(__name__)

_KEYS = ("speaker", "text", "start", "end", "audio", "video", "channel", "label")


@dataclass(frozen=True)
class _Format:
    """A format, its suffixes, and a check that recognises a text in it whatever the suffix."""

    name: str
    suffixes: tuple[str, ...]
    looks_so: Callable[[str], bool]


_CUE = re.compile(r"^\s*(?:\d+:)?\d+:\d+[.,]\d+\s*-->", re.M)
FORMATS = (
    _Format("WebVTT", (".vtt",), lambda text: text.startswith("WEBVTT")),
    _Format("TextGrid", (".textgrid",), lambda text: "ooTextFile" in text[:200] and "TextGrid" in text[:400]),
    _Format("ELAN", (".eaf",), lambda text: "<ANNOTATION_DOCUMENT" in text[:2000]),
    _Format("JSON", (".json",), lambda text: bool(re.match(r'\s*(?:\[\s*)?\{\s*"', text))),
    _Format("RTTM", (".rttm",), lambda text: bool(re.match(r"(?:;;.*\n|\s)*(?:SPEAKER|SPKR-INFO)\s", text))),
    _Format("SRT", (".srt",), lambda text: bool(_CUE.search(text[:2000]))),
    _Format("Audacity labels", (), lambda text: bool(LABEL_LINE.match(text))),
    _Format("table", (".csv", ".tsv"), lambda text: False),
)
_SUFFIXES = {suffix: each.name for each in FORMATS for suffix in each.suffixes}
# Suffixes that say nothing about the content of a file.
_PLAIN_SUFFIXES = (".txt",)
KNOWN_SUFFIXES = (*_SUFFIXES, ".parquet", *_PLAIN_SUFFIXES)


def load_transcript(
    path: str | Path,
    media: str | Path | Mapping[str, str | Path] | None = None,
    *,
    speakers: str | Path | None = None,
    channels: Sequence[str | None] | None = None,
    openface: str | Path | None = None,
    faces: Mapping[str, int] | None = None,
    columns: Mapping[str, str] | None = None,
    tiers: Sequence[str] | None = None,
    merge_gap: float | None = None,
    max_seconds: float = 15.0,
    encoding: str | None = None,
    dialogue_id: str | None = None,
) -> Dataset:
    """Read the transcript of a recording: JSON of whisper, whisperX, AssemblyAI, Deepgram and AWS Transcribe, SRT,
    WebVTT, Praat's TextGrid, ELAN's .eaf, RTTM, whisper's TSV, labels of Audacity, and tables with named columns.

    A summary of what was guessed, joined and left out is logged; `read_transcript` returns it.

    Args:
        path: the transcript. Its format is recognised by suffix and content.
        media: the recording, or a recording for each speaker: {"Alice": "alice.wav", …}.
        speakers: an RTTM, or another transcript with speakers, that says who spoke when. It names the speakers,
            whatever the transcript says.
        channels: the speaker on each channel of the recording, starting with the first; None for a channel on which
            nobody speaks. If the transcript gives channels, they name its speakers.
        openface: the CSV file that OpenFace made of the recording, for models with the extractor `openface`.
        faces: with `openface`: whose face is which, by OpenFace's `face_id`: {"Alice": 0, "Bob": 1}. By default the
            face that is seen in most pictures of an utterance is its speaker's.
        columns: for tables: `start`, `end`, `duration`, `speaker`, `text`, `label`, … -> the name of the column.
            Common names are recognised without it.
        tiers: for TextGrid and .eaf: the tiers to read, by default one for each speaker.
        merge_gap: neighbouring segments of the same speaker are joined into one utterance if the pause between them
            is shorter than this, in seconds. Defaults to 0.3 for segments that a tool has cut, and to 0 (nothing is
            joined) for tables, labels and tiers.
        max_seconds: segments are not joined into utterances longer than this.
        encoding: encoding of the transcript. By default UTF-8 and UTF-16 are detected, and any other text is read
            as Windows-1252.
        dialogue_id: id of the dialogue; defaults to the name of the transcript without its suffix.

    Returns:
        A data set of one dialogue, or of several from a table with a column `dialogue_id`: `{"dialogue_id",
        "utterances": [{"speaker", "text", "start", "end", "audio" or "video", "channel", …}]}`. Times are seconds,
        to the millisecond. Channels are counted from 0.

    Raises:
        DialogueError: a file cannot be read or holds no cue, times are impossible, or a named speaker does not
            occur; the message names the file, the line or cue, and the way out.
        ImportError: `media` is given, and PyAV is not installed.
    """
    options = TranscriptOptions(
        speakers, channels, openface, faces, columns, tiers, merge_gap, max_seconds, encoding, dialogue_id
    )
    dataset, report = read_transcript(path, media, options)
    logger.info("%s", report)
    return dataset


def read_transcript(
    path: str | Path,
    media: str | Path | Mapping[str, str | Path] | None = None,
    options: TranscriptOptions = DEFAULTS,
) -> tuple[Dataset, TranscriptReport]:
    """Read a transcript as `load_transcript` does, and report what became of its cues."""
    path = Path(path)
    recording = Media.of(media)
    names = tuple(dict.fromkeys([*recording.names, path.stem]))
    transcript = _read(path, names, options)
    if not transcript.segments:
        left_out = "; ".join(f"{count} {reason}" for reason, count in transcript.left_out.items())
        raise DialogueError(
            f"{path}: no cue was found in this {transcript.format} file{f' ({left_out})' if left_out else ''}; "
            "is it the transcript, and complete?"
        )
    turns = None if options.speakers is None else read_turns(Path(options.speakers), names, options.encoding)
    return make_dialogues(transcript, path, recording, turns, options)


def make_dialogues(
    transcript: Transcript,
    path: Path,
    recording: Media,
    turns: Sequence[Segment] | None,
    options: TranscriptOptions,
) -> tuple[Dataset, TranscriptReport]:
    """Make what was read, or heard, into dialogues, and report what became of it.

    Args:
        path: the file that messages name.
        turns: who spoke when.
    """
    report = TranscriptReport(path, transcript.format)
    if options.channels is not None:
        name_channels(transcript.segments, options.channels, path)
    report.notes += recording.check_ends(transcript.segments, path)
    utterances = make_utterances(transcript, report, turns, options.merge_gap, options.max_seconds)
    if not utterances:
        raise DialogueError(f"{path}: no cue holds speech ({report.left_out_words()}); is it the transcript?")
    report.notes += put_on_recordings(utterances, recording, options.channels, path)
    show_faces(utterances, options.openface, options.faces, path)
    return Dataset.from_list(_dialogues(utterances, options.dialogue_id or path.stem)), report


def _read(path: Path, names: tuple[str, ...], options: TranscriptOptions) -> Transcript:
    columns, tiers = options.columns, options.tiers
    suffix = path.suffix.lower()
    if suffix not in KNOWN_SUFFIXES and path.exists():
        raise DialogueError(
            f"{path}: unknown kind of transcript {path.suffix!r}{did_you_mean(suffix, KNOWN_SUFFIXES)}; "
            f"known are {', '.join(KNOWN_SUFFIXES)}"
        )
    if suffix == ".parquet" and path.is_file():
        kind = "table"
        _refuse_options(path, kind, columns, tiers)
        transcript = read_parquet_table(path, columns)
        check_times(transcript.segments, transcript.is_in_order)
        return transcript
    text, notes = read_text(path, options.encoding)
    kind = next((each.name for each in FORMATS if each.looks_so(text)), None)
    if kind is None or (suffix in (".csv", ".tsv") and kind != "Audacity labels"):
        kind = _SUFFIXES.get(suffix)
    if kind is None:
        raise DialogueError(
            f"{path}: its text is of no known format; give the file that your tool exports, with its own suffix "
            f"({', '.join(_SUFFIXES)})"
        )
    if _SUFFIXES.get(suffix, kind) != kind:
        notes.append(f"the file is called {path.suffix}, and read as the {kind} that it holds")
    _refuse_options(path, kind, columns, tiers)
    transcript = _reader_of(kind, names, columns, tiers)(text, path)
    transcript.notes[:0] = notes
    check_times(transcript.segments, transcript.is_in_order)
    return transcript


def _reader_of(
    kind: str, names: tuple[str, ...], columns: Mapping[str, str] | None, tiers: Sequence[str] | None
) -> Callable[[str, Path], Transcript]:
    readers: dict[str, Callable[[str, Path], Transcript]] = {
        "WebVTT": read_subtitles,
        "SRT": read_subtitles,
        "TextGrid": lambda text, path: read_textgrid(text, path, tiers),
        "ELAN": lambda text, path: read_elan(text, path, tiers),
        "JSON": _read_json,
        "RTTM": lambda text, path: read_rttm(text, path, names),
        "Audacity labels": read_labels,
        "table": lambda text, path: read_table(text, path, columns),
    }
    return readers[kind]


def _refuse_options(path: Path, kind: str, columns: Mapping[str, str] | None, tiers: Sequence[str] | None) -> None:
    if columns is not None and kind != "table":
        raise DialogueError(f"{path}: `columns` is for tables (.csv, .tsv, .parquet), and this is {kind}")
    if tiers is not None and kind not in ("TextGrid", "ELAN"):
        raise DialogueError(f"{path}: `tiers` is for TextGrid and .eaf, and this is {kind}")


def _read_json(text: str, path: Path) -> Transcript:
    data = parse_json(text, path)
    known: dict[Callable[[Any], bool], Callable[[Any, Path], Transcript]] = {
        is_whisper: read_whisper,
        is_whisper_cpp: read_whisper_cpp,
        is_chunks: read_chunks,
        is_deepgram: read_deepgram,
        is_aws: read_aws,
        is_aws_call: read_aws_call,
        is_assembly: read_assembly,
    }
    for is_such, read in known.items():
        if is_such(data):
            return read(data, path)
    keys = f" (its keys: {', '.join(map(str, data))})" if isinstance(data, Mapping) else ""
    hint = "; dialogues are read with `load_dialogues`" if isinstance(data, Mapping) and "speaker" in text else ""
    raise DialogueError(
        f"{path}: JSON of no known tool{keys[:200]}; known are whisper, whisperX, whisper.cpp, "
        f"transformers, AssemblyAI, Deepgram and AWS Transcribe{hint}"
    )


def read_turns(path: Path, names: tuple[str, ...], encoding: str | None) -> list[Segment]:
    """Read who spoke when from a separate file."""
    transcript = _read(path, names, TranscriptOptions(encoding=encoding))
    turns = transcript.segments
    if transcript.format == "Audacity labels":  # the labels are the names
        turns = [Segment(*turn.times, speaker=turn.speaker or turn.text, place=turn.place) for turn in turns]
    if not any(turn.speaker for turn in turns):
        raise DialogueError(f"{path}: `speakers` needs a file that says who spoke when, and this one names no speaker")
    return turns


def _dialogues(utterances: Sequence[Segment], name: str) -> list[dict[str, Any]]:
    """Make the records of the dialogues, with only the keys that are set."""
    records: dict[str, list[dict[str, Any]]] = {}
    for utterance in utterances:
        extra = dict(utterance.extra)
        key = str(extra.pop("dialogue_id", name))
        record = {each: getattr(utterance, each, None) for each in _KEYS if each not in ("audio", "video")}
        records.setdefault(key, []).append(
            {each: value for each, value in record.items() if value is not None} | extra
        )
    if any(utterance.is_labelled for utterance in utterances):
        for own in records.values():
            for record in own:
                record.setdefault("label", None)
    return [{"dialogue_id": key, "utterances": own} for key, own in records.items()]
