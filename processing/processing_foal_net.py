"""`FoalNetProcessor`: utterances -> one padded batch of waveforms or frames."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from .dialogues import EXTRACTOR_KEYS, Dialogue, DialogueError, Utterance, name_utterances
from .extractors import check_extractor
from .feature_origin import check_origin, extractors_of
from .media_failures import ExtractionFailure
from .processing_padded import Cuts, PaddedProcessor
from .processor_base import made_up_sound
from .reading import read_dialogues
from .summary import summarize_dialogues
from .waveform_reading import WaveformReader

_LONGEST = "max_audio_seconds"


class FoalNetProcessor(PaddedProcessor):
    """Turns the utterances of dialogues into one padded batch: each utterance is a row.

    It reads these keys of an utterance:

    - `audio`, a path, bytes, or {"array": (samples,), "sampling_rate": Hz}, mono, if the model has an encoder of
      waveforms (`audio_dim` is None); without `audio`, the sound track of `video`. `start` and `end` cut it, and other
      rates than `sampling_rate` are resampled. A recording that cannot be read is masked, with a warning;
    - otherwise `audio_frames` (T, audio_dim);
    - `video_frames` (T, video_dim), and `text_frames` (T, text_dim) if the model has a text stream;
    - `audio_features`, `visual_features`, `text_features`, one vector per utterance, as one frame where there are no
      frames;
    - with extractors, `audio` and `video` of utterances that lack them: they become sequences of frames.

    All parameters are plain JSON and survive `save_pretrained` and `from_pretrained`.

    Args:
        audio_dim: size of precomputed audio frames; None reads waveforms, 0 leaves audio out.
        video_dim, text_dim: size of the frames; 0 leaves the stream out.
        sampling_rate: sampling rate of the waveforms that the model reads, in Hz.
        max_audio_seconds: longer waveforms are cut (released: 6).
        normalize_audio: give each waveform mean 0 and variance 1, as `do_normalize` of WavLM-large's own feature
            extractor does (released: left as they are).
        max_video_frames: longer sequences are cut (released: 180).
        label2id: class name -> index; needed for labels that are strings. With `problem_type="regression"` it names
            several values, such as valence and arousal.
        audio_extractor: makes `audio_frames` of sound: `"logmel"`, or folder or Hub id of a speech encoder. None reads
            waveforms or frames, as `audio_dim` says.
        video_extractor: makes `video_frames` of videos: `"frame-statistics"`, or folder or Hub id of an image encoder.
        problem_type: as in transformers. By default a list is multi-label, a float is regression, as are floats by
            name, and the rest is single-label. Whole numbers are classes unless it says `"regression"`.

    Raises:
        ValueError: a parameter that is out of its range.
    """

    def __init__(
        self,
        audio_dim: int | None = None,
        video_dim: int = 768,
        text_dim: int = 0,
        sampling_rate: int = 16000,
        max_audio_seconds: float | int = 6.0,
        normalize_audio: bool = True,
        max_video_frames: int = 180,
        label2id: dict[str, int] | None = None,
        problem_type: str | None = None,
        audio_extractor: str | None = None,
        video_extractor: str | None = None,
    ) -> None:
        super().__init__(audio_dim, video_dim, text_dim, max_video_frames, label2id, problem_type)
        self.audio_extractor = audio_extractor
        self.video_extractor = video_extractor
        self.sampling_rate = sampling_rate
        self.max_audio_seconds = max_audio_seconds
        self.normalize_audio = normalize_audio
        self._check_least({"sampling_rate": 1} | ({} if audio_dim is None else {"audio_dim": 0}))
        if not max_audio_seconds > 0:
            raise ValueError(f"max_audio_seconds must be above 0, got {max_audio_seconds!r}")
        for modality, extractor in self.extractors.items():
            check_extractor(modality, extractor, frames=True)

    @property
    def reads_waveforms(self) -> bool:
        """Whether audio comes as waveforms, not as frames."""
        return self.audio_dim is None

    @property
    def reads_media(self) -> bool:
        """As in the base class: recordings are opened for their waveforms."""
        return self.reads_waveforms

    def _keys(self, modality: str) -> tuple[str, str]:
        if modality == "audio" and self.reads_waveforms:
            return "input_values", "attention_mask"
        return super()._keys(modality)

    @classmethod
    def from_dialogues(cls, dialogues: Iterable[Dialogue], **parameters: Any) -> Self:
        """Make a processor to measure for a training set: sizes, labels and task.

        Audio comes as frames if any utterance has frames or features, as waveforms otherwise. Text takes part only
        if `text_dim` is given, as in the paper.

        Args:
            dialogues: the training dialogues. Where they are encoded too, `read_dialogues` saves reading them twice.
            **parameters: any parameter of the processor; what is given is not inferred.

        Raises:
            DialogueError: nothing to read, or anything that `summarize_dialogues` refuses.
        """
        dialogue_list = read_dialogues(dialogues)
        known = extractors_of(dialogue_list)
        extractors = {
            key: parameters.get(key, known.get(name)) for name, key in EXTRACTOR_KEYS.items() if name != "text"
        }
        reader = cls(**extractors)
        check_origin(dialogue_list, reader.extractors)
        reader.take_over(known)
        named = name_utterances(dialogue_list)
        filled = reader._with_features(named, reader.extractors.keys())
        if filled is not named:
            dialogue_list = [
                {**dialogue, "utterances": own} for dialogue, (_, own) in zip(dialogue_list, filled, strict=True)
            ]
        summary = summarize_dialogues(dialogue_list, parameters.get("problem_type"))
        inferred = cls._parameters_for(summary)
        if not inferred["audio_dim"] and summary.num_waveforms:
            inferred["audio_dim"] = None
        made = inferred | parameters
        made |= {EXTRACTOR_KEYS[modality]: extractor for modality, extractor in reader.extractors.items()}
        if not made["audio_dim"]:
            made["audio_extractor"] = None
        if not made["video_dim"]:
            made["video_extractor"] = None
        processor = cls(**made)
        if not processor.reads_anything:
            raise DialogueError(
                "no utterance has audio, audio_frames or video_frames (or audio_features or visual_features); "
                "this processor reads waveforms and sequences of frames"
            )
        return processor

    def _encode_raw(
        self, utterances: Sequence[Utterance], places: Sequence[str], cuts: Cuts
    ) -> Iterator[np.ndarray | None]:
        """As in the base class: the waveform."""
        for read, failure in self.read_media(utterances, places):
            if failure is not None:
                cuts.failures.append(failure)
            waveform, is_cut = self._waveforms.prepare(read["audio"].samples)
            cuts.by_parameter[_LONGEST] += is_cut
            yield waveform

    def _warn_of_cuts(self, parameter: str, count: int, utterances: int) -> None:
        if parameter == _LONGEST:
            self._waveforms.warn_of_cuts(count, utterances)
        else:
            super()._warn_of_cuts(parameter, count, utterances)

    @property
    def _waveforms(self) -> WaveformReader:
        return WaveformReader(self.sampling_rate, self.max_audio_seconds, self.normalize_audio)

    def read_media(
        self, utterances: Sequence[Utterance], places: Sequence[str]
    ) -> Iterator[tuple[dict[str, Any], ExtractionFailure | None]]:
        """As in the base class: a waveform takes the place of `audio`, at the model's rate."""
        return self._waveforms.read(utterances, places)

    # Words for people.

    def _describe_encoder(self, modality: str, config: Any) -> tuple[str, str]:
        length = f"at most {self.max_audio_seconds:g} s at {self.sampling_rate} Hz"
        return length, f"{config.audio_config.model_type}, an encoder inside the model"

    def _example_input(self, modality: str, size: int | None, rng: np.random.Generator) -> dict[str, Any]:
        if size is None:
            return {"audio": made_up_sound(rng, self.sampling_rate)}
        return super()._example_input(modality, size, rng)
