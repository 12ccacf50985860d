"""Waveforms: the sound of an utterance, at one sampling rate and of one loudness."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from .dialogues import DialogueError, Utterance
from .media import Cut, MediaError, Source, as_source, audio_of, channel_of, cut_of, medium_name
from .media_sound import check_rate, cut_samples, sound_passes
from .optional_imports import import_optional

_FORM = 'a path, bytes, or {"array": (samples,) float, "sampling_rate": Hz}'

# Full scale is 1. Decoders of compressed sound overshoot it, by a factor of less than 2 in music mastered at its
# limit; samples that were never divided by their range are hundreds and thousands.
_LOUDEST = 4.0


@dataclass(frozen=True)
class Waveform:
    """The `audio` of an utterance that was read before: there is nothing left to open and to cut."""

    samples: np.ndarray | None
    """(samples,) float32, or None where there is nothing, or nothing that can be read."""
    sampling_rate: int


def get_waveform(utterance: Utterance, sampling_rate: int) -> np.ndarray | None:
    """Return the waveform `(samples,)` float32 at `sampling_rate`, or None where the utterance has none.

    Without `audio`, the sound track of `video` is taken. `start` and `end` cut files and arrays alike; `channel` says
    which channel of a file is heard.

    Raises:
        MediaError: a recording that cannot be read, or that ends before the cut.
        DialogueError: `audio` is neither a recording nor a mono waveform with its rate, or it is empty, or holds
            NaN or infinity, or floats far beyond -1 to 1.
    """
    (waveform,) = waveforms_of_all([utterance], sampling_rate)
    if isinstance(waveform, DialogueError):
        raise waveform
    return waveform


def waveforms_of_all(
    utterances: Sequence[Utterance], sampling_rate: int
) -> Iterator[np.ndarray | DialogueError | None]:
    """Yield for each utterance what `get_waveform` returns or raises; a recording of many is read once."""
    cuts = [_cut_of(utterance) for utterance in utterances]
    passes = sound_passes([cut for cut in cuts if isinstance(cut, Cut)])
    for utterance, cut in zip(utterances, cuts, strict=True):
        try:
            if isinstance(cut, Cut):
                yield _of_file(cut.source, passes.take(), sampling_rate)
            elif isinstance(cut, MediaError):
                yield cut
            else:
                yield _of_array(utterance, sampling_rate)
        except DialogueError as error:
            yield error


def _cut_of(utterance: Utterance) -> Cut | MediaError | None:
    """The part of a file that an utterance is, or None where its sound is in no file."""
    source = as_source(audio_of(utterance))
    try:
        return None if source is None else Cut(source, *cut_of(utterance), channel_of(utterance))
    except MediaError as error:
        return error


def _of_file(source: Source, found: tuple[np.ndarray, int] | MediaError, sampling_rate: int) -> np.ndarray:
    if isinstance(found, MediaError):
        raise found
    waveform, rate = found
    if (loudest := float(np.abs(waveform).max(initial=0))) > _LOUDEST:
        raise MediaError(f"{medium_name(source)}: {_too_loud(loudest)}")
    return resample(waveform, rate, sampling_rate)


def _of_array(utterance: Utterance, sampling_rate: int) -> np.ndarray | None:
    audio = audio_of(utterance)
    if audio is None:
        return None
    if isinstance(audio, Waveform):
        return audio.samples if audio.samples is None else resample(audio.samples, audio.sampling_rate, sampling_rate)
    start, end = cut_of(utterance)
    if channel := channel_of(utterance):
        raise MediaError(f"'channel' is {channel}, and an array is mono; give the channel's own samples")
    waveform, rate = _samples_and_rate(audio)
    return resample(cut_samples(waveform, rate, start, end), rate, sampling_rate)


def _samples_and_rate(audio: Any) -> tuple[np.ndarray, int]:
    if not isinstance(audio, Mapping) or audio.get("array") is None or audio.get("sampling_rate") is None:
        raise DialogueError(f"'audio' must be {_FORM}, got {audio!r:.60}")
    rate = audio["sampling_rate"]
    if not isinstance(rate, Integral) or isinstance(rate, bool) or rate <= 0:
        raise DialogueError(f"the sampling rate of 'audio' must be an int above 0, got {rate!r}")
    check_rate(int(rate))
    return _as_samples(audio["array"]), int(rate)


def _as_samples(array: Any) -> np.ndarray:
    try:
        numbers = np.asarray(array)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, tensors that numpy cannot see
        numbers = None
    if numbers is None or numbers.dtype.kind not in "iuf":
        raise DialogueError(f"the array of 'audio' must hold numbers, got {array!r:.60}")
    if numbers.ndim != 1:
        raise DialogueError(
            f"the array of 'audio' has shape {numbers.shape}, and a waveform is mono, (samples,); "
            "average its channels first"
        )
    if not numbers.size:
        raise DialogueError("the array of 'audio' is empty; leave the key out where there is no audio")
    waveform = scale_integers(numbers)
    if not np.isfinite(waveform).all():
        where = int(np.flatnonzero(~np.isfinite(waveform))[0])
        raise DialogueError(f"sample {where} of 'audio' is {waveform[where]}")
    if (loudest := float(np.abs(waveform).max())) > _LOUDEST:
        raise DialogueError(f"the array of 'audio': {_too_loud(loudest)}")
    return waveform


def _too_loud(loudest: float) -> str:
    ranges = {2**7: "8-bit", 2**15: "16-bit"}
    divisor, name = next(((size, name) for size, name in ranges.items() if loudest <= size), (2**31, "32-bit"))
    return (
        f"samples reach {loudest:g}, and floats go from -1 to 1; divide them by their range "
        f"({divisor} for {name} samples), or give them as integers"
    )


def scale_integers(samples: np.ndarray) -> np.ndarray:
    """Bring samples (samples,) to float32, integers from -1 to 1 as the decoder of a file does it.

    A type of 8, 16 or (signed) 32 bits says the range. Python's ints, which JSON and lists hold, have no type: from 0
    to 255 around 128 they are 8-bit samples, and else the smallest of 16, 24 and 32 bits that holds them.
    """
    kind, bits = samples.dtype.kind, 8 * samples.dtype.itemsize
    if kind == "f":
        return samples.astype(np.float32)
    if bits >= 32 and samples.dtype != np.int32:
        bits = _bits_of(samples)
        kind = "u" if bits == 8 else "i"
    silence = 2 ** (bits - 1) if kind == "u" else 0
    return ((samples.astype(np.float64) - silence) / 2 ** (bits - 1)).astype(np.float32)


def _bits_of(samples: np.ndarray) -> int:
    """Guess how many bits the samples of an unknown type had."""
    if samples.min(initial=0) >= 0 and samples.max(initial=0) <= 255 and 64 < samples.mean() < 192:
        return 8
    highest = np.abs(samples.astype(np.float64)).max(initial=0)
    return next((bits for bits in (16, 24) if highest <= 2 ** (bits - 1)), 32)


def resample(waveform: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Bring (samples,) from `rate` to `new_rate` Hz; frequencies above the new band are filtered out."""
    if rate == new_rate:
        return waveform
    # It takes long to import, and most audio comes at the right rate.
    signal = import_optional("scipy.signal", None, f"bringing audio of {rate} Hz to {new_rate} Hz")
    divisor = math.gcd(rate, new_rate)
    return signal.resample_poly(waveform, new_rate // divisor, rate // divisor).astype(np.float32)


def normalize_loudness(waveform: np.ndarray) -> np.ndarray:
    """Give a waveform mean 0 and variance 1, as most encoders were trained (`do_normalize` of their extractor)."""
    return ((waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)).astype(np.float32)
