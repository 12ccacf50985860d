"""A report on the cues of a transcript, so that nothing is left out silently."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class TranscriptReport:
    """Counts for one transcript; `str` formats them as text."""

    path: Path
    format: str
    """Name of the format, such as "WebVTT"."""
    cues: int = 0
    """Cues, segments, intervals or rows in the file."""
    utterances: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Cues that became no utterance, by reason."""
    merged: int = 0
    """Segments that were joined to the one before."""
    split: int = 0
    """Segments that were split because their words change speaker."""
    unknown_speakers: int = 0
    """Utterances whose speaker is `unknown`."""
    notes: list[str] = field(default_factory=list)
    """Notes on guesses and choices, such as the encoding or the tiers."""

    def left_out_words(self) -> str:
        """Describe what was left out."""
        return ", ".join(f"{count} {reason}" for reason, count in self.left_out.most_common()) or "nothing"

    def __str__(self) -> str:
        lines = [
            f"{self.path} ({self.format}): {_counted(self.cues, 'cue')}, {_counted(self.utterances, 'utterance')}"
        ]
        if self.left_out:
            lines.append(f"left out: {self.left_out_words()}")
        if self.merged:
            lines.append(f"joined to the segment before: {self.merged}")
        if self.split:
            lines.append(f"split where the speaker changes: {self.split}")
        if self.unknown_speakers:
            lines.append(f"of an unknown speaker: {_counted(self.unknown_speakers, 'utterance')}")
        return "\n  ".join(lines + self.notes)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
