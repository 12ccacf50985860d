"""Segments, as tools write them, turned into utterances: split by speaker, named, sorted and joined."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, groupby

from .formats.cues import is_speech
from .report import TranscriptReport
from .segments import TIME_STEP, Segment, Transcript, Word, join_texts, join_words

UNKNOWN_SPEAKER = "unknown"

# Words of another speaker inside a segment count as a change of speaker only from this length on, as the speakers
# that diarization finds can flicker.
_LEAST_SPLIT_SECONDS = 1.0
_LEAST_SPLIT_WORDS = 2


def make_utterances(
    transcript: Transcript,
    report: TranscriptReport,
    turns: Sequence[Segment] | None = None,
    merge_gap: float | None = None,
    max_seconds: float = 15.0,
) -> list[Segment]:
    """Turn the segments of a transcript into the utterances of a dialogue.

    Args:
        report: updated in place.
        turns: who spoke when; they name the speakers, whatever the transcript says.
        merge_gap: neighbouring segments of one speaker with a shorter pause are joined; defaults to the
            value for the format.
        max_seconds: segments are not joined into utterances longer than this.

    Returns:
        The utterances in the order of their starts.
    """
    report.cues += len(transcript.segments) + sum(transcript.left_out.values())
    report.left_out.update(transcript.left_out)
    report.notes += transcript.notes
    spoken = [segment for segment in transcript.segments if _is_kept(segment, report)]
    if turns is not None:
        known_turns = _Turns(turns)
        spoken = [_with_turns(segment, known_turns) for segment in spoken]
    pieces = [piece for segment in spoken for piece in _split(segment, report)]
    pieces = [_with_milliseconds(replace(piece, speaker=piece.speaker or UNKNOWN_SPEAKER)) for piece in pieces]
    if all(piece.start is not None for piece in pieces):
        dialogues = list(dict.fromkeys(piece.extra.get("dialogue_id") for piece in pieces))
        pieces.sort(key=lambda piece: (dialogues.index(piece.extra.get("dialogue_id")), piece.times[0]))
        gap = transcript.merge_gap if merge_gap is None else merge_gap
        pieces = list(_merged(pieces, gap, max_seconds, report))
    report.utterances += len(pieces)
    report.unknown_speakers += sum(piece.speaker == UNKNOWN_SPEAKER for piece in pieces)
    return pieces


def _is_kept(segment: Segment, report: TranscriptReport) -> bool:
    """Return whether a segment is speech; count it if not. In a turn without words `text` is None, not empty."""
    if segment.is_labelled or segment.start is None:
        return True
    start, end = segment.times
    if segment.text is not None and not segment.text.strip():
        report.left_out["empty"] += 1
    elif segment.text is not None and not is_speech(segment.text):
        report.left_out["without speech, such as [music]"] += 1
    elif end - start < TIME_STEP:
        report.left_out["without a duration"] += 1
    else:
        return True
    return False


def _with_milliseconds(segment: Segment) -> Segment:
    if segment.start is None:
        return segment
    start, end = segment.times
    return replace(segment, start=round(start, 3), end=round(end, 3))


# Who speaks


class _Turns:
    """The turns of all speakers, for many look-ups."""

    def __init__(self, turns: Sequence[Segment]) -> None:
        self._turns = sorted(turns, key=lambda turn: turn.times)
        self._starts = [turn.times[0] for turn in self._turns]
        # The latest end of all turns up to and including each one: none of them reaches beyond it.
        self._ends = list(accumulate((turn.times[1] for turn in self._turns), max))

    def speaker_of(self, start: float, end: float) -> str | None:
        """Return the speaker whose turns overlap this time span most, or None."""
        overlaps: dict[str, float] = {}
        index = bisect_left(self._starts, end) - 1
        while index >= 0 and self._ends[index] > start:
            turn = self._turns[index]
            overlap = min(end, turn.times[1]) - max(start, turn.times[0])
            if overlap > 0 and turn.speaker is not None:
                overlaps[turn.speaker] = overlaps.get(turn.speaker, 0) + overlap
            index -= 1
        return max(overlaps, key=overlaps.__getitem__) if overlaps else None


def _with_turns(segment: Segment, turns: _Turns) -> Segment:
    """Assign to the segment, and to each of its words, the speaker whose turns overlap it most."""
    words = with_word_times(segment)
    for word in words:
        word.speaker = turns.speaker_of(word.start or 0.0, word.end or 0.0)
    return replace(segment, speaker=turns.speaker_of(*segment.times), words=words)


def with_word_times(segment: Segment) -> list[Word]:
    """Return the words of a segment; those without times are spread evenly between their neighbours."""
    words = [replace(word) for word in segment.words]
    known_end, segment_end = segment.times
    index = 0
    while index < len(words):
        last = index
        while last < len(words) and (words[last].start is None or words[last].end is None):
            last += 1
        if last == index:
            known_end = words[index].end or 0.0
            index += 1
            continue
        next_start = words[last].start if last < len(words) else segment_end
        step = max(0.0, (next_start or 0.0) - known_end) / (last - index)
        for position, word in enumerate(words[index:last]):
            word.start, word.end = known_end + position * step, known_end + (position + 1) * step
        index = last
    return words


# Splitting


def _split(segment: Segment, report: TranscriptReport) -> list[Segment]:
    """Split a segment where the speaker of its words changes."""
    speakers = {word.speaker for word in segment.words if word.speaker is not None}
    if not speakers or segment.is_labelled:
        return [segment]
    words = with_word_times(segment)
    runs = _runs_of_speakers(words)
    if len(runs) == 1:
        return [replace(segment, speaker=segment.speaker or runs[0][0].speaker)]
    report.split += 1
    texts = _texts_of(segment.text or "", runs)
    start, end = segment.times
    starts = [start, *(run[0].start for run in runs[1:])]
    ends = [*(run[-1].end for run in runs[:-1]), end]
    return [
        replace(segment, start=run_start, end=run_end, text=text, speaker=run[0].speaker, words=run)
        for run, run_start, run_end, text in zip(runs, starts, ends, texts, strict=True)
    ]


def _runs_of_speakers(words: list[Word]) -> list[list[Word]]:
    """Group words by speaker; groups too short to be trusted are given to a neighbour.

    A word without a speaker is given to the speaker of the word before it, or after it at the beginning.
    """
    speaker = next(word.speaker for word in words if word.speaker is not None)
    for word in words:
        speaker = word.speaker = word.speaker or speaker
    while True:
        runs = [list(run) for _, run in groupby(words, key=lambda word: word.speaker)]
        short = [index for index, run in enumerate(runs) if _is_short(run)]
        if len(runs) == 1 or not short:
            return runs
        index = min(short, key=lambda index: _seconds(runs[index]))
        neighbours = [runs[other] for other in (index - 1, index + 1) if 0 <= other < len(runs)]
        nearest = max(neighbours, key=_seconds)
        for word in runs[index]:
            word.speaker = nearest[0].speaker


def _is_short(run: list[Word]) -> bool:
    return len(run) < _LEAST_SPLIT_WORDS or _seconds(run) < _LEAST_SPLIT_SECONDS - TIME_STEP


def _seconds(run: list[Word]) -> float:
    return (run[-1].end or 0.0) - (run[0].start or 0.0)


def _texts_of(text: str, runs: list[list[Word]]) -> list[str]:
    """Cut the text of a segment before each run; if it lacks some of the words, join the words of each run instead."""
    cuts, cursor = [0], 0
    for run in runs:
        for position, word in enumerate(run):
            found = text.find(word.text.strip(), cursor)
            if found < 0:
                return [join_words(run) for run in runs]
            if position == 0 and run is not runs[0]:
                cuts.append(found)
            cursor = found + len(word.text.strip())
    return [text[start:end].strip() for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]


# Joining


def _merged(
    segments: Iterable[Segment], merge_gap: float, max_seconds: float, report: TranscriptReport
) -> Iterator[Segment]:
    """Join neighbouring segments of the same speaker; a segment with a label stays unchanged."""
    last: Segment | None = None
    for segment in segments:
        if last is not None and _belong_together(last, segment, merge_gap, max_seconds):
            report.merged += 1
            text = join_texts(text for text in (last.text, segment.text) if text) or None
            end = max(last.times[1], segment.times[1])
            last = replace(last, end=end, text=text, words=[*last.words, *segment.words])
            continue
        if last is not None:
            yield last
        last = segment
    if last is not None:
        yield last


def _belong_together(last: Segment, segment: Segment, merge_gap: float, max_seconds: float) -> bool:
    if last.is_labelled or segment.is_labelled:
        return False
    if (last.speaker, last.channel, last.extra) != (segment.speaker, segment.channel, segment.extra):
        return False
    start, end = segment.times
    gap = start - last.times[1]
    return gap < merge_gap - TIME_STEP and max(end, last.times[1]) - last.times[0] <= max_seconds + TIME_STEP
