"""JSON of AssemblyAI, Deepgram and AWS Transcribe, as their reference pages lay it out."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...processing.dialogues import DialogueError
from ..segments import Segment, Transcript, Word, join_words, segments_of_words
from .fields import name_of, number_of, optional_number, record_of, records_of, text_of

_TIME_STEP = 1e-6


def is_assembly(data: Any) -> bool:
    """Whether parsed JSON is a transcript of AssemblyAI."""
    return isinstance(data, Mapping) and "results" not in data and bool({"utterances", "words"} & data.keys())


def is_deepgram(data: Any) -> bool:
    """Whether parsed JSON is a transcript of Deepgram."""
    results = data.get("results") if isinstance(data, Mapping) else None
    return isinstance(results, Mapping) and bool({"channels", "utterances"} & results.keys())


def is_aws(data: Any) -> bool:
    """Whether parsed JSON is a transcript of AWS Transcribe."""
    results = data.get("results") if isinstance(data, Mapping) else None
    return isinstance(results, Mapping) and bool({"items", "transcripts"} & results.keys())


# AssemblyAI: times in milliseconds, channels counted from 1.


def read_assembly(data: Mapping[str, Any], path: Path) -> Transcript:
    """Read the utterances, or the words if speaker labels were not requested.

    Raises:
        DialogueError: the transcript failed or is not ready, or a field has the wrong type.
    """
    status = data.get("status")
    if status not in (None, "completed"):
        reason = f": {data['error']}" if data.get("error") else ""
        raise DialogueError(
            f"{path}: AssemblyAI's transcript has the status {status!r}{reason}; fetch it when complete"
        )
    utterances = records_of(data, "utterances", str(path))
    channels = {each.get("channel") for each in utterances} - {None}
    segments = []
    for index, each in enumerate(utterances):
        place = f"{path}, utterances[{index}]"
        segments.append(
            Segment(
                number_of(each, "start", place) / 1000,
                number_of(each, "end", place) / 1000,
                text_of(each, place, "text"),
                name_of(each.get("speaker")) or name_of(each.get("channel")),
                [_assembly_word(word, place) for word in records_of(each, "words", place)],
                _channel(each.get("channel"), place, first=1) if len(channels) > 1 else None,
                place,
            )
        )
    if not segments:
        words = [_assembly_word(word, f"{path}, words") for word in records_of(data, "words", str(path))]
        segments = segments_of_words(words, f"{path}, sentence")
    return Transcript("AssemblyAI", segments)


def _assembly_word(word: Mapping[str, Any], place: str) -> Word:
    start, end = optional_number(word, "start", place), optional_number(word, "end", place)
    seconds = [None if time is None else time / 1000 for time in (start, end)]
    return Word(text_of(word, place, "text"), *seconds, name_of(word.get("speaker")))


# Deepgram: times in seconds, channels and speakers counted from 0, speakers separately on each channel.


def read_deepgram(data: Mapping[str, Any], path: Path) -> Transcript:
    """Read the utterances, or the words if utterances were not requested.

    Raises:
        DialogueError: a field has the wrong type.
    """
    results = record_of(data["results"], f"{path}, results")
    channels = records_of(results, "channels", f"{path}, results")
    utterances = records_of(results, "utterances", f"{path}, results")
    are_many = len({each.get("channel") for each in utterances} or set(range(len(channels)))) > 1
    segments: list[Segment] = []
    for index, each in enumerate(utterances):
        place = f"{path}, results.utterances[{index}]"
        channel = _channel(each.get("channel"), place, first=0) if are_many else None
        segments.append(
            Segment(
                number_of(each, "start", place),
                number_of(each, "end", place),
                text_of(each, place, "transcript"),
                name_of(each.get("speaker")),
                _deepgram_words(each, place),
                channel,
                place,
            )
        )
    for channel, each in enumerate(channels if not utterances else ()):
        place = f"{path}, results.channels[{channel}]"
        alternatives = records_of(each, "alternatives", place)
        words = _deepgram_words(alternatives[0], place) if alternatives else []
        segments += segments_of_words(words, f"{place}, sentence", channel if are_many else None)
    if are_many:
        _name_by_channel(segments)
    return Transcript("Deepgram", segments, is_in_order=bool(utterances) or not are_many)


def _deepgram_words(record: Mapping[str, Any], place: str) -> list[Word]:
    return [
        Word(
            text_of(word, place, "punctuated_word", "word"),
            optional_number(word, "start", place),
            optional_number(word, "end", place),
            name_of(word.get("speaker")),
        )
        for word in records_of(record, "words", place)
    ]


def _name_by_channel(segments: Sequence[Segment]) -> None:
    """Add the channel to the names of speakers: speaker 0 of one channel is not speaker 0 of another."""
    speakers = {(segment.channel, word.speaker) for segment in segments for word in segment.words}
    speakers |= {(segment.channel, segment.speaker) for segment in segments}
    named = {pair for pair in speakers if pair[1] is not None}
    are_alone = len(named) == len({channel for channel, _ in named})

    def name(channel: int | None, speaker: str | None) -> str | None:
        return f"channel {channel}" if are_alone else speaker and f"channel {channel}, speaker {speaker}"

    for segment in segments:
        segment.speaker = name(segment.channel, segment.speaker)
        for word in segment.words:
            word.speaker = name(segment.channel, word.speaker)


# AWS Transcribe: times in seconds, as strings; punctuation is an item without times.


def read_aws(data: Mapping[str, Any], path: Path) -> Transcript:
    """Read the items, grouped into the segments of the speakers or of the audio if there are any.

    Raises:
        DialogueError: a field has the wrong type.
    """
    results = record_of(data["results"], f"{path}, results")
    speakers = results.get("speaker_labels") or {}
    turns = records_of(record_of(speakers, f"{path}, results.speaker_labels"), "segments", f"{path}, speaker_labels")
    channels = records_of(
        record_of(results.get("channel_labels") or {}, f"{path}, results.channel_labels"),
        "channels",
        f"{path}, channels",
    )
    segments: list[Segment] = []
    if channels:
        for channel, each in enumerate(channels):
            place = f"{path}, channels[{channel}]"
            words = _aws_words(records_of(each, "items", place), {}, place)
            label = name_of(each.get("channel_label"))
            for word in words:
                word.speaker = word.speaker or label
            segments += segments_of_words(words, f"{place}, sentence", channel if len(channels) > 1 else None)
        return Transcript("AWS Transcribe", segments, is_in_order=False)
    labels = {
        str(item.get("start_time")): name_of(item.get("speaker_label"))
        for index, turn in enumerate(turns)
        for item in records_of(turn, "items", f"{path}, speaker_labels.segments[{index}]")
    }
    words = _aws_words(records_of(results, "items", f"{path}, results"), labels, f"{path}, results")
    limits = turns or records_of(results, "audio_segments", f"{path}, results")
    if not limits:
        return Transcript("AWS Transcribe", segments_of_words(words, f"{path}, sentence"))
    kind = "speaker_labels.segments" if turns else "audio_segments"
    places = [f"{path}, {kind}[{index}]" for index in range(len(limits))]
    starts = [number_of(limit, "start_time", place) for limit, place in zip(limits, places, strict=True)]
    spoken: list[list[Word]] = [[] for _ in limits]
    for word in words:
        spoken[max(0, bisect_right(starts, (word.start or 0.0) + _TIME_STEP) - 1)].append(word)
    for limit, place, start, own in zip(limits, places, starts, spoken, strict=True):
        end, speaker = number_of(limit, "end_time", place), name_of(limit.get("speaker_label"))
        segments.append(Segment(start, end, join_words(own), speaker, own, place=place))
    return Transcript("AWS Transcribe", segments)


def _aws_words(items: Sequence[Mapping[str, Any]], labels: Mapping[str, str | None], place: str) -> list[Word]:
    """Return the words, each with the punctuation after it."""
    words: list[Word] = []
    for index, item in enumerate(items):
        where = f"{place}, items[{index}]"
        alternatives = records_of(item, "alternatives", where)
        content = text_of(alternatives[0], where, "content") if alternatives else ""
        if item.get("type") == "punctuation":
            if words:
                words[-1].text += content
            continue
        speaker = name_of(item.get("speaker_label")) or labels.get(str(item.get("start_time")))
        start, end = optional_number(item, "start_time", where), optional_number(item, "end_time", where)
        words.append(Word(content, start, end, speaker))
    return words


def is_aws_call(data: Any) -> bool:
    """Whether parsed JSON is of AWS Transcribe Call Analytics."""
    return isinstance(data, Mapping) and isinstance(data.get("Transcript"), list)


def read_aws_call(data: Mapping[str, Any], path: Path) -> Transcript:
    """Read the turns of a call, whose times are milliseconds.

    Raises:
        DialogueError: a field has the wrong type.
    """
    segments = []
    for index, turn in enumerate(records_of(data, "Transcript", str(path))):
        place = f"{path}, Transcript[{index}]"
        start, end = (number_of(turn, key, place) / 1000 for key in ("BeginOffsetMillis", "EndOffsetMillis"))
        speaker = name_of(turn.get("ParticipantRole"))
        segments.append(Segment(start, end, text_of(turn, place, "Content"), speaker, place=place))
    return Transcript("AWS Transcribe Call Analytics", segments, is_in_order=False)


def _channel(value: Any, place: str, first: int) -> int | None:
    try:
        return None if value is None else int(value) - first
    except (TypeError, ValueError):
        raise DialogueError(f"{place}: 'channel' must be a number, got {value!r:.60}") from None
