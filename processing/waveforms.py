"""Waveforms: the sound of an utterance, at one sampling rate and of one loudness."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from .dialogues import DialogueError, Utterance
from .media import MediaError, as_source, audio_of, channel_of, cut_of, cut_samples, decode_audio
from .optional_imports import import_optional

_FORM = 'a path, bytes, or {"array": (samples,) float, "sampling_rate": Hz}'


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
            NaN or infinity.
    """
    audio = audio_of(utterance)
    if audio is None:
        return None
    if isinstance(audio, Waveform):
        at_rate = audio.sampling_rate == sampling_rate or audio.samples is None
        return audio.samples if at_rate else resample(audio.samples, audio.sampling_rate, sampling_rate)
    start, end = cut_of(utterance)
    source, channel = as_source(audio), channel_of(utterance)
    if source is None:
        if channel:
            raise MediaError(f"'channel' is {channel}, and an array is mono; give the channel's own samples")
        waveform, rate = _of_array(audio)
        waveform = cut_samples(waveform, rate, start, end)
    else:
        waveform, rate = decode_audio(source, start, end, channel)
    return waveform if rate == sampling_rate else resample(waveform, rate, sampling_rate)


def _of_array(audio: Any) -> tuple[np.ndarray, int]:
    if not isinstance(audio, Mapping) or audio.get("array") is None or audio.get("sampling_rate") is None:
        raise DialogueError(f"'audio' must be {_FORM}, got {audio!r:.60}")
    rate = audio["sampling_rate"]
    if not isinstance(rate, Integral) or isinstance(rate, bool) or rate <= 0:
        raise DialogueError(f"the sampling rate of 'audio' must be an int above 0, got {rate!r}")
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
    waveform = numbers.astype(np.float32)
    if not np.isfinite(waveform).all():
        where = int(np.flatnonzero(~np.isfinite(waveform))[0])
        raise DialogueError(f"sample {where} of 'audio' is {waveform[where]}")
    return waveform


def resample(waveform: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Bring (samples,) from `rate` to `new_rate` Hz; frequencies above the new band are filtered out."""
    # It takes long to import, and most audio comes at the right rate.
    signal = import_optional("scipy.signal", None, f"bringing audio of {rate} Hz to {new_rate} Hz")
    divisor = math.gcd(rate, new_rate)
    return signal.resample_poly(waveform, new_rate // divisor, rate // divisor).astype(np.float32)


def normalize_loudness(waveform: np.ndarray) -> np.ndarray:
    """Give a waveform mean 0 and variance 1, as most encoders were trained (`do_normalize` of their extractor)."""
    return ((waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)).astype(np.float32)
