"""JSON of whisper and its kin: whisperX, whisper.cpp, OpenAI's API, and transformers' pipeline."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...processing.dialogues import DialogueError
from ..segments import Segment, Transcript, Word, segments_of_words
from .fields import name_of, number_of, optional_number, record_of, records_of, text_of


def is_whisper(data: Any) -> bool:
    """Return whether parsed JSON has the segments of whisper, or the words of OpenAI's API."""
    segments = data.get("segments") if isinstance(data, Mapping) else data
    if isinstance(segments, list):
        return all(isinstance(each, Mapping) and "start" in each for each in segments[:1])
    words = data.get("words") if isinstance(data, Mapping) else None
    return isinstance(words, list) and any(isinstance(each, Mapping) and "word" in each for each in words[:1])


def read_whisper(data: Any, path: Path) -> Transcript:
    """Read the segments, or the words if there are no segments.

    Raises:
        DialogueError: a segment has no start, end or text; the message names it.
    """
    if isinstance(data, Mapping) and not isinstance(data.get("segments"), list):
        return Transcript("whisper", segments_of_words(_words(data, str(path)), f"{path}, sentence"))
    segments: Sequence[Any] = data["segments"] if isinstance(data, Mapping) else data
    found = [_segment(each, f"{path}, segments[{index}]") for index, each in enumerate(segments)]
    has_speakers = any(segment.speaker or any(word.speaker for word in segment.words) for segment in found)
    return Transcript("whisperX" if has_speakers else "whisper", found)


def _segment(found: Any, place: str) -> Segment:
    record = record_of(found, place)
    return Segment(
        number_of(record, "start", place),
        number_of(record, "end", place),
        text_of(record, place, "text").strip(),
        name_of(record.get("speaker")),
        _words(record, place),
        place=place,
    )


def _words(record: Mapping[str, Any], place: str) -> list[Word]:
    return [
        Word(
            text_of(word, place, "word", "text"),
            optional_number(word, "start", place),
            optional_number(word, "end", place),
            name_of(word.get("speaker")),
        )
        for word in records_of(record, "words", place)
    ]


def is_whisper_cpp(data: Any) -> bool:
    """Return whether parsed JSON is of whisper.cpp."""
    return isinstance(data, Mapping) and isinstance(data.get("transcription"), list)


def read_whisper_cpp(data: Mapping[str, Any], path: Path) -> Transcript:
    """Read the segments, whose times are milliseconds.

    Raises:
        DialogueError: a segment has no offsets or text; the message names it.
    """
    segments = []
    for index, each in enumerate(records_of(data, "transcription", str(path))):
        place = f"{path}, transcription[{index}]"
        offsets = record_of(each.get("offsets"), f"{place}, offsets")
        start, end = (number_of(offsets, key, f"{place}, offsets") / 1000 for key in ("from", "to"))
        segments.append(
            Segment(start, end, text_of(each, place, "text").strip(), name_of(each.get("speaker")), place=place)
        )
    return Transcript("whisper.cpp", segments)


def is_chunks(data: Any) -> bool:
    """Return whether parsed JSON is what transformers' pipeline of speech recognition returns."""
    return isinstance(data, Mapping) and isinstance(data.get("chunks"), list)


def read_chunks(data: Mapping[str, Any], path: Path) -> Transcript:
    """Read the chunks; `speakers`, which insanely-fast-whisper adds, are chunks with a speaker.

    A chunk without an end, which the pipeline makes where a sentence is not finished, is left out.

    Raises:
        DialogueError: a chunk has no times or text; the message names it.
    """
    key = "speakers" if data.get("speakers") else "chunks"
    segments, left_out = [], 0
    for index, each in enumerate(records_of(data, key, str(path))):
        place = f"{path}, {key}[{index}]"
        times = each.get("timestamp")
        if not isinstance(times, list) or len(times) != 2:
            raise DialogueError(f"{place}: 'timestamp' must be a start and an end, got {times!r:.60}")
        if times[1] is None:
            left_out += 1
            continue
        limits = {"start": times[0], "end": times[1]}
        start, end = (number_of(limits, name, place) for name in limits)
        segments.append(
            Segment(start, end, text_of(each, place, "text").strip(), name_of(each.get("speaker")), place=place)
        )
    return Transcript("transformers", segments, left_out={"without an end": left_out} if left_out else {})
