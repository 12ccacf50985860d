"""The sound of recordings, decoded: all of it, or the cuts of many utterances."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .media import Cut, MediaError, Source, check_cut
from .media_files import MediaFile, Passes, check_decodable, is_far, load_av

# Channels whose average is quieter than the loudest of them by this factor cancel each other. Channels that have
# nothing in common lose a factor of 0.7, and one silent channel of two 0.5.
_CANCELLED = 0.2

# Seconds by which the times of frames may be off: Matroska's are whole milliseconds.
_JITTER = 0.002

LEAST_RATE, MOST_RATE = 2000, 768_000
"""Sampling rates in Hz that a recording can have: a header that says otherwise is damaged, or made to do damage."""

# Samples of one utterance in all channels: 46 minutes of one channel at 48 kHz, and 512 MiB before they are joined.
_MOST_SAMPLES = 1 << 27
# Seconds of one utterance: at a low rate many samples are made of few.
_MOST_SECONDS = 3 * 3600


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
    found = sound_passes([Cut(source, start, end, channel)]).take()
    if isinstance(found, MediaError):
        raise found
    return found


def sound_passes(cuts: Sequence[Cut]) -> Passes:
    """Return the passes whose `take` gives the waveform (samples,) of each cut and its rate, or its MediaError."""
    return Passes(cuts, _walk)


def check_rate(rate: int) -> None:
    """Raise a MediaError if no recording has this sampling rate, in Hz."""
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise MediaError(f"a sampling rate of {rate} Hz, expected one from {LEAST_RATE} to {MOST_RATE} Hz")


def _walk(file: MediaFile, cuts: Sequence[Cut]) -> Iterator[tuple[np.ndarray, int] | MediaError]:
    if not file.container.streams.audio:
        raise MediaError("there is no sound track")
    stream = file.container.streams.audio[0]
    check_decodable(stream)
    check_rate(stream.sample_rate)
    track = _Track(file, stream)
    for cut in cuts:
        try:
            found: tuple[np.ndarray, int] | MediaError = track.cut(cut), stream.sample_rate
        except MediaError as error:
            found = error
        yield found


class _Track:
    """A sound track that is decoded from the first cut on, and forgotten behind the start of the cut at hand."""

    def __init__(self, file: MediaFile, stream: Any) -> None:
        self._file, self._stream = file, stream
        self._to_floats = load_av().AudioResampler(format="fltp")
        self._channels = stream.codec_context.layout.nb_channels
        self._frames: Iterator[tuple[float | None, Any]] | None = None
        self._pieces: deque[tuple[float, np.ndarray]] = deque()
        self._position = 0.0
        """The second up to which the track is decoded."""
        self._is_heard = self._is_over = False

    def cut(self, cut: Cut) -> np.ndarray:
        """Return the waveform (samples,) of a cut. Raises a MediaError if it cannot be heard."""
        if cut.channel is not None and cut.channel >= self._channels:
            raise MediaError(f"'channel' is {cut.channel}, counted from 0, and there are {self._channels}")
        self._go_to(cut.start)
        while not self._is_over and (cut.end is None or self._position < cut.end):
            self._decode(cut.start)
        if self._is_over and (self._is_heard or cut.start == 0) and (cut.end is None or cut.end > self._position):
            self._file.refuse_broken_off(self._stream, self._position if self._is_heard else 0.0)
        own = [piece for piece in self._pieces if cut.end is None or piece[0] < cut.end]
        if not own:
            self._refuse_silence(cut)
        samples = [piece if cut.channel is None else piece[cut.channel : cut.channel + 1] for _, piece in own]
        return cut_samples(_as_mono(samples), self._stream.sample_rate, cut.start, cut.end, own[0][0])

    def _go_to(self, start: float) -> None:
        if self._frames is None or (is_far(start, self._position) and not self._is_over):
            self._pieces.clear()
            self._is_heard, self._position = False, 0.0
            self._frames = self._file.frames(self._stream, start)
        while self._pieces and self._end_of(self._pieces[0]) <= start:
            self._pieces.popleft()

    def _end_of(self, piece: tuple[float, np.ndarray]) -> float:
        return piece[0] + piece[1].shape[1] / self._stream.sample_rate

    def _decode(self, start: float) -> None:
        """Decode one frame, and keep it unless it ends before `start`."""
        assert self._frames is not None, "a cut has begun"
        try:
            seconds, frame = next(self._frames, (None, None))
        except load_av().FFmpegError:
            if self._file.container.format.name == "wav":  # before FFmpeg 8 half a sample, at the end, is an error
                self._file.refuse_broken_off(self._stream, self._position)
            raise
        if frame is None:
            self._is_over = True
            return
        if seconds is not None and not (self._is_heard and abs(seconds - self._position) < _JITTER):
            self._position = seconds
        self._is_heard = True
        for part in self._to_floats.resample(frame):
            piece = self._position, part.to_ndarray()
            self._position = self._end_of(piece)
            if self._position > start:
                self._pieces.append(piece)
        longest = min(_MOST_SAMPLES / self._channels / self._stream.sample_rate, _MOST_SECONDS)
        if self._position - start > longest:
            raise MediaError(
                f"is longer than the {longest / 60:.0f} minutes that one utterance may have at its sampling rate; "
                "`start` and `end` cut out a part of it"
            )

    def _refuse_silence(self, cut: Cut) -> None:
        if self._is_over and not self._is_heard and cut.start == 0:
            raise MediaError("the sound track is empty")
        check_cut(cut.start, cut.end, max(self._file.seconds, self._position))
        raise MediaError(f"there is no sound from 'start' ({cut.start:g} s) on")


def _as_mono(pieces: list[np.ndarray]) -> np.ndarray:
    """Join pieces (channels, samples) and mix their channels to (samples,) float32."""
    channels = np.concatenate(pieces, axis=1).astype(np.float32, copy=False)
    if len(channels) == 1:
        return channels[0]
    mixed = channels.mean(axis=0)
    loudness = np.array([_loudness(channel) for channel in channels])
    if _loudness(mixed) < _CANCELLED * loudness.max():
        return channels[loudness.argmax()].copy()
    return mixed


def _loudness(samples: np.ndarray) -> float:
    """Return the root mean square of samples (samples,), of which no copy is made: they may be hours."""
    return float(np.sqrt(np.einsum("i,i->", samples, samples, dtype=np.float64, casting="safe") / len(samples)))


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
