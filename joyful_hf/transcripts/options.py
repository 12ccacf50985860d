"""`TranscriptOptions`: how a transcript is read and put on its recording."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TranscriptOptions:
    """Parameters of `load_transcript`, under the same names; there they are explained."""

    speakers: str | Path | None = None
    channels: Sequence[str | None] | None = None
    openface: str | Path | None = None
    faces: Mapping[str, int] | None = None
    columns: Mapping[str, str] | None = None
    tiers: Sequence[str] | None = None
    merge_gap: float | None = None
    max_seconds: float = 15.0
    encoding: str | None = None
    dialogue_id: str | None = None


DEFAULTS = TranscriptOptions()
