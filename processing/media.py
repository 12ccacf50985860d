"""Decode recordings: a file, its bytes, or an array -> the sound or the pictures of one utterance."""

import io
import math
import os
import struct
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

# Share of the duration in the header that may be missing, beside a quarter of a second: encoders drop the end of their
# last frame.
_MISSING_SHARE, _MISSING_SECONDS = 0.03, 0.25
# Formats whose header says how long the recording is. Of others (mp3, aac, amr) it is guessed from the rate.
_TELLING_FORMATS = {"wav", "w64", "aiff", "au", "caf", "flac", "mov", "mp4", "matroska", "webm", "avi", "asf", "flv"}

# Channels whose average is quieter than the loudest of them by this factor cancel each other. Channels that have
# nothing in common lose a factor of 0.7, and one silent channel of two 0.5.
_CANCELLED = 0.2

# Seconds before a cut at which decoding starts: the first frames after a jump are not exact.
_PREROLL = 0.5
_MICROSECONDS = 1_000_000
_WAV_HEADER = 1 << 16
# What programs write that send a WAV file through a pipe.
_UNKNOWN_SIZE = 0x7FFF0000

Source = Path | bytes


class MediaError(DialogueError):
    """The medium of one utterance cannot be read. The message names the file and what is wrong with it."""


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


def decode_audio(
    source: Source, start: float = 0.0, end: float | None = None, channel: int | None = None
) -> tuple[np.ndarray, int]:
    """Decode the sound of a recording from `start` to `end` seconds: (samples,) float32, mono, and its rate in Hz.

    Channels are averaged, or the loudest one is taken where they would cancel each other, unless `channel` says which
    one is heard, counted from 0.

    Raises:
        MediaError: a file that is missing, empty or unreadable, that has no sound track or no such channel, that
            breaks off before its end, or that ends before the cut.
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
            pieces += [part if channel is None else part[channel : channel + 1] for part in parts]
        else:
            heard = sum(piece.shape[-1] for piece in pieces) / stream.sample_rate
            until = first + heard if pieces else 0.0
            if (pieces or start == 0) and (end is None or end > until):
                _refuse_broken_off(source, container, stream, until)
        rate = stream.sample_rate
        if not pieces and start == 0:
            raise MediaError("the sound track is empty")
        waveform = _as_mono(pieces) if pieces else np.zeros(0, np.float32)
        return cut_samples(waveform, rate, start, end, first), rate


def _as_mono(pieces: list[np.ndarray]) -> np.ndarray:
    """Join pieces (channels, samples) and mix their channels to (samples,) float32."""
    channels = np.concatenate(pieces, axis=1).astype(np.float32)
    mixed = channels.mean(axis=0)
    if len(channels) > 1:
        loudness = np.sqrt((channels**2).mean(axis=1, dtype=np.float64))
        if np.sqrt((mixed**2).mean(dtype=np.float64)) < _CANCELLED * loudness.max():
            return channels[loudness.argmax()].copy()
    return mixed


def _refuse_broken_off(source: Source, container: Any, stream: Any, end: float) -> None:
    """Raise a MediaError if a stream that ends after so many seconds is shorter than the file says that it is."""
    if not _TELLING_FORMATS & set(container.format.name.split(",")):
        return
    whole, of_stream = _declared_duration(source, container, stream)
    if whole is None or not _is_short(end, whole):
        return
    if not of_stream:  # the header tells of the longest stream: is there another that goes on?
        container.seek(0)
        end = max([end, *_packet_ends(container, None)])
    if _is_short(end, whole):
        raise MediaError(f"breaks off after {end:.2f} of {whole:.2f} s")


def _is_short(end: float, whole: float) -> bool:
    return whole - end > max(_MISSING_SECONDS, _MISSING_SHARE * whole)


def _declared_duration(source: Source, container: Any, stream: Any) -> tuple[float | None, bool]:
    """Return the duration in the header in seconds, if there is one, and whether it is that of the stream itself."""
    if container.format.name == "wav":  # FFmpeg says what is left of it
        return _declared_duration_of_wav(source), True
    if stream.duration is not None:
        return float(stream.duration * stream.time_base), True
    return (None if container.duration is None else container.duration / _MICROSECONDS), False


def _declared_duration_of_wav(source: Source) -> float | None:
    """Return the duration that the header of a WAV file tells; None where it was written before the end was known."""
    head = source[:_WAV_HEADER] if isinstance(source, bytes) else _first_bytes(source)
    position, bytes_per_second = 12, 0
    while head[:4] == b"RIFF" and position + 8 <= len(head):
        name, (size,) = head[position : position + 4], struct.unpack_from("<I", head, position + 4)
        if name == b"fmt " and position + 20 <= len(head):
            (bytes_per_second,) = struct.unpack_from("<I", head, position + 16)
        if name == b"data":
            return size / bytes_per_second if bytes_per_second and 0 < size < _UNKNOWN_SIZE else None
        position += 8 + size + size % 2
    return None


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_WAV_HEADER)


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
        MediaError: a file that is missing, empty or unreadable, that has no pictures, that breaks off before its
            end, or that ends before the cut.
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
        shown, shown_until = None, 0.0
        for seconds, frame in _decoded(container, stream, start):
            while shown is not None and len(chosen) < num_frames and seconds > wanted[len(chosen)]:
                chosen.append(shown)
            if len(chosen) == num_frames:
                break
            shown, shown_until = frame, seconds + float((frame.duration or 0) * (frame.time_base or 0))
        if shown is None:
            raise MediaError("there are no pictures")
        if len(chosen) < num_frames and wanted[-1] > shown_until:
            _refuse_broken_off(source, container, stream, shown_until)
        chosen += [shown] * (num_frames - len(chosen))
        convert = import_optional("av.video.reformatter", "media", "decoding video").VideoReformatter().reformat
        form = {"width": chosen[0].width, "height": chosen[0].height, "format": "rgb24"}
        return np.stack([_upright(convert(frame, **form).to_ndarray(), frame) for frame in chosen])


def _upright(picture: np.ndarray, frame: Any) -> np.ndarray:
    """Turn and mirror a picture (height, width, 3) as the display matrix of its frame says."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    # A point (x, y) of the picture, from the top left, is shown at (a x + c y, b x + d y).
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    if abs(a) + abs(d) < abs(b) + abs(c):
        picture, a, d = picture.transpose(1, 0, 2), c, b
    return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


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
        windows = "; its backslashes are those of a path on Windows" if "\\" in str(source) else ""
        raise MediaError(f"there is no such file{windows}")
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
    ends = _packet_ends(container, stream)
    container.seek(0)
    return max(ends, default=0.0)


def _packet_ends(container: Any, stream: Any | None) -> list[float]:
    """Return where the packets of a stream, or of all streams, end, in seconds since the beginning."""
    return [
        float((packet.pts + (packet.duration or 0)) * packet.time_base) - _origin(container)
        for packet in (container.demux() if stream is None else container.demux(stream))
        if packet.pts is not None
    ]
