"""The waveforms of utterances for a model that encodes them itself: read, cut to a length, brought to one loudness."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .dialogues import DialogueError, Utterance
from .media import MediaError
from .media_failures import ExtractionFailure
from .waveforms import Waveform, normalize_loudness, waveforms_of_all

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WaveformReader:
    """Reads the waveforms of utterances.

    Args:
        sampling_rate: of the encoder, in Hz.
        max_seconds: longer waveforms are cut.
        normalize: give each mean 0 and variance 1.
    """

    sampling_rate: int
    max_seconds: float
    normalize: bool

    @property
    def longest(self) -> int:
        """Samples of the longest waveform that is not cut."""
        return max(1, int(self.max_seconds * self.sampling_rate))

    def read(
        self, utterances: Sequence[Utterance], places: Sequence[str]
    ) -> Iterator[tuple[dict[str, Any], ExtractionFailure | None]]:
        """As `EmotionRecognitionProcessor.read_media`: a waveform takes the place of `audio`, at the reader's rate."""
        waveforms = waveforms_of_all(utterances, self.sampling_rate)
        for utterance, place, waveform in zip(utterances, places, waveforms, strict=True):
            failure = None
            if isinstance(waveform, MediaError):
                waveform, failure = None, ExtractionFailure.of(waveform, utterance, "audio", place)
            elif isinstance(waveform, DialogueError):
                raise DialogueError(f"{place}: {waveform}")
            elif waveform is not None and len(waveform) > self.longest:
                # One sample more than is read: `prepare` still sees that there was more, and says so.
                waveform = waveform[: self.longest + 1].copy()
            yield {"audio": Waveform(waveform, self.sampling_rate)}, failure

    def prepare(self, waveform: np.ndarray | None) -> tuple[np.ndarray | None, bool]:
        """Return a waveform as the encoder reads it, and whether it was cut."""
        if waveform is None:
            return None, False
        is_cut = len(waveform) > self.longest
        waveform = waveform[: self.longest]
        return (normalize_loudness(waveform) if self.normalize else waveform), is_cut

    def warn_of_cuts(self, cuts: int, utterances: int) -> None:
        """Log how many waveforms of how many utterances were cut, if any was."""
        if cuts:
            logger.warning(
                "%d of %d utterances have audio of more than max_audio_seconds=%g, which was cut",
                *(cuts, utterances, self.max_seconds),
            )
