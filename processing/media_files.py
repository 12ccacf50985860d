"""Media files: opened once, and read from their beginning to their end however many utterances are cut out of them."""

import io
import struct
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .media import Cut, MediaError, Source, medium_name
from .optional_imports import import_optional

MICROSECONDS = 1_000_000

# Share of the duration in the header that may be missing, beside a quarter of a second: encoders drop the end of their
# last frame.
_MISSING_SHARE, _MISSING_SECONDS = 0.03, 0.25
# Formats whose header says how long the recording is. Of others (mp3, aac, amr) it is guessed from the rate.
_TELLING_FORMATS = {"wav", "w64", "aiff", "au", "caf", "flac", "mov", "mp4", "matroska", "webm", "avi", "asf", "flv"}

# Seconds before a cut at which decoding starts: the first frames after a jump are not exact.
_PREROLL = 0.5
# Seconds between two cuts that are rather jumped over than decoded.
_LONG_PAUSE = 30.0
_WAV_HEADER = 1 << 16
# What programs write that send a WAV file through a pipe.
_UNKNOWN_SIZE = 0x7FFF0000

_MOST_OPEN_FILES = 16

# Formats of recordings. Others are lists of files to be played (hls, dash, concat), which could name any file of the
# machine, or numbered pictures, devices and filters.
_FORMATS = """
wav,w64,aiff,au,caf,flac,ogg,mp3,aac,loas,ac3,eac3,wv,amr,amrnb,amrwb,ape,tta,tak,dts,dtshd,gsm,g722,sln,voc,sox,ircam,
nistsphere,qcp,spdif,mov,matroska,avi,asf,flv,live_flv,mpeg,mpegts,mpegvideo,mxf,gxf,rm,nut,ivf,obu,h264,hevc,h263,m4v,
mjpeg,dv,wtv,nsv,dss,iff,lc3,apng,gif
"""
MOST_POINTS = 20_000_000
"""Points of the largest picture: 5K has 15 million, and eight such pictures take 480 MB."""

Walk = Callable[["MediaFile", Sequence[Cut]], Iterator[Any]]
"""Yields one result per cut, or the MediaError of that cut. No cut starts before the one in front of it."""


def load_av() -> Any:
    """Import PyAV."""
    return import_optional("av", "media", "decoding audio and video")


class MediaFile:
    """An open recording."""

    def __init__(self, source: Source, container: Any) -> None:
        self.source = source
        self.container = container
        self._last_end: dict[int, float] = {}

    @property
    def origin(self) -> float:
        """The second at which the file says that it begins."""
        return (self.container.start_time or 0) / MICROSECONDS

    @property
    def seconds(self) -> float:
        """The duration in the header, or 0."""
        return (self.container.duration or 0) / MICROSECONDS

    def frames(self, stream: Any, start: float) -> Iterator[tuple[float | None, Any]]:
        """Yield the frames of a stream from before `start` on, each after its time in seconds since the beginning.

        The time is None where the file does not tell.
        """
        if start > _PREROLL:
            self.container.seek(round((start - _PREROLL + self.origin) * MICROSECONDS))
        for frame in self.container.decode(stream):
            yield None if frame.time is None else frame.time - self.origin, frame

    def duration_of(self, stream: Any, needed: float) -> float:
        """Return the second at which a stream ends.

        It is read from the packets where the header does not tell, or tells of less than is needed: the headers of
        MP4 files whose pictures come at uneven times can be too short.
        """
        found = self.seconds
        if stream.duration is not None:
            starts_late = float((stream.start_time or 0) * stream.time_base) - self.origin
            found = float(stream.duration * stream.time_base) + max(0.0, starts_late)
        if found and needed <= found:
            return found
        ends = self._packet_ends(stream)
        self.container.seek(0)
        return max([found, *ends])

    def refuse_broken_off(self, stream: Any, end: float) -> None:
        """Raise a MediaError if a stream that ends after so many seconds is shorter than the file says that it is."""
        if not _TELLING_FORMATS & set(self.container.format.name.split(",")):
            return
        whole, of_stream = self._declared_duration(stream)
        if whole is None or not _is_short(end, whole):
            return
        if not of_stream:  # the header tells of the longest stream: is there another that goes on?
            if stream.index not in self._last_end:
                self.container.seek(0)
                self._last_end[stream.index] = max([end, *self._packet_ends(None)])
            end = self._last_end[stream.index]
        if _is_short(end, whole):
            raise MediaError(f"breaks off after {end:.2f} of {whole:.2f} s")

    def _declared_duration(self, stream: Any) -> tuple[float | None, bool]:
        """Return the duration in the header in seconds, if there is one, and whether it is the stream's own."""
        if self.container.format.name == "wav":  # FFmpeg says what is left of it
            return _declared_duration_of_wav(self.source), True
        if stream.duration is not None:
            return float(stream.duration * stream.time_base), True
        return (None if self.container.duration is None else self.seconds), False

    def _packet_ends(self, stream: Any | None) -> list[float]:
        """Return where the packets of a stream, or of all streams, end, in seconds since the beginning."""
        return [
            float((packet.pts + (packet.duration or 0)) * packet.time_base) - self.origin
            for packet in (self.container.demux() if stream is None else self.container.demux(stream))
            if packet.pts is not None
        ]


def reason_of(error: Any) -> str:
    """Return what an error of FFmpeg says is wrong with a file."""
    if isinstance(error, MemoryError):  # FFmpeg never asks the system for more than 2 GiB
        return "it is damaged, and asks for more memory than any recording needs"
    return error.strerror or type(error).__name__


def check_decodable(stream: Any) -> None:
    """Raise a MediaError if nobody knows how a stream is coded, as in a damaged file."""
    if stream.codec_context is None:
        what = "sound" if stream.type == "audio" else "pictures"
        raise MediaError(f"its {what} cannot be decoded: the codec is unknown")


def is_far(start: float, position: float) -> bool:
    """Return whether it is better to jump to `start` than to decode on from `position`, both in seconds."""
    return start - position > _LONG_PAUSE


@contextmanager
def opened(source: Source) -> Generator[MediaFile, None, None]:
    """Open a recording; whatever goes wrong with it is a MediaError that begins with its name."""
    av = load_av()
    name = medium_name(source)
    try:
        with open_container(_openable(source)) as container:
            yield MediaFile(source, container)
    except av.FFmpegError as error:
        raise MediaError(f"{name}: cannot be decoded ({reason_of(error)})") from None
    except MediaError as error:
        raise MediaError(f"{name}: {error}") from None
    except (OSError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise MediaError(f"{name}: cannot be decoded ({error or type(error).__name__})") from None


def open_container(file: Any) -> Any:
    """Open a recording with PyAV: its bytes to read, or its path after `file:`, with which a path may have colons.

    Nothing but this file is opened, whatever is in it, and no picture of more than `MOST_POINTS` is decoded.
    """
    formats = "".join(_FORMATS.split())
    options = {"protocol_whitelist": "file", "format_whitelist": formats, "max_pixels": str(MOST_POINTS)}
    return load_av().open(file, options=options)


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


class Passes:
    """Cuts of recordings in the order of a dialogue, where the cuts of one file are read in one pass over it.

    Only a cut that starts before the one in front of it, in the same file, begins another pass.

    Args:
        cuts: all cuts, in the order in which `take` will be called.
        walk: reads the cuts of one pass.
    """

    def __init__(self, cuts: Sequence[Cut], walk: Walk) -> None:
        self._walk = walk
        self._open: OrderedDict[int, _Pass] = OrderedDict()
        last: dict[Path, _Pass] = {}
        self._passes: list[_Pass] = []
        for cut in cuts:
            own = last.get(cut.source) if isinstance(cut.source, Path) else None
            if own is None or cut.start < own.cuts[-1].start:
                own = _Pass(cut.source, [])
                if isinstance(cut.source, Path):
                    last[cut.source] = own
            own.cuts.append(cut)
            self._passes.append(own)
        self._passes.reverse()

    def take(self) -> Any:
        """Return the result of the next cut, or its MediaError."""
        own = self._passes.pop()
        self._open[id(own)] = own
        self._open.move_to_end(id(own))
        if len(self._open) > _MOST_OPEN_FILES:
            self._open.popitem(last=False)[1].pause()
        if own.results is None:
            own.results = _results(own.source, own.cuts[own.taken :], self._walk)
        result = next(own.results)
        own.taken += 1
        if own.taken == len(own.cuts):
            own.pause()
            del self._open[id(own)]
        return result


@dataclass
class _Pass:
    source: Source
    cuts: list[Cut]
    taken: int = 0
    results: Generator[Any, None, None] | None = None

    def pause(self) -> None:
        """Close the file; the rest of the cuts is read when it is opened again."""
        if self.results is not None:
            self.results.close()
        self.results = None


def _results(source: Source, cuts: Sequence[Cut], walk: Walk) -> Generator[Any, None, None]:
    """Walk through a file; where it cannot be decoded, the cut at hand fails, and a new walk begins behind it."""
    done = 0
    while done < len(cuts):
        try:
            with opened(source) as file:
                for result in walk(file, cuts[done:]):
                    is_bad = isinstance(result, MediaError)
                    yield MediaError(f"{medium_name(source)}: {result}") if is_bad else result
                    done += 1
        except MediaError as error:
            yield error
            done += 1


def _is_short(end: float, whole: float) -> bool:
    return whole - end > max(_MISSING_SECONDS, _MISSING_SHARE * whole)


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
