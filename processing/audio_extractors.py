"""Extractors of sound: statistics of log-mel bands, energy and pitch, openSMILE, or the layers of a speech encoder."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoFeatureExtractor, AutoModel
from transformers.audio_utils import mel_filter_bank

from .dialogues import DialogueError, Utterance
from .encoder_layers import POOLED
from .encoders import PretrainedExtractor, encoder_of, hidden_states_of
from .extractor_base import FeatureExtractor
from .media import MediaError
from .optional_imports import import_optional
from .waveforms import waveforms_of_all

SILENCE = 1e-4
"""A recording that never gets louder than this (full scale is 1: -80 dB) is silent."""

# Seconds; shorter sounds are padded with silence, because no encoder and no statistics can read less.
_SHORTEST = 0.1

# Power of a band: the rounding of 16-bit samples adds less.
_LEAST_POWER = 1e-6

# Frames that are quieter than the loudest by more than this, in dB, have no pitch.
_PITCHED_RANGE = 30.0

# Seconds that an encoder reads at once. The memory of attention grows with the square: 20 minutes take 7 GiB for the
# first convolutions of wav2vec 2.0 alone, and 30 seconds 200 MiB.
_LONGEST_PIECE = 30.0

# Steps of 10 ms from one frame of a sequence to the next.
_STEPS_OF_SEQUENCE = 4

# Frames of 10 ms that are counted at once: a minute.
_FRAMES_AT_ONCE = 6000


class AudioExtractor(FeatureExtractor):
    """Base of extractors of sound.

    Args:
        sampling_rate: sampling rate in Hz that every recording is brought to.
    """

    example = {"audio": {"array": np.sin(np.arange(4000.0)), "sampling_rate": 16000}}

    def __init__(self, sampling_rate: int) -> None:
        self.sampling_rate = sampling_rate

    def read(self, utterances: Sequence[Utterance], frames: bool = False) -> Iterator[np.ndarray | DialogueError]:
        shortest = round(_SHORTEST * self.sampling_rate)
        for waveform in waveforms_of_all(utterances, self.sampling_rate):
            assert waveform is not None, "the caller has looked for it"
            if isinstance(waveform, DialogueError):
                yield waveform
            elif np.abs(waveform).max() < SILENCE:
                yield MediaError("is silent")
            else:
                yield np.pad(waveform, (0, max(0, shortest - len(waveform))))

    def encode(self, waveform: np.ndarray) -> np.ndarray:
        """Turn a waveform (samples,) into a vector (size,) float32."""
        raise NotImplementedError


class LogMelStatistics(AudioExtractor):
    """87 statistics of a sound at 16 kHz; needs no download.

    Mean and standard deviation over time of 40 log-mel bands (80 numbers); mean, standard deviation and the range from
    the 5th to the 95th percentile of the loudness in dB (3) and of the pitch in semitones above 55 Hz, where there is
    one (3); and the share of the time that has a pitch (1). Frames of 25 ms (pitch: 40 ms) every 10 ms. As a sequence,
    the 40 bands every 40 ms.
    """

    _bands, _step = 40, 160
    _pitches = (60.0, 500.0)  # Hz
    _least_periodicity = 0.5  # correlation of a frame that has a pitch with itself, one period later

    def __init__(self) -> None:
        super().__init__(16000)
        self._filters = mel_filter_bank(257, self._bands, 20.0, 7600.0, self.sampling_rate, mel_scale="slaney")

    def encode(self, waveform: np.ndarray) -> np.ndarray:
        short, long = (_framed(waveform, length, self._step) for length in (400, 640))
        bands = _in_parts(self._log_mel, short)
        loudness = _in_parts(lambda frames: 10 * np.log10((frames**2).mean(-1) + 1e-10), long)
        pitch = np.where(loudness > loudness.max() - _PITCHED_RANGE, _in_parts(self._pitch, long), 0.0)
        voiced = pitch[pitch > 0]
        semitones = 12 * np.log2(voiced / 55) if len(voiced) else np.zeros(1)
        parts = [bands.mean(0), bands.std(0), _spread(loudness), _spread(semitones), [len(voiced) / len(pitch)]]
        return np.concatenate(parts).astype(np.float32)

    def encode_frames(self, waveform: np.ndarray) -> np.ndarray:
        frames = _framed(waveform, 400, self._step)
        return _in_parts(self._log_mel, frames[::_STEPS_OF_SEQUENCE]).astype(np.float32)

    def _log_mel(self, frames: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfft(frames * np.hanning(400), 512)) ** 2
        return np.log10(np.maximum(power @ self._filters, _LEAST_POWER))

    def _pitch(self, frames: np.ndarray) -> np.ndarray:
        """Find the pitch of frames (frames, samples) in Hz, (frames,), by the first high peak of the autocorrelation.

        It is 0 where there is no pitch.
        """
        window = np.hanning(frames.shape[1])
        correlation = _autocorrelation(frames * window)
        # The window takes away from longer lags: give that back.
        correlation /= np.maximum(correlation[:, :1], 1e-12) * _autocorrelation(window[None])
        correlation *= (window**2).sum()
        shortest, longest = (int(self.sampling_rate / pitch) for pitch in reversed(self._pitches))
        lags = correlation[:, shortest : longest + 1]
        best = lags.max(-1, keepdims=True)
        # A period and its multiples have peaks of about the same height: take the first.
        is_peak = (lags >= 0.9 * best) & (lags >= np.roll(lags, 1, -1)) & (lags >= np.roll(lags, -1, -1))
        period = shortest + is_peak.argmax(-1)
        return np.where(best[:, 0] > self._least_periodicity, self.sampling_rate / period, 0.0)


def _in_parts(measure: Callable[[np.ndarray], np.ndarray], frames: np.ndarray) -> np.ndarray:
    """Measure frames (frames, samples) in parts: an hour's would take gigabytes at once."""
    parts = range(0, len(frames), _FRAMES_AT_ONCE)
    return np.concatenate([measure(frames[first : first + _FRAMES_AT_ONCE]) for first in parts])


def _framed(waveform: np.ndarray, length: int, step: int) -> np.ndarray:
    """Cut a waveform (samples,) into overlapping frames (frames, length)."""
    return np.lib.stride_tricks.sliding_window_view(waveform.astype(np.float64), length)[::step]


def _autocorrelation(frames: np.ndarray) -> np.ndarray:
    """Return the autocorrelation of frames (frames, samples), (frames, samples) by lag."""
    length = frames.shape[1]
    power = np.abs(np.fft.rfft(frames, 2 * length)) ** 2
    return np.fft.irfft(power)[:, :length]


def _spread(values: np.ndarray) -> list[float]:
    """Return the mean, the standard deviation, and the range of most values."""
    low, high = np.percentile(values, (5, 95))
    return [float(values.mean()), float(values.std()), float(high - low)]


class OpenSmileFunctionals(AudioExtractor):
    """A feature set of openSMILE, with one value per feature for the whole sound, at 16 kHz.

    Args:
        feature_set: `eGeMAPSv02`, `ComParE_2016`, `emobase`, ...
    """

    def __init__(self, feature_set: str) -> None:
        super().__init__(16000)
        opensmile = import_optional("opensmile", "opensmile", f"audio_extractor 'opensmile:{feature_set}'")
        self._smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)

    def encode(self, waveform: np.ndarray) -> np.ndarray:
        return self._smile.process_signal(waveform, self.sampling_rate).to_numpy(np.float32)[0]


class SpeechEncoder(PretrainedExtractor, AudioExtractor):
    """Layers of a speech encoder of transformers, averaged over time: wav2vec 2.0, HuBERT, WavLM, Whisper, ...

    One sound at a time, without padding: a sound's vector depends on nothing else. Sounds of more than 30 s are read
    in pieces of one length, and the mean over time is that of all pieces. `pooled` is the last layer.

    Args:
        name: folder or Hub id.
        revision: revision of a Hub id.
        device: as in torch.
    """

    modality = "audio"

    def __init__(self, name: str, revision: str | None, device: str) -> None:
        self._inputs: Any = AutoFeatureExtractor.from_pretrained(name, revision=revision)
        super().__init__(self._inputs.sampling_rate)
        self._model = encoder_of(AutoModel.from_pretrained(name, revision=revision, dtype=torch.float32), device)

    def encode(self, waveform: np.ndarray) -> np.ndarray:
        pieces = [(frames.mean(0).cpu().numpy(), len(frames)) for frames in self._frames_of_pieces(waveform)]
        means, lengths = zip(*pieces, strict=True)
        return np.average(means, axis=0, weights=lengths).astype(np.float32)

    def encode_frames(self, waveform: np.ndarray) -> np.ndarray:
        return torch.cat(list(self._frames_of_pieces(waveform, frames=True))).cpu().numpy()

    def _frames_of_pieces(self, waveform: np.ndarray, frames: bool = False) -> Iterator[torch.Tensor]:
        count = max(1, math.ceil(len(waveform) / self._longest))
        for piece in np.array_split(waveform, count):
            yield self._frames_of(piece, frames)

    @property
    def _longest(self) -> int:
        """Samples of the longest piece that is read at once."""
        return round(_LONGEST_PIECE * self.sampling_rate)

    def _frames_of(self, piece: np.ndarray, frames: bool) -> torch.Tensor:
        """Encode a piece (samples,) as frames (T, size)."""
        if self.layers(frames).mix == POOLED:
            found = self._run(piece).last_hidden_state[0]
        else:
            found = self._join(self._states(piece), frames)[0]
        # Whisper reads a piece of a fixed length, mostly padding.
        if padded_to := getattr(self._inputs, "n_samples", None):
            found = found[: max(1, round(len(found) * len(piece) / padded_to))]
        return found

    def _states(self, piece: np.ndarray) -> Sequence[torch.Tensor]:
        """Return the hidden states (1, T, size) of a piece (samples,)."""
        return hidden_states_of(self._run(piece, output_hidden_states=True))

    def _example_states(self) -> Sequence[torch.Tensor]:
        return self._states(self.example["audio"]["array"])

    @torch.inference_mode()
    def _run(self, piece: np.ndarray, output_hidden_states: bool = False) -> Any:
        inputs = self._inputs(piece, sampling_rate=self.sampling_rate, return_tensors="pt")
        read = inputs[self._inputs.model_input_names[0]].to(self._model.device)
        return self._model(read, output_hidden_states=output_hidden_states)
