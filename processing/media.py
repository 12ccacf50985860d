"""Decode recordings: a file, its bytes, or an array -> the sound or the pictures of one utterance."""

import io
import math
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from .dialogues import DialogueError, Utterance
from .optional_imports import import_optional

# Seconds by which a cut may end after its file: transcripts and containers round differently.
END_TOLERANCE = 0.5

# Seconds before a cut at which decoding starts: the first frames after a jump are not exact.
_PREROLL = 0.5
_MICROSECONDS = 1_000_000

Source = Path | bytes


class MediaError(DialogueError):
    """The medium of one utterance cannot be read. The message names the file and what is wrong with it."""


def as_source(medium: Any) -> Source | None:
    """Return the path or the bytes of a medium, or None where it is neither.

    `datasets` holds undecoded media as {"bytes", "path"}; bytes go first, as there.
    """
    if isinstance(medium, Mapping) and medium.keys() & {"bytes", "path"} and medium.get("array") is None:
        medium = medium.get("path") if medium.get("bytes") is None else medium["bytes"]
    if isinstance(medium, bytes | bytearray | memoryview):
        return bytes(medium)
    return Path(medium) if isinstance(medium, str | os.PathLike) else None


def medium_name(medium: Any) -> str:
    """Return how messages call a medium: by its path where it has one."""
    source = as_source(medium)
    if isinstance(source, Path):
        return str(source)
    return "the array given" if source is None else "the bytes given"


def audio_of(utterance: Utterance) -> Any | None:
    """Return the medium that holds the sound of an utterance: its `audio`, or else its `video` with a sound track."""
    audio, video = utterance.get("audio"), utterance.get("video")
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


def decode_audio(
    source: Source, start: float = 0.0, end: float | None = None, channel: int | None = None
) -> tuple[np.ndarray, int]:
    """Decode the sound of a recording from `start` to `end` seconds: (samples,) float32, mono, and its rate in Hz.

    Channels are averaged, unless `channel` says which one is heard, counted from 0.

    Raises:
        MediaError: a file that is missing, empty or unreadable, that has no sound track or no such channel, or that
            ends before the cut.
        ImportError: PyAV is not installed.
    """
    with _opened(source) as container:
        if not container.streams.audio:
            raise MediaError("there is no sound track")
        stream = container.streams.audio[0]
        channels = stream.codec_context.layout.nb_channels
        if channel is not None and channel >= channels:
            raise MediaError(f"'channel' is {channel}, counted from 0, and there are {channels}")
        to_floats = _av().AudioResampler(format="fltp")
        pieces: list[np.ndarray] = []
        first = (container.duration or 0) / _MICROSECONDS  # where there is nothing after the cut's start
        for seconds, frame in _decoded(container, stream, start):
            if end is not None and seconds >= end:
                break
            first = first if pieces else seconds
            parts = [part.to_ndarray() for part in to_floats.resample(frame)]
            pieces += [part.mean(axis=0) if channel is None else part[channel] for part in parts]
        rate = stream.sample_rate
        if not pieces and start == 0:
            raise MediaError("the sound track is empty")
        waveform = np.concatenate(pieces).astype(np.float32) if pieces else np.zeros(0, np.float32)
        return cut_samples(waveform, rate, start, end, first), rate


def cut_samples(waveform: np.ndarray, rate: int, start: float, end: float | None, first: float = 0.0) -> np.ndarray:
    """Cut out the samples from `start` to `end` seconds of a waveform (samples,) that begins at `first` seconds.

    Raises:
        MediaError: the waveform ends before the cut.
    """
    if start == 0 and end is None:
        return waveform
    check_cut(start, end, first + len(waveform) / rate)
    last = None if end is None else max(0, round((end - first) * rate))
    cut = waveform[max(0, round((start - first) * rate)) : last]
    if not cut.size:
        raise MediaError(f"there is no sound from 'start' ({start:g} s) on")
    return cut


def decode_frames(source: Source, num_frames: int, start: float = 0.0, end: float | None = None) -> np.ndarray:
    """Decode pictures of a video, spread evenly from `start` to `end` seconds: (num_frames, height, width, 3) uint8.

    They are RGB and upright, and each is the one seen in the middle of its part of the time; a video of fewer pictures
    repeats them.

    Raises:
        MediaError: a file that is missing, empty or unreadable, that has no pictures, or that ends before the cut.
        ImportError: PyAV is not installed.
    """
    with _opened(source) as container:
        if not container.streams.video:
            raise MediaError("there are no pictures")
        stream = container.streams.video[0]
        stream.thread_type = "NONE"  # starting threads takes longer than most clips; several processes do better
        duration = _duration(container, stream)
        if start > 0 or end is not None:
            check_cut(start, end, duration)
        last = duration if end is None else min(end, duration)
        wanted = start + (np.arange(num_frames) + 0.5) / num_frames * (last - start)
        chosen: list[Any] = []
        shown = None
        for seconds, frame in _decoded(container, stream, start):
            while shown is not None and len(chosen) < num_frames and seconds > wanted[len(chosen)]:
                chosen.append(shown)
            if len(chosen) == num_frames:
                break
            shown = frame
        if shown is None:
            raise MediaError("there are no pictures")
        chosen += [shown] * (num_frames - len(chosen))
        convert = import_optional("av.video.reformatter", "media", "decoding video").VideoReformatter().reformat
        form = {"width": chosen[0].width, "height": chosen[0].height, "format": "rgb24"}
        return np.stack([np.rot90(convert(frame, **form).to_ndarray(), frame.rotation // 90) for frame in chosen])


def get_pictures(utterance: Utterance, num_frames: int) -> np.ndarray:
    """Return pictures spread evenly over the `video` of an utterance: (num_frames, height, width, 3) uint8.

    `start` and `end` cut a file; an array belongs to the utterance as a whole.

    Raises:
        MediaError: `video` is neither a recording that can be read nor (frames, height, width, 3) uint8.
    """
    video = utterance["video"]
    source = as_source(video)
    if source is not None:
        return decode_frames(source, num_frames, *cut_of(utterance))
    try:
        frames = np.asarray(video)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, tensors that numpy cannot see
        frames = np.zeros(0, object)
    if frames.dtype.kind not in "iu" or frames.ndim != 4 or frames.shape[-1] != 3:
        raise MediaError(
            "'video' must be a path, bytes, or (frames, height, width, 3) uint8, "
            f"got {f'an array of shape {frames.shape}' if frames.size else repr(video)[:60]}"
        )
    if not frames.size:
        raise MediaError("'video' is empty; leave the key out where there is no video")
    if frames.min() < 0 or frames.max() > 255:
        raise MediaError(f"'video' must hold numbers from 0 to 255, got {frames.min()} to {frames.max()}")
    chosen = ((np.arange(num_frames) + 0.5) / num_frames * len(frames)).astype(int)
    return frames[chosen].astype(np.uint8)


def _av() -> Any:
    return import_optional("av", "media", "decoding audio and video")


@contextmanager
def _opened(source: Source) -> Generator[Any, None, None]:
    """Open a recording; whatever goes wrong with it is a MediaError that begins with its name."""
    av = _av()
    name = medium_name(source)
    try:
        # Local files only: a playlist could name addresses. `file:` lets names have colons.
        options = {"protocol_whitelist": "file"}
        with av.open(_openable(source), options=options) as container:
            yield container
    except av.FFmpegError as error:
        raise MediaError(f"{name}: cannot be decoded ({error.strerror or type(error).__name__})") from None
    except MediaError as error:
        raise MediaError(f"{name}: {error}") from None
    except (OSError, ValueError, ArithmeticError) as error:
        raise MediaError(f"{name}: cannot be decoded ({error or type(error).__name__})") from None


def _openable(source: Source) -> Any:
    if isinstance(source, bytes):
        if not source:
            raise MediaError("are empty")
        return io.BytesIO(source)
    if not source.exists():
        raise MediaError("there is no such file")
    if not source.is_file():
        raise MediaError("is no file")
    if not source.stat().st_size:
        raise MediaError("the file is empty")
    return f"file:{source}"


def _decoded(container: Any, stream: Any, start: float) -> Iterator[tuple[float, Any]]:
    """Yield the frames of a stream from before `start` on, each after its time in seconds since the beginning."""
    origin = _origin(container)
    if start > _PREROLL:
        container.seek(round((start - _PREROLL + origin) * _MICROSECONDS))
    seconds = 0.0
    for frame in container.decode(stream):
        seconds = seconds if frame.time is None else frame.time - origin
        yield seconds, frame


def _origin(container: Any) -> float:
    return (container.start_time or 0) / _MICROSECONDS


def _duration(container: Any, stream: Any) -> float:
    """Return the duration of a video in seconds, read from its packets where its header does not tell."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return container.duration / _MICROSECONDS
    ends = [
        float((packet.pts + (packet.duration or 0)) * packet.time_base)
        for packet in container.demux(stream)
        if packet.pts is not None
    ]
    container.seek(0)
    return max(ends, default=0.0) - _origin(container)
