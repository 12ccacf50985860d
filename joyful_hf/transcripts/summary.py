"""`summary_table`: a summary of predictions in a few lines of text."""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..processing.dialogues import Dialogue
from .rows import Row, iterate_rows

_MOST_MOMENTS = 5
_MOST_LABELS = 8
_TEXT_WIDTH = 48
_MOST_SPEAKERS = 100
_OTHERS = "(others)"


def summary_table(predictions: Dialogue | Iterable[Dialogue], moments: int = _MOST_MOMENTS) -> str:
    """Summarise predictions as plain text: a row per speaker, and the strongest moments.

    Emotions are counted by utterances; with several at once, their shares add up to more than 100 %. Values of a
    regression have their means instead. The strongest moments are the utterances with the highest scores, or the
    values farthest from 0, among all labels but the most frequent one. Where there are very many speakers, those that
    come last share a row.

    Args:
        predictions: the output of `model.predict` or the pipeline.
        moments: the largest number of moments to show.
    """
    summary = _Summary(moments)
    for row in iterate_rows(predictions):
        summary.add(row)
    parts = ["\n".join(_aligned(summary.speaker_lines()))]
    if strongest := summary.strongest():
        several = summary.num_dialogues > 1
        parts.append("\n".join(["strongest moments:", *_aligned([_moment(row, several) for row in strongest])]))
    if summary.unread:
        parts.append(f"nothing could be read: {summary.unread} of {summary.num_rows} utterances")
    return "\n\n".join(parts)


@dataclass
class _Speaker:
    """The counts of one speaker."""

    utterances: int = 0
    read: int = 0
    seconds: float = 0.0
    labels: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Utterances that have exactly these labels."""
    values: dict[str, list[float]] = field(default_factory=dict)
    """Name -> sum and number of its values."""


class _Summary:
    """The counts of all utterances, in memory that does not grow with their number."""

    def __init__(self, moments: int) -> None:
        self.num_rows = self.num_dialogues = self.unread = 0
        self._last_dialogue: str | None = None
        self._speakers: dict[str, _Speaker] = {}
        self._is_timed = False
        self._counts: Counter[str] = Counter()
        self._value_names: dict[str, None] = {}
        self._moments = moments
        self._strongest: dict[str, list[tuple[float, int, Row]]] = {}
        """Label, or name of a value -> the utterances that have it most strongly, as a heap."""

    def add(self, row: Row) -> None:
        """Count an utterance."""
        self.num_rows += 1
        self.num_dialogues += row.dialogue_id != self._last_dialogue
        self._last_dialogue = row.dialogue_id
        self.unread += row.label is None
        self._is_timed |= row.end is not None
        named = row.speaker if row.speaker in self._speakers or len(self._speakers) < _MOST_SPEAKERS else _OTHERS
        speaker = self._speakers.setdefault(named, _Speaker())
        labels, values = _labels_of(row), _values_of(row)
        speaker.utterances += 1
        speaker.read += row.label is not None
        if row.end is not None:
            speaker.seconds += row.end - (row.start or 0.0)
        if not values:
            speaker.labels[tuple(labels)] += 1
        self._counts.update(labels)
        self._value_names |= dict.fromkeys(values)
        for name, value in values.items():
            total = speaker.values.setdefault(name, [0.0, 0])
            total[0] += value
            total[1] += 1
        if self._moments and (strength := _strength(row)) > 0:
            for name in {*labels, *values}:
                heap = self._strongest.setdefault(name, [])
                push = heapq.heappush if len(heap) < self._moments else heapq.heappushpop
                push(heap, (strength, -self.num_rows, row))

    def speaker_lines(self) -> list[list[str]]:
        """Return the cells of the table of speakers."""
        names = list(self._value_names)
        names = names if names == ["mean"] else sorted(names)
        labels = [] if names else sorted(self._counts, key=lambda label: -self._counts[label])
        shown, rest = labels[:_MOST_LABELS], set(labels[_MOST_LABELS:])
        head = ["speaker", *(["minutes"] if self._is_timed else []), "utterances"]
        lines = [[*head, *(names or shown), *(["other"] if rest else [])]]
        for name, own in self._speakers.items():
            line = [name, *([f"{own.seconds / 60:.1f}"] if self._is_timed else []), str(own.utterances)]
            for value in names:
                total, count = own.values.get(value, (0.0, 0))
                line.append(f"{total / count:+.2f}" if count else "")
            if not names:
                line += [_share(own.labels, {label}, own.read) for label in shown]
                line += [_share(own.labels, rest, own.read)] * bool(rest)
            lines.append(line)
        return lines

    def strongest(self) -> list[Row]:
        """Return the utterances with the strongest emotions; those with only the most frequent label do not count."""
        usual = max(self._counts, key=self._counts.__getitem__) if len(self._counts) > 1 else None
        found = {
            order: (strength, row)
            for name, heap in self._strongest.items()
            if name != usual
            for strength, order, row in heap
        }
        ordered = sorted(found.items(), key=lambda moment: (-moment[1][0], -moment[0]))
        return [row for _, (_, row) in ordered[: self._moments]]


def _labels_of(row: Row) -> list[str]:
    labels = row.label if isinstance(row.label, list) else [row.label]
    return [label for label in labels if isinstance(label, str)]


def _values_of(row: Row) -> dict[str, float]:
    """The values of a row by name, a single one under the name `mean`."""
    if isinstance(row.label, dict):
        return row.label
    return {"mean": row.label} if isinstance(row.label, float) else {}


def _share(counts: Counter[tuple[str, ...]], labels: set[str], of: int) -> str:
    """Return the share of the utterances that have any of these labels."""
    count = sum(number for own, number in counts.items() if not labels.isdisjoint(own))
    return f"{100 * count / of:.0f} %" if of else ""


def _strength(row: Row) -> float:
    return max(map(abs, _values_of(row).values()), default=row.score or 0.0)


def _moment(row: Row, of_several: bool) -> list[str]:
    text = " ".join((row.text or "").split())
    text = text if len(text) <= _TEXT_WIDTH else f"{text[: _TEXT_WIDTH - 1]}…"
    place = _clock(row.start) if row.start is not None else f"utterance {row.index}"
    if of_several:
        place = f"{row.dialogue_id}, {place}"
    if isinstance(row.label, float):
        return [place, row.speaker, f"{row.label:+.2f}", text]
    if isinstance(row.label, dict):
        return [place, row.speaker, ", ".join(f"{name} {value:+.2f}" for name, value in row.label.items()), text]
    return [place, row.speaker, f"{' + '.join(map(str, _labels_of(row)))} {100 * _strength(row):.0f} %", text]


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Align lines in columns, numbers to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    numbers = [
        all(line[column][:1].isdigit() or line[column][:1] in "+-" for line in lines[1:])
        for column in range(len(widths))
    ]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if is_number and column else cell.ljust(width)
            for column, (cell, width, is_number) in enumerate(zip(line, widths, numbers, strict=True))
        ).rstrip()
        for line in lines
    ]
