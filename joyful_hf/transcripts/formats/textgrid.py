"""Praat's TextGrid, long and short: reads interval tiers as speakers; writes two tiers per speaker, with emotions.

The layout follows Praat's manual, page "TextGrid file formats": only free-standing texts, numbers and flags count, so
that the long and the short form are read in the same way.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...processing.dialogues import DialogueError
from ..rows import Row
from ..segments import Segment, Transcript, Word, check_times, segments_of_words
from .tiers import EMOTION, Tier, label_words, refuse_unknown_tiers, speaker_tiers

_TOKEN = re.compile(
    r'"(?P<text>(?:[^"]|"")*)"'
    r"|(?<!\S)(?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?!\S)"
    r"|(?<!\S)(?P<flag><\w+>)(?!\S)"
    r"|(?<!\S)![^\n]*"
)
# Names of the tiers of forced aligners: `words` and `Ana - phones` of MFA, `ORT-MAU`, `KAN-MAU` and `MAU` of WebMAUS.
_ALIGNED = re.compile(r"(?:(?P<speaker>.+?) - )?(?:(?P<words>words?|ORT-MAU)|phones?|KAN-MAU|MAU)", re.I)


def read_textgrid(text: str, path: Path, tiers: Sequence[str] | None = None) -> Transcript:
    """Read a TextGrid; each interval tier is a speaker with the name of the tier.

    Tiers of points and of phones are left out. A tier of words is read only if its speaker has no tier of utterances.

    Args:
        tiers: names of the tiers to read instead.

    Raises:
        DialogueError: the file ends early (the message says where), is not a TextGrid, or lacks one of `tiers`.
    """
    found, points = _tiers_of(_Tokens(text, path), path)
    notes = [f"tiers of points are not read: {', '.join(points)}"] if points else []
    if tiers is not None:
        refuse_unknown_tiers(tiers, [tier.name for tier in found], path)
        found = [tier for tier in found if tier.name in tiers]
    segments: list[Segment] = []
    aligned = {tier.name: _ALIGNED.fullmatch(tier.name) if tiers is None else None for tier in found}
    speakers = {tier.name for tier in found if not aligned[tier.name]}
    for tier in found:
        kind = aligned[tier.name]
        if kind is None:
            segments += tier.utterances()
        elif kind["words"] and (kind["speaker"] not in speakers if kind["speaker"] else not speakers):
            words = [Word(each.text, *each.times, kind["speaker"]) for each in tier.segments if each.text]
            segments += segments_of_words(words, f"{path}, tier {tier.name!r}")
        else:
            notes.append(f"tier {tier.name!r} is not read; name it in `tiers` if it should be")
    segments.sort(key=lambda segment: segment.times)
    return Transcript("TextGrid", segments, merge_gap=0.0, is_in_order=False, notes=notes)


class _Tokens:
    """The free-standing texts, numbers and flags of a file, one after the other."""

    def __init__(self, text: str, path: Path) -> None:
        self._found = (match for match in _TOKEN.finditer(text) if match.lastgroup)
        self._path = path

    def take(self, kind: str, place: str) -> str:
        """Return the next token.

        Raises:
            DialogueError: it is of another kind, or there is none.
        """
        match = next(self._found, None)
        if match is None:
            raise DialogueError(f"{self._path}, {place}: the file ends here; it is truncated, save it again in Praat")
        if match.lastgroup != kind:
            raise DialogueError(f"{self._path}, {place}: expected a {kind}, found {match[0]!r:.60}")
        return match[kind].replace('""', '"') if kind == "text" else match[kind]

    def seconds(self, place: str) -> float:
        return float(self.take("number", place))

    def count(self, place: str) -> int:
        return int(float(self.take("number", place)))


def _tiers_of(tokens: _Tokens, path: Path) -> tuple[list[Tier], list[str]]:
    """Return the interval tiers, each together with its tier of emotions, and the names of point tiers."""
    for word in ("ooTextFile", "TextGrid"):
        if tokens.take("text", "header").removesuffix(" short") != word:
            raise DialogueError(f"{path}, header: no TextGrid; in Praat use 'Save as text file...' for the TextGrid")
    tokens.seconds("header")
    tokens.seconds("header")
    if tokens.take("flag", "header") != "<exists>":
        return [], []
    tiers: list[Tier] = []
    points: list[str] = []
    for number in range(1, tokens.count("header") + 1):
        kind, name = tokens.take("text", f"tier {number}"), tokens.take("text", f"tier {number}")
        place = f"tier {name!r}"
        tokens.seconds(place)
        tokens.seconds(place)
        segments = []
        for index in range(1, tokens.count(place) + 1):
            where = f"{place}, interval {index}"
            if kind == "TextTier":
                tokens.seconds(where)
                tokens.take("text", where)
                continue
            start, end = tokens.seconds(where), tokens.seconds(where)
            segments.append(Segment(start, end, tokens.take("text", where), name, place=f"{path}, {where}"))
        last = tiers[-1] if tiers else None
        if kind == "TextTier":
            points.append(repr(name))
        elif last is not None and last.emotions is None and name == EMOTION + last.name:
            last.emotions = {segment.times: segment.text or "" for segment in segments}
        else:
            tiers.append(Tier(name, segments))
    for tier in tiers:
        check_times(tier.segments, is_in_order=True)
        if tier.emotions is None:  # silence is an interval too, but not a cue
            tier.segments = [segment for segment in tier.segments if segment.text]
    return tiers, points


def textgrid_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the file for utterances with times, in the long form."""
    tiers = speaker_tiers(rows)
    end = max(row.times[1] for row in rows)
    yield f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = {end:.3f} \n'
    yield f"tiers? <exists> \nsize = {2 * len(tiers)} \nitem []: \n"
    for number, (speaker, own) in enumerate(tiers):
        # To Praat a space is text: so the interval of an utterance without words is not taken for silence.
        texts = [(*row.times, " ".join((row.text or "").split()) or " ") for row in own]
        emotions = [(*row.times, label_words(row.label)) for row in own]
        yield from _tier_lines(2 * number + 1, speaker, texts, end)
        yield from _tier_lines(2 * number + 2, EMOTION + speaker, emotions, end)


def _tier_lines(number: int, name: str, filled: Sequence[tuple[float, float, str]], end: float) -> Iterator[str]:
    intervals: list[tuple[float, float, str]] = []
    for start, stop, text in filled:
        before = intervals[-1][1] if intervals else 0.0
        if start > before:
            intervals.append((before, start, ""))
        intervals.append((start, stop, text))
    if intervals[-1][1] < end:
        intervals.append((intervals[-1][1], end, ""))
    yield f'    item [{number}]:\n        class = "IntervalTier" \n        name = {_quoted(name)} \n'
    yield f"        xmin = 0 \n        xmax = {end:.3f} \n        intervals: size = {len(intervals)} \n"
    for index, (start, stop, text) in enumerate(intervals, 1):
        yield f"        intervals [{index}]:\n            xmin = {start:.3f} \n            xmax = {stop:.3f} \n"
        yield f"            text = {_quoted(text)} \n"


def _quoted(text: str) -> str:
    escaped = text.replace('"', '""')
    return f'"{escaped}"'
