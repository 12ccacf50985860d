"""Waveforms: what an utterance's `audio` holds, at one sampling rate, of limited length, of one loudness."""

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

from .dialogues import DialogueError, Utterance

_FORM = '{"array": (samples,) float, "sampling_rate": Hz}'


def get_waveform(utterance: Utterance, sampling_rate: int, place: str) -> np.ndarray | None:
    """The waveform `(samples,)` float32 at `sampling_rate`, or None where the utterance has none.

    Raises:
        DialogueError: `audio` is no mono waveform with its sampling rate, or is empty, or holds NaN or infinity.
    """
    audio = utterance.get("audio")
    if audio is None:
        return None
    if isinstance(audio, str | bytes) or hasattr(audio, "__fspath__"):
        raise DialogueError(
            f"{place}: 'audio' is {'bytes' if isinstance(audio, bytes) else 'a path'}, and this processor does not "
            f"decode files; give {_FORM}"
        )
    if not isinstance(audio, Mapping) or audio.get("array") is None or audio.get("sampling_rate") is None:
        raise DialogueError(f"{place}: 'audio' must be {_FORM}, got {audio!r:.60}")
    rate = audio["sampling_rate"]
    if not isinstance(rate, Integral) or isinstance(rate, bool) or rate <= 0:
        raise DialogueError(f"{place}: the sampling rate of 'audio' must be an int above 0, got {rate!r}")
    waveform = _as_samples(audio["array"], place)
    return waveform if rate == sampling_rate else resample(waveform, int(rate), sampling_rate)


def _as_samples(array: Any, place: str) -> np.ndarray:
    try:
        numbers = np.asarray(array)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, tensors that numpy cannot see
        numbers = None
    if numbers is None or numbers.dtype.kind not in "iuf":
        raise DialogueError(f"{place}: the array of 'audio' must hold numbers, got {array!r:.60}")
    if numbers.ndim != 1:
        raise DialogueError(
            f"{place}: the array of 'audio' has shape {numbers.shape}, and a waveform is mono, (samples,); "
            "average its channels first"
        )
    if not numbers.size:
        raise DialogueError(f"{place}: the array of 'audio' is empty; leave the key out where there is no audio")
    waveform = numbers.astype(np.float32)
    if not np.isfinite(waveform).all():
        where = int(np.flatnonzero(~np.isfinite(waveform))[0])
        raise DialogueError(f"{place}: sample {where} of 'audio' is {waveform[where]}")
    return waveform


def resample(waveform: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """(samples,) at `rate` Hz -> (samples * new_rate / rate,) at `new_rate`, what is above its band filtered out."""
    from scipy.signal import resample_poly  # takes long to import, and most audio comes at the right rate

    divisor = math.gcd(rate, new_rate)
    return resample_poly(waveform, new_rate // divisor, rate // divisor).astype(np.float32)


def normalize_loudness(waveform: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1, as most encoders were trained with (`do_normalize` of their feature extractor)."""
    return ((waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)).astype(np.float32)
