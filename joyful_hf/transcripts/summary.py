"""`summary_table`: a summary of predictions in a few lines of text."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from ..processing.dialogues import Dialogue
from .rows import Row, make_rows

_MOST_MOMENTS = 5
_MOST_LABELS = 8
_TEXT_WIDTH = 48


def summary_table(predictions: Dialogue | Iterable[Dialogue], moments: int = _MOST_MOMENTS) -> str:
    """Summarise predictions as plain text: a row per speaker, and the strongest moments.

    Emotions are counted by utterances; with several at once, their shares add up to more than 100 %. Values of a
    regression have their means instead. The strongest moments are the utterances with the highest scores, or the
    values farthest from 0, among all labels but the most frequent one.

    Args:
        predictions: the output of `model.predict` or the pipeline.
        moments: the largest number of moments to show.
    """
    rows = make_rows(predictions)
    parts = ["\n".join(_aligned(_speaker_lines(rows)))]
    strongest = _strongest(rows, moments)
    if strongest:
        parts.append("\n".join(["strongest moments:", *_aligned([_moment(row, rows) for row in strongest])]))
    unread = sum(row.label is None for row in rows)
    if unread:
        parts.append(f"nothing could be read: {unread} of {len(rows)} utterances")
    return "\n\n".join(parts)


def _labels_of(row: Row) -> list[Any]:
    if row.label is None:
        return []
    if isinstance(row.label, dict):
        return []
    return row.label if isinstance(row.label, list) else [row.label]


def _values_of(row: Row) -> dict[str, float]:
    """The values of a row by name, a single one under the name `mean`."""
    if isinstance(row.label, dict):
        return row.label
    return {"mean": row.label} if isinstance(row.label, float) else {}


def _speaker_lines(rows: Sequence[Row]) -> list[list[str]]:
    values = list(dict.fromkeys(name for row in rows for name in _values_of(row)))
    values = values if values == ["mean"] else sorted(values)
    counts: dict[Any, int] = defaultdict(int)
    for row in rows:
        for label in _labels_of(row):
            counts[label] += 1
    labels = [] if values else sorted(counts, key=lambda label: -counts[label])
    shown, rest = labels[:_MOST_LABELS], labels[_MOST_LABELS:]
    by_speaker: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_speaker[row.speaker].append(row)
    is_timed = any(row.end is not None for row in rows)
    head = ["speaker", *(["minutes"] if is_timed else []), "utterances"]
    lines = [[*head, *(values or map(str, shown)), *(["other"] if rest else [])]]
    for speaker, own in by_speaker.items():
        seconds = sum((row.end or 0.0) - (row.start or 0.0) for row in own if row.end is not None)
        read = [row for row in own if row.label is not None]
        line = [speaker, *([f"{seconds / 60:.1f}"] if is_timed else []), str(len(own))]
        for name in values:
            known = [given[name] for row in read if name in (given := _values_of(row))]
            line.append(f"{sum(known) / len(known):+.2f}" if known else "")
        if not values:
            line += [_share(sum(label in _labels_of(row) for row in read), len(read)) for label in shown]
            line += [_share(sum(any(each in rest for each in _labels_of(row)) for row in read), len(read))] * bool(
                rest
            )
        lines.append(line)
    return lines


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.0f} %" if of else ""


def _strength(row: Row) -> float:
    return max(map(abs, _values_of(row).values()), default=row.score or 0.0)


def _strongest(rows: Sequence[Row], count: int) -> list[Row]:
    """Return the utterances with the strongest emotions; those with only the most frequent label do not count."""
    counts: dict[Any, int] = defaultdict(int)
    for row in rows:
        for label in _labels_of(row):
            counts[label] += isinstance(label, str)
    usual = max(counts, key=counts.__getitem__) if len(counts) > 1 and any(counts.values()) else None
    special = [
        row
        for row in rows
        if _strength(row) > 0 and any(label != usual for label in [*_labels_of(row), *_values_of(row)])
    ]
    return sorted(special, key=lambda row: -_strength(row))[:count]


def _moment(row: Row, rows: Sequence[Row]) -> list[str]:
    text = " ".join((row.text or "").split())
    text = text if len(text) <= _TEXT_WIDTH else f"{text[: _TEXT_WIDTH - 1]}…"
    place = _clock(row.start) if row.start is not None else f"utterance {row.index}"
    if len({each.dialogue_id for each in rows}) > 1:
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
