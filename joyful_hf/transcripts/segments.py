"""Segments: the cues, intervals or rows of a transcript, before they are made into utterances."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..processing.dialogues import DialogueError

# Milliseconds are not exact in binary: two times are equal if they differ by less than this.
TIME_STEP = 1e-6

# Words without segments are cut into sentences, and at pauses of this many seconds.
_PAUSE_SECONDS = 0.8
# No recording is longer; times in milliseconds that are taken for seconds are.
_LONGEST_SECONDS = 1000 * 3600
# Chinese and Japanese with their punctuation, Thai, Lao, Burmese and Khmer.
_UNSPACED = re.compile(
    "[\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff9f\U00020000-\U0003ffff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
)
_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")


@dataclass
class Word:
    """A word of a segment; a field is None if the tool did not give it."""

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None


@dataclass
class Segment:
    """One cue, interval or row. Times are in seconds."""

    start: float | None
    """None only in tables of utterances that have no times."""
    end: float | None
    text: str | None = None
    speaker: str | None = None
    words: list[Word] = field(default_factory=list)
    channel: int | None = None
    """Counted from 0."""
    place: str = ""
    """Place named in error messages: the file and the line or cue."""
    is_labelled: bool = False
    """Whether the file marks its emotion, if only with an empty mark; it is then kept unchanged as an utterance."""
    label: Any = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Other keys of the utterance."""

    @property
    def times(self) -> tuple[float, float]:
        """Start and end of a segment that must have them."""
        if self.start is None or self.end is None:
            raise DialogueError(f"{self.place}: it has no start and end")
        return self.start, self.end


@dataclass
class Transcript:
    """The segments that a reader found in a file, before they are made into utterances."""

    format: str
    segments: list[Segment]
    merge_gap: float = 0.3
    """Default for the format: 0 where a person set the limits of each segment."""
    is_in_order: bool = True
    """Whether the file goes through the recording once; False if the segments are grouped by speaker."""
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    """Number of cues that the reader itself left out, by reason."""


def join_words(words: Sequence[Word]) -> str:
    """Join words into a text; some tools write the space before a word as part of the word."""
    if any(word.text.startswith(" ") for word in words):
        return " ".join("".join(word.text for word in words).split())
    return join_texts(word.text for word in words)


def join_texts(texts: Iterable[str]) -> str:
    """Join texts with a space, but where both sides belong to a script that writes none between words."""
    joined = ""
    for text in filter(None, (" ".join(text.split()) for text in texts)):
        has_space = joined and not (_UNSPACED.match(joined[-1]) and _UNSPACED.match(text[0]))
        joined = f"{joined} {text}" if has_space else joined + text
    return joined


def segments_of_words(words: Sequence[Word], place: str, channel: int | None = None) -> list[Segment]:
    """Cut words without segments where the speaker changes, a sentence ends, or there is a pause."""
    groups: list[list[Word]] = []
    for word in words:
        last = groups[-1][-1] if groups else None
        pause = 0.0 if last is None else (word.start or 0.0) - (last.end or 0.0)
        is_next = last is not None and last.speaker == word.speaker and pause < _PAUSE_SECONDS
        if is_next and last is not None and not last.text.rstrip().endswith(_SENTENCE_ENDS):
            groups[-1].append(word)
        else:
            groups.append([word])
    return [
        Segment(
            group[0].start, group[-1].end, join_words(group), group[0].speaker, group, channel, f"{place}, {index}"
        )
        for index, group in enumerate(groups)
    ]


def check_times(segments: Iterable[Segment], is_in_order: bool) -> None:
    """Raise a `DialogueError` if a segment ends before it starts, or starts before the one that it follows.

    Overlapping segments may be in any order, unless they have the same speaker.
    """
    before: Segment | None = None
    last_of: dict[Any, Segment] = {}
    for segment in segments:
        if segment.start is None:
            continue
        start, end = segment.times
        if max(start, end) > _LONGEST_SECONDS:
            raise DialogueError(
                f"{segment.place}: the cue from {start:g} s to {end:g} s lies past {_LONGEST_SECONDS // 3600} hours; "
                "are these milliseconds?"
            )
        if start < 0 or end < start - TIME_STEP:
            what = f"ends at {_clock(end)}, before it starts" if start >= 0 else "starts before 0"
            raise DialogueError(f"{segment.place}: the cue at {_clock(start)} {what}; correct its times")
        key = segment.extra.get("dialogue_id"), segment.speaker, segment.channel
        own = last_of.get(key)
        if own is not None and start < own.times[0] - TIME_STEP:
            _refuse_backwards(segment, own)
        if is_in_order and before is not None and end <= before.times[0] and start < before.times[0] - TIME_STEP:
            _refuse_backwards(segment, before)
        last_of[key] = before = segment


def _refuse_backwards(segment: Segment, before: Segment) -> None:
    raise DialogueError(
        f"{segment.place}: times run backwards, from {_clock(before.times[0])} to {_clock(segment.times[0])}; "
        "sort the cues by their start, or give each recording a transcript of its own"
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(abs(seconds) * 1000), 60_000)
    sign = "-" if seconds < 0 else ""
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{rest / 1000:06.3f}"
