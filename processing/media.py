"""The media of an utterance: where its sound and its pictures are, and which part of a recording is its own."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from .dialogues import DialogueError, Utterance

# Seconds by which a cut may end after its file: transcripts and containers round differently.
END_TOLERANCE = 0.5

Source = Path | bytes


class MediaError(DialogueError):
    """The medium of one utterance cannot be read. The message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Cut:
    """A part of a recording, from `start` to `end` seconds."""

    source: Source
    start: float = 0.0
    end: float | None = None
    channel: int | None = None
    """The channel that is heard, counted from 0; None for all of them."""


def get_medium(utterance: Utterance, key: str) -> Any | None:
    """Return the `audio` or `video` of an utterance, or None where there is none: an empty path names nothing."""
    medium = utterance.get(key)
    if isinstance(medium, str) and not medium.strip():
        return None
    if isinstance(medium, Mapping) and medium.keys() & {"bytes", "path"} and medium.get("array") is None:
        return medium if medium.get("bytes") is not None or medium.get("path") else None
    return medium


def as_source(medium: Any) -> Source | None:
    """Return the path or the bytes of a medium, or None where it is neither.

    `datasets` holds undecoded media as {"bytes", "path"}; bytes go first, as there.
    """
    if isinstance(medium, Mapping) and medium.keys() & {"bytes", "path"} and medium.get("array") is None:
        medium = medium.get("path") if medium.get("bytes") is None else medium["bytes"]
    if isinstance(medium, bytes | bytearray | memoryview):
        return bytes(medium)
    return _as_path(medium) if isinstance(medium, str | os.PathLike) else None


def _as_path(path: str | os.PathLike[str]) -> Path:
    """Return a path; one that Windows wrote is tried with slashes where there is no such file."""
    given = Path(path)
    if "\\" in str(path) and not given.exists():
        slashed = Path(str(path).replace("\\", "/"))
        return slashed if slashed.exists() else given
    return given


def medium_name(medium: Any) -> str:
    """Return how messages call a medium: by its path where it has one."""
    source = as_source(medium)
    if isinstance(source, Path):
        return str(source)
    return "the array given" if source is None else "the bytes given"


def audio_of(utterance: Utterance) -> Any | None:
    """Return the medium that holds the sound of an utterance: its `audio`, or else its `video` with a sound track."""
    audio, video = get_medium(utterance, "audio"), get_medium(utterance, "video")
    if audio is not None:
        return audio
    return None if as_source(video) is None or is_table(video) else video


def is_table(medium: Any) -> bool:
    """Whether a `video` is a CSV file: the output of OpenFace instead of the video itself."""
    source = as_source(medium)
    return isinstance(source, Path) and source.suffix.lower() == ".csv"


def cut_of(utterance: Utterance) -> tuple[float, float | None]:
    """Return `start` and `end` of an utterance in its recording, in seconds; by default the whole recording.

    Raises:
        MediaError: they are not numbers of seconds, or `end` is not after `start`.
    """
    for key in ("start", "end"):
        value = utterance.get(key)
        is_seconds = isinstance(value, Real) and not isinstance(value, bool) and 0 <= value < math.inf
        if value is not None and not is_seconds:
            raise MediaError(f"'{key}' must be a number of seconds of at least 0, got {value!r:.60}")
    start, end = float(utterance.get("start") or 0), utterance.get("end")
    if end is not None and end <= start:
        raise MediaError(f"'end' ({end:g} s) is not after 'start' ({start:g} s)")
    return start, None if end is None else float(end)


def channel_of(utterance: Utterance) -> int | None:
    """Return the channel of the recording on which an utterance is heard, counted from 0; None for all of them.

    Raises:
        MediaError: `channel` is not a number of a channel.
    """
    channel = utterance.get("channel")
    if channel is None:
        return None
    if not isinstance(channel, Integral) or isinstance(channel, bool) or channel < 0:
        raise MediaError(f"'channel' must be the number of a channel, counted from 0, got {channel!r:.60}")
    return int(channel)


def check_cut(start: float, end: float | None, duration: float) -> None:
    """Raise a MediaError unless the cut lies in a recording of this duration, all in seconds."""
    if start >= duration:
        raise MediaError(f"'start' ({start:g} s) is past the end of the recording ({duration:.2f} s)")
    if end is not None and end > duration + END_TOLERANCE:
        raise MediaError(f"'end' ({end:g} s) is past the end of the recording ({duration:.2f} s)")
