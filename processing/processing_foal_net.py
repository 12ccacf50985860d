"""`FoalNetProcessor`: utterances -> one padded batch of waveforms or frames.

One file because streams, examples and padding follow each other: none of them is used elsewhere.
"""

import logging
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

import numpy as np
from transformers import BatchFeature

from .dialogues import (
    EXTRACTOR_KEYS,
    FEATURE_KEYS,
    FRAME_KEYS,
    MEDIA_KEYS,
    MODALITIES,
    Dialogue,
    DialogueError,
    NamedUtterances,
    Utterance,
    name_utterances,
    utterance_name,
)
from .extractors import check_extractor
from .feature_origin import check_origin, extractors_of
from .frames import get_frames, pad_sequences
from .media import get_medium
from .media_failures import ExtractionFailure, warn_of
from .processor_base import EmotionRecognitionProcessor, EncodedExample, ModalityInput, made_up_sound
from .reading import read_dialogues
from .summary import summarize_dialogues
from .usual_inputs import InputCounts
from .votes import encode_targets, join_targets
from .waveform_reading import WaveformReader

logger = logging.getLogger(__name__)

# Modality of the record -> stream of the batch, in the order in which the model reads them.
_STREAMS = {"audio": "audio", "visual": "video", "text": "text"}
_UTTERANCE_KEYS = {"speaker", "label", *FEATURE_KEYS.values(), *FRAME_KEYS.values(), *MEDIA_KEYS.values()}
_EXAMPLE_FRAMES = 8


@dataclass
class EncodedUtterance(EncodedExample):
    """One utterance as arrays, ready to be padded with others."""

    streams: dict[str, np.ndarray]
    """Modality -> (samples,) of a waveform or (frames, dim), for the modalities that the utterance has."""
    labels: np.ndarray | None
    """(1,) or (1, num_labels), or None where no label was asked for."""
    label_shares: np.ndarray | None = None
    """As in the base class, (1, num_labels)."""

    def __len__(self) -> int:
        return 1

    @property
    def present(self) -> np.ndarray:
        """As in the base class."""
        return np.array([[modality in self.streams for modality in MODALITIES]])

    def keep_modalities(self, kept: np.ndarray) -> Self:
        """As in the base class."""
        names = {modality for modality, stays in zip(MODALITIES, kept[0], strict=True) if stays}
        return replace(self, streams={name: stream for name, stream in self.streams.items() if name in names})


class FoalNetProcessor(EmotionRecognitionProcessor):
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

    _cuts: "Cuts | None" = None

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
        super().__init__(label2id, problem_type)
        self.audio_extractor = audio_extractor
        self.video_extractor = video_extractor
        self.audio_dim = audio_dim
        self.video_dim = video_dim
        self.text_dim = text_dim
        self.sampling_rate = sampling_rate
        self.max_audio_seconds = max_audio_seconds
        self.normalize_audio = normalize_audio
        self.max_video_frames = max_video_frames
        least = {"video_dim": 0, "text_dim": 0, "sampling_rate": 1, "max_video_frames": 1}
        self._check_least(least | ({} if audio_dim is None else {"audio_dim": 0}))
        if not max_audio_seconds > 0:
            raise ValueError(f"max_audio_seconds must be above 0, got {max_audio_seconds!r}")
        for modality, extractor in self.extractors.items():
            check_extractor(modality, extractor, frames=True)

    @property
    def extracts_frames(self) -> bool:
        """As in the base class: sequences."""
        return True

    @property
    def reads_waveforms(self) -> bool:
        """Whether audio comes as waveforms, not as frames."""
        return self.audio_dim is None

    @property
    def reads_media(self) -> bool:
        """As in the base class: recordings are opened for their waveforms."""
        return self.reads_waveforms

    @property
    def dims(self) -> dict[str, int | None]:
        """As in the base class; None for waveforms."""
        dims = {"text": self.text_dim, "audio": self.audio_dim, "visual": self.video_dim}
        return {modality: dim for modality, dim in dims.items() if dim != 0}

    @property
    def _streams(self) -> dict[str, int | None]:
        """The same in the order of the batch."""
        dims = self.dims
        return {modality: dims[modality] for modality in _STREAMS if modality in dims}

    @property
    def model_input_names(self) -> list[str]:
        """Keys of a batch, in order."""
        return [key for modality in self._streams for key in self._keys(modality)] + ["labels"]

    def _keys(self, modality: str) -> tuple[str, str]:
        """Keys of the batch for a stream and its mask."""
        if self._streams[modality] is None:
            return "input_values", "attention_mask"
        return f"{_STREAMS[modality]}_frames", f"{_STREAMS[modality]}_frame_mask"

    @property
    def _limits(self) -> dict[str, str]:
        """Modality -> the parameter that says how long its sequences may be."""
        return {"visual": "max_video_frames"}

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
        audio_dim = summary.size_of_frames("audio") or (None if summary.num_waveforms else 0)
        inferred: dict[str, Any] = {
            "audio_dim": audio_dim,
            "video_dim": summary.size_of_frames("visual"),
            "label2id": summary.label2id,
            "problem_type": summary.problem_type,
        }
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

    def model_kwargs(self) -> dict[str, Any]:
        """Return what a model's config must share with this processor: `FoalNetConfig(**processor.model_kwargs())`."""
        shared: dict[str, Any] = {"video_dim": self.video_dim, "text_dim": self.text_dim}
        if not self.reads_waveforms:
            shared["audio_dim"] = self.audio_dim
        return shared | super().model_kwargs()

    def __call__(
        self,
        dialogues: Dialogue | Utterance | Iterable[Dialogue | Utterance],
        return_tensors: str | None = None,
        return_labels: bool = True,
    ) -> BatchFeature:
        """Turn dialogues or utterances into one padded batch; each of the B utterances is a row.

        In this order, the model's: `input_values` (B, samples) and `attention_mask` (B, samples), or
        `audio_frames` (B, T_a, audio_dim) and `audio_frame_mask` (B, T_a); `video_frames` (B, T_v, video_dim) and
        `video_frame_mask` (B, T_v); `text_frames` and `text_frame_mask`; and `labels` if any utterance has one.
        Masks are 1 where there is something. Labels that are votes also give `label_shares` (B, num_labels).

        Args:
            dialogues: records with `utterances`, see the README, or the utterances themselves.
            return_tensors: `"pt"` for torch tensors, None for numpy arrays.
            return_labels: False leaves labels out, even labels that the processor does not know.

        Raises:
            DialogueError: bad input; the message names the dialogue and the utterance.
        """
        given = [dialogues] if isinstance(dialogues, Mapping) else dialogues
        if isinstance(given, list | tuple) and given and all(map(_is_utterance, given)):
            utterances = cast("Sequence[Utterance]", given)
            return self.pack(self.encode_named([("the list given", utterances)], return_labels), return_tensors)
        return super().__call__(cast("Any", dialogues), return_tensors, return_labels)

    def _encode(self, named: Sequence[NamedUtterances], problem_type: str | None) -> list[EncodedUtterance]:
        named = self._with_features(named, [modality for modality, dim in self.dims.items() if dim is not None])
        with self.one_notice():
            assert self._cuts is not None
            encoded = [
                example
                for name, utterances in named
                for example in self._encode_dialogue(name, utterances, problem_type, self._cuts)
            ]
            self._cuts.utterances += len(encoded)
        return encoded

    @contextmanager
    def one_notice(self) -> Generator[InputCounts, None, None]:
        """As in the base class; also of what was cut, and of what could not be read."""
        if self._cuts is not None:
            with super().one_notice() as counts:
                yield counts
            return
        self._cuts = Cuts()
        try:
            with super().one_notice() as counts:
                yield counts
            self._warn_of(self._cuts)
        finally:
            self._cuts = None

    def _warn_of(self, cuts: "Cuts") -> None:
        self._waveforms.warn_of_cuts(cuts.waveforms, cuts.utterances)
        for parameter, count in sorted(cuts.sequences.items()):
            logger.warning(
                "%d of %d utterances have more than %s=%d, which were cut",
                *(count, cuts.utterances, parameter, getattr(self, parameter)),
            )
        warn_of(cuts.failures)

    def _encode_dialogue(
        self, name: str, utterances: Sequence[Utterance], problem_type: str | None, cuts: "Cuts"
    ) -> list[EncodedUtterance]:
        targets = encode_targets(utterances, problem_type, self.label2id, name)
        places = [utterance_name(name, index) for index in range(len(utterances))]
        encodes = None in self.dims.values()
        media = self._encode_raw(utterances, places, cuts) if encodes else [None] * len(utterances)
        return [
            EncodedUtterance(
                streams=self._encode_streams(utterance, place, raw, cuts),
                **{key: None if rows is None else rows[index : index + 1] for key, rows in targets.items()},
            )
            for index, (utterance, place, raw) in enumerate(zip(utterances, places, media, strict=True))
        ]

    def _encode_streams(
        self, utterance: Utterance, place: str, raw: np.ndarray | None, cuts: "Cuts"
    ) -> dict[str, np.ndarray]:
        streams = {}
        for modality, dim in self._streams.items():
            if dim is None:
                sequence = raw
            else:
                sequence = get_frames(utterance, modality, dim, place)
                if sequence is None and modality != "text" and get_medium(utterance, MEDIA_KEYS[modality]) is not None:
                    raise DialogueError(
                        f"{place}: there is '{MEDIA_KEYS[modality]}' but neither '{FRAME_KEYS[modality]}' nor "
                        f"'{FEATURE_KEYS[modality]}', and this processor reads frames of size {dim}"
                    )
            parameter = self._limits.get(modality)
            if parameter is not None and sequence is not None and len(sequence) > getattr(self, parameter):
                sequence = sequence[: getattr(self, parameter)]
                cuts.sequences[parameter] += 1
            if sequence is not None:
                streams[modality] = sequence
        return streams

    def _encode_raw(
        self, utterances: Sequence[Utterance], places: Sequence[str], cuts: "Cuts"
    ) -> Iterator[np.ndarray | None]:
        """The medium of each utterance that the model itself encodes, here the waveform."""
        for read, failure in self.read_media(utterances, places):
            if failure is not None:
                cuts.failures.append(failure)
            waveform, is_cut = self._waveforms.prepare(read["audio"].samples)
            cuts.waveforms += is_cut
            yield waveform

    @property
    def _waveforms(self) -> WaveformReader:
        return WaveformReader(self.sampling_rate, self.max_audio_seconds, self.normalize_audio)

    def read_media(
        self, utterances: Sequence[Utterance], places: Sequence[str]
    ) -> Iterator[tuple[dict[str, Any], ExtractionFailure | None]]:
        """As in the base class: a waveform takes the place of `audio`, at the model's rate."""
        return self._waveforms.read(utterances, places)

    def pack(self, encoded: Sequence[EncodedUtterance], return_tensors: str | None = None) -> BatchFeature:
        """Pad encoded utterances to one batch; the keys and shapes are those of `__call__`."""
        batch: dict[str, np.ndarray] = {}
        for modality, dim in self._streams.items():
            sequences, mask = pad_sequences(
                [example.streams.get(modality) for example in encoded], () if dim is None else (dim,)
            )
            key, mask_key = self._keys(modality)
            batch[key] = sequences
            batch[mask_key] = mask.astype(np.int64) if dim is None else mask
        batch |= join_targets(encoded)
        return BatchFeature(batch, tensor_type=return_tensors)

    # Words for people.

    def describe_inputs(self, config: Any) -> list[ModalityInput]:
        """As in the base class."""
        return [
            given
            if (dim := self.dims[given.modality]) is None
            else replace(given, keys=(*given.keys[:-1], FRAME_KEYS[given.modality]), size=f"frames × {dim}")
            for given in super().describe_inputs(config)
        ]

    def _describe_encoder(self, modality: str, config: Any) -> tuple[str, str]:
        length = f"at most {self.max_audio_seconds:g} s at {self.sampling_rate} Hz"
        return length, f"{config.audio_config.model_type}, an encoder inside the model"

    def describe_context(self, config: Any) -> list[str]:
        """As in the base class."""
        return [f"Videos are read up to {self.max_video_frames} frames."] if self.video_dim else []

    def _example_inputs(self, rng: np.random.Generator) -> dict[str, Any]:
        extracted = super()._example_inputs(rng) if self.extractors else {}
        inputs: dict[str, Any] = {}
        for modality, dim in self._streams.items():
            if dim is None:
                inputs["audio"] = made_up_sound(rng, self.sampling_rate)
            elif MEDIA_KEYS[modality] in extracted:
                inputs[MEDIA_KEYS[modality]] = extracted[MEDIA_KEYS[modality]]
            else:
                inputs[FRAME_KEYS[modality]] = rng.normal(size=(_EXAMPLE_FRAMES, dim))
        return inputs


@dataclass
class Cuts:
    """Counts of utterances longer than the processor reads, and the recordings that could not be read."""

    utterances: int = 0
    """All that were encoded."""
    waveforms: int = 0
    sequences: Counter[str] = field(default_factory=Counter)
    """By the parameter that says how long they may be."""
    failures: list[ExtractionFailure] = field(default_factory=list)


def _is_utterance(record: Any) -> bool:
    """Whether a record is an utterance on its own, and not a dialogue, however misspelt."""
    return isinstance(record, Mapping) and "utterances" not in record and bool(_UTTERANCE_KEYS & record.keys())
