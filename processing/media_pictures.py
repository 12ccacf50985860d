"""The pictures of recordings, decoded: some of each utterance, spread evenly over its time."""

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, Self

import numpy as np

from .dialogues import Utterance
from .media import END_TOLERANCE, Cut, MediaError, Source, as_source, check_cut, cut_of
from .media_files import MOST_POINTS, MediaFile, Passes, check_decodable, is_far
from .optional_imports import import_optional

# Starting threads takes longer than most clips, where several processes do better; a whole meeting is another matter.
_CUTS_FOR_THREADS = 20


def decode_frames(source: Source, num_frames: int, start: float = 0.0, end: float | None = None) -> np.ndarray:
    """Decode pictures of a video, spread evenly from `start` to `end` seconds: (num_frames, height, width, 3) uint8.

    They are RGB and upright, and each is the one seen in the middle of its part of the time; a video of fewer pictures
    repeats them.

    Raises:
        MediaError: a file that is missing, empty or unreadable, that has no pictures, that breaks off before its
            end, or that ends before the cut.
        ImportError: PyAV is not installed.
    """
    found = _passes([Cut(source, start, end)], num_frames).take()
    if isinstance(found, MediaError):
        raise found
    return found


def _passes(cuts: Sequence[Cut], num_frames: int) -> Passes:
    return Passes(cuts, partial(_walk, num_frames=num_frames))


@dataclass
class _Shot:
    """The pictures of one cut, as they are found."""

    wanted: np.ndarray
    """Seconds (num_frames,)."""
    frames: list[Any] = field(default_factory=list)
    error: MediaError | None = None

    @classmethod
    def of(cls, cut: Cut, duration: float, num_frames: int) -> Self:
        """Make the shot of a cut of a video of so many seconds."""
        try:
            if cut.start > 0 or cut.end is not None:
                check_cut(cut.start, cut.end, duration)
        except MediaError as error:
            return cls(np.zeros(0), error=error)
        last = duration if cut.end is None else min(cut.end, duration)
        return cls(cut.start + (np.arange(num_frames) + 0.5) / num_frames * (last - cut.start))

    @property
    def is_done(self) -> bool:
        return self.error is not None or len(self.frames) == len(self.wanted)


def _walk(file: MediaFile, cuts: Sequence[Cut], num_frames: int) -> Iterator[np.ndarray | MediaError]:
    """Yield the pictures of each cut. Cuts may overlap: a picture goes to all that want it."""
    if not file.container.streams.video:
        raise MediaError("there are no pictures")
    stream = file.container.streams.video[0]
    check_decodable(stream)
    stream.thread_type = "AUTO" if len(cuts) >= _CUTS_FOR_THREADS else "NONE"
    _check_size(stream.codec_context)
    latest = max(max(cut.start, (cut.end or 0.0) - END_TOLERANCE) for cut in cuts)
    duration = file.duration_of(stream, needed=latest)
    shots = deque(_Shot.of(cut, duration, num_frames) for cut in cuts)
    times = sorted(((time, shot) for shot in shots for time in shot.wanted), key=itemgetter(0))
    convert = import_optional("av.video.reformatter", "media", "decoding video").VideoReformatter().reformat
    reel = _Reel(file, stream)
    for time, shot in times:
        try:
            shot.frames.append(reel.seen_at(time))
        except MediaError as error:
            shot.error = error
        while shots and shots[0].is_done:
            yield _finished(shots.popleft(), convert)
    yield from (_finished(shot, convert) for shot in shots)


def _finished(shot: _Shot, convert: Any) -> np.ndarray | MediaError:
    """Bring frames to RGB, to the size of the first one, and upright: (frames, height, width, 3) uint8."""
    if shot.error is not None:
        return shot.error
    frames, shot.frames = shot.frames, []  # pictures that were passed on take no more memory
    form = {"width": frames[0].width, "height": frames[0].height, "format": "rgb24"}
    pictures = (_upright(convert(frame, **form).to_ndarray(), frame) for frame in frames)
    first = next(pictures)
    found = np.empty((len(frames), *first.shape), np.uint8)  # one copy: they may be large
    for index, picture in enumerate(chain([first], pictures)):
        found[index] = picture
    return found


class _Reel:
    """The pictures of a video, one after the other."""

    def __init__(self, file: MediaFile, stream: Any) -> None:
        self._file, self._stream = file, stream
        self._frames: Iterator[tuple[float | None, Any]] | None = None
        self._shown: tuple[float, Any] | None = None
        self._next: tuple[float, Any] | None = None

    def seen_at(self, seconds: float) -> Any:
        """Return the frame that is seen at a time, which is not before that of the last call.

        Raises:
            MediaError: there are no pictures, or they break off before.
        """
        if self._frames is None or (self._next is not None and is_far(seconds, self._next[0])):
            self._frames = self._file.frames(self._stream, seconds)
            self._shown = self._next = None
            self._advance()
        while self._next is not None and (self._shown is None or self._next[0] <= seconds):
            self._advance()
        if self._shown is None:
            raise MediaError("there are no pictures")
        begins, frame = self._shown
        ends = begins + float((frame.duration or 0) * (frame.time_base or 0))
        if self._next is None and seconds > ends:
            self._file.refuse_broken_off(self._stream, ends)
        return frame

    def _advance(self) -> None:
        assert self._frames is not None, "a pass has begun"
        seconds, frame = next(self._frames, (None, None))
        self._shown, self._next = self._next, None
        if frame is not None:
            _check_size(frame)
            before = 0.0 if self._shown is None else self._shown[0]
            self._next = before if seconds is None else seconds, frame


def _check_size(picture: Any) -> None:
    if picture.width * picture.height > MOST_POINTS:
        raise MediaError(
            f"pictures of {picture.width} x {picture.height} points, and {MOST_POINTS} points are the most"
        )


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
    (pictures,) = pictures_of_all([utterance], num_frames)
    if isinstance(pictures, MediaError):
        raise pictures
    return pictures


def pictures_of_all(utterances: Sequence[Utterance], num_frames: int) -> Iterator[np.ndarray | MediaError]:
    """Yield for each utterance what `get_pictures` returns or raises; a recording of many is read once."""
    cuts = [_cut_of(utterance) for utterance in utterances]
    passes = _passes([cut for cut in cuts if isinstance(cut, Cut)], num_frames)
    for utterance, cut in zip(utterances, cuts, strict=True):
        if isinstance(cut, Cut):
            yield passes.take()
        elif isinstance(cut, MediaError):
            yield cut
        else:
            yield _of_array(utterance["video"], num_frames)


def _cut_of(utterance: Utterance) -> Cut | MediaError | None:
    """The part of a file that an utterance is, or None where its `video` is an array."""
    source = as_source(utterance["video"])
    try:
        return None if source is None else Cut(source, *cut_of(utterance))
    except MediaError as error:
        return error


def _of_array(video: Any, num_frames: int) -> np.ndarray | MediaError:
    try:
        frames = np.asarray(video)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, tensors that numpy cannot see
        frames = np.zeros(0, object)
    if frames.dtype.kind not in "iu" or frames.ndim != 4 or frames.shape[-1] != 3:
        return MediaError(
            "'video' must be a path, bytes, or (frames, height, width, 3) uint8, "
            f"got {f'an array of shape {frames.shape}' if frames.size else repr(video)[:60]}"
        )
    if not frames.size:
        return MediaError("'video' is empty; leave the key out where there is no video")
    if frames.min() < 0 or frames.max() > 255:
        return MediaError(f"'video' must hold numbers from 0 to 255, got {frames.min()} to {frames.max()}")
    chosen = ((np.arange(num_frames) + 0.5) / num_frames * len(frames)).astype(int)
    return frames[chosen].astype(np.uint8)
