"""JSON of whisper, whisperX and similar tools: segments with words, some of them with speakers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..segments import Segment, Transcript, Word
from .fields import name_of, number_of, optional_number, record_of, records_of, text_of


def is_whisper(data: Any) -> bool:
    """Return whether parsed JSON has the segments of whisper."""
    segments = data.get("segments") if isinstance(data, Mapping) else data
    return isinstance(segments, list) and all(isinstance(each, Mapping) and "start" in each for each in segments[:1])


def read_whisper(data: Any, path: Path) -> Transcript:
    """Read the segments.

    Raises:
        DialogueError: a segment has no start, end or text; the message names it.
    """
    segments: Sequence[Any] = data["segments"] if isinstance(data, Mapping) else data
    found = [_segment(each, f"{path}, segments[{index}]") for index, each in enumerate(segments)]
    has_speakers = any(segment.speaker or any(word.speaker for word in segment.words) for segment in found)
    return Transcript("whisperX" if has_speakers else "whisper", found)


def _segment(found: Any, place: str) -> Segment:
    record = record_of(found, place)
    words = [
        Word(
            text_of(word, place, "word", "text"),
            optional_number(word, "start", place),
            optional_number(word, "end", place),
            name_of(word.get("speaker")),
        )
        for word in records_of(record, "words", place)
    ]
    return Segment(
        number_of(record, "start", place),
        number_of(record, "end", place),
        text_of(record, place, "text").strip(),
        name_of(record.get("speaker")),
        words,
        place=place,
    )
