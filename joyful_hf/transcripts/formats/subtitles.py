"""SRT and WebVTT: reads cues with their speakers, and writes them with speaker and emotion.

WebVTT follows https://www.w3.org/TR/webvtt1/. SRT has no specification and is read as players read it.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ...processing.dialogues import DialogueError
from ..rows import Row
from ..segments import Segment, Transcript
from .captions import Cue, timed_words, without_rolling
from .cues import Emotion, emotion_and_text, emotion_words, is_marked, speaker_and_emotion, speakers_of, without_tags

_CLOCK = r"(?:(\d+):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,3}))?"
_TIME_LINE = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?$")
# A line that was meant to be a time line, however it is spelled.
_LIKE_TIME_LINE = re.compile(r"\s*(?:\d[\d:.,]*)?\s*(?:-{1,3}|–|—)>")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?(?:\s+([^>]*))?>", re.I)
_UNDERLINED = re.compile(r"<u>(.*?)</u>", re.I | re.S)
_BLOCK = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")

# The cues of one subtitle, each with another word underlined, follow one another without a longer pause than this.
_KARAOKE_PAUSE = 0.1


def read_subtitles(text: str, path: Path) -> Transcript:
    """Read SRT or WebVTT.

    Raises:
        DialogueError: a time line is malformed; the message names the line.
    """
    is_vtt = text.startswith("WEBVTT")
    cues, repeated = without_rolling(list(_cues(text, path, is_vtt)))
    segments = [segment for cue in cues for segment in _segments_of(cue, is_vtt)]
    segments = [part for segment in _without_karaoke(segments) for part in _by_line(segment)]
    for segment in segments:
        segment.text = without_tags(segment.text or "", known_only=not is_vtt)
        if segment.is_labelled:
            segment.text = segment.text or None
    unnamed = [segment for segment in segments if segment.speaker is None]
    for segment, named in zip(unnamed, speakers_of([segment.text or "" for segment in unnamed]), strict=True):
        segment.speaker, segment.text = named
    left_out = {"repeats of rolling captions": repeated} if repeated else {}
    return Transcript("WebVTT" if is_vtt else "SRT", segments, left_out=left_out)


def _cues(text: str, path: Path, is_vtt: bool) -> Iterator[Cue]:
    """Yield the cues; an empty line inside the text of a cue does not end it unless another cue begins."""
    cue: Cue | None = None
    count, name = 0, ""
    is_block = is_vtt  # the header, up to the first empty line
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if _LIKE_TIME_LINE.match(line):
            if cue is not None:
                yield _without_name(cue, name, is_vtt)
            count += 1
            name = lines[number - 2].strip() if number > 1 else ""
            place = f"{path}, cue {count} (line {number})"
            found = _TIME_LINE.match(line)
            if not found:
                raise DialogueError(
                    f"{place}: {line.strip()!r:.80} is no time line; write 00:01:02.345 --> 00:01:04.500"
                )
            times = found.groups()
            cue, is_block = Cue(_seconds(times[:4]), _seconds(times[4:]), [], place), False
        elif not line.strip():
            is_block = False
            if cue is not None:
                cue.lines.append("")
        elif is_vtt and _BLOCK.match(line) and (number == 1 or not lines[number - 2].strip()):
            is_block = True
        elif not is_block and cue is not None:
            cue.lines.append(line.strip())
    if cue is not None:
        yield cue if is_vtt else _without_name(cue, name, is_vtt)


def _without_name(cue: Cue, name: str, is_vtt: bool) -> Cue:
    """Remove the number or name of the next cue, which follows an empty line.

    In SRT the number of the cue that follows number `name` is known without an empty line, too.
    """
    *lines, last = cue.lines or [""]
    is_after_empty = lines[-1:] == [""] and (is_vtt or last.isdigit())
    is_next_number = lines and not is_vtt and name.isdecimal() and last == str(int(name) + 1)
    return replace(cue, lines=lines) if last and (is_after_empty or is_next_number) else cue


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = parts
    milliseconds = int((fraction or "0").ljust(3, "0"))
    return (int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)) + milliseconds / 1000


def _segments_of(cue: Cue, is_vtt: bool) -> Iterator[Segment]:
    """Yield one segment per voice of a cue, with its tags; several voices speak at once, during the whole cue."""
    text = "\n".join(cue.lines).strip()
    if is_vtt and not _VOICE.search(text) and (words := timed_words(text, cue.start, cue.end)):
        yield Segment(cue.start, cue.end, text, words=words, place=cue.place)
        return
    parts = _VOICE.split(text) if is_vtt else [text]
    before, voices = parts[0], list(zip(parts[1::2], parts[2::2], strict=True))
    if before.strip() or not voices:
        yield _with_emotion(Segment(cue.start, cue.end, before, place=cue.place), is_vtt)
    for name, said in voices:
        speaker = without_tags(name or "") or None
        yield _with_emotion(Segment(cue.start, cue.end, said, speaker, place=cue.place), is_vtt)


def _with_emotion(segment: Segment, is_vtt: bool) -> Segment:
    """Read the emotion that `write_predictions` has written into a segment."""
    text = segment.text or ""
    if segment.speaker is not None:
        found = emotion_and_text(text.replace("</v>", "").strip())
        parts = found and (segment.speaker, *found)
    else:
        parts = speaker_and_emotion(text.strip())
    if parts is None:
        return segment
    name, emotion, said = parts
    return _labelled(segment, without_tags(name, known_only=not is_vtt), emotion, said)


def _labelled(segment: Segment, speaker: str, emotion: Emotion, text: str) -> Segment:
    return replace(segment, speaker=speaker, text=text, is_labelled=True, label=emotion.label)


def _by_line(segment: Segment) -> list[Segment]:
    """Split a segment into its lines if each begins with the mark of a speaker: they speak at once."""
    lines = [line for line in (segment.text or "").split("\n") if line]
    if segment.speaker is not None or len(lines) < 2 or not all(is_marked(line) for line in lines):
        return [segment]
    return [replace(segment, text=line) for line in lines]


def _without_karaoke(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Yield one segment for each subtitle of whisper's `--highlight_words`, which repeats it for each word."""
    last: Segment | None = None
    last_word = -1
    for segment in segments:
        word = _underlined_word(segment.text or "")
        plain = replace(segment, text=_UNDERLINED.sub(r"\1", segment.text or ""))
        is_repeat = (
            last is not None
            and (word is None or word > last_word)
            and (word is not None or last_word >= 0)
            and (last.text, last.speaker) == (plain.text, plain.speaker)
            and plain.times[0] - last.times[1] <= _KARAOKE_PAUSE
        )
        if last is not None and is_repeat:
            last.end = plain.end
        else:
            if last is not None:
                yield last
            last, last_word = plain, -1
        if word is not None:
            last_word = word
    if last is not None:
        yield last


def _underlined_word(text: str) -> int | None:
    """Return the position at which the underlined word begins, or None without one."""
    found = _UNDERLINED.search(text)
    return None if found is None else found.start()


def subtitle_lines(rows: Sequence[Row], is_vtt: bool) -> Iterator[str]:
    """Yield the lines of the file for utterances with times."""
    if is_vtt:
        yield "WEBVTT\n\n"
    for number, row in enumerate(rows, 1):
        start, end = row.times
        emotion = f"[{emotion_words(row.label, row.scores)}]"
        text, speaker = (" ".join((words or "").split()) for words in (row.text, row.speaker))
        if is_vtt:
            said = f"<v {html.escape(speaker, quote=False)}>{html.escape(f'{emotion} {text}'.strip(), quote=False)}"
        else:
            said = f"{_srt_text(speaker)} {emotion}: {_srt_text(text)}".strip()
        yield f"{number}\n{_clock(start, is_vtt)} --> {_clock(end, is_vtt)}\n{said}\n\n"


def _srt_text(text: str) -> str:
    """Escape only what would be read as a tag or an entity: players of SRT show `&` and `<` unchanged."""
    is_plain = without_tags(text, known_only=True) == text and "-->" not in text
    return text if is_plain else html.escape(text, quote=False)


def _clock(seconds: float, is_vtt: bool) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    point = "." if is_vtt else ","
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milliseconds:03}"
