"""The base of the processors that make a padded batch of utterances: frames, and what a model encodes itself."""

import logging
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

import numpy as np
from transformers import BatchFeature

from .dialogues import (
    FEATURE_KEYS,
    FRAME_KEYS,
    MEDIA_KEYS,
    MODALITIES,
    Dialogue,
    DialogueError,
    NamedUtterances,
    Utterance,
    utterance_name,
)
from .encoder_folders import is_left_behind
from .frames import get_frames, pad_sequences
from .media import get_medium
from .media_failures import ExtractionFailure, warn_of
from .processor_base import EmotionRecognitionProcessor, EncodedExample, ModalityInput
from .summary import DialogueSummary
from .usual_inputs import InputCounts
from .votes import encode_targets, join_targets

logger = logging.getLogger(__name__)

# Modality of the record -> stream of the batch, in the order in which the model reads them.
_STREAMS = {"audio": "audio", "visual": "video", "text": "text"}
_UTTERANCE_KEYS = {"speaker", "label", *FEATURE_KEYS.values(), *FRAME_KEYS.values(), *MEDIA_KEYS.values()}
_EXAMPLE_FRAMES = 8


@dataclass
class EncodedUtterance(EncodedExample):
    """One utterance as arrays, ready to be padded with others."""

    streams: dict[str, np.ndarray]
    """Modality -> (frames, dim), or (length,) of what the model encodes itself, for those that the utterance has."""
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


@dataclass
class Cuts:
    """Counts of utterances longer than the processor reads, and the recordings that could not be read."""

    utterances: int = 0
    """All that were encoded."""
    by_parameter: Counter[str] = field(default_factory=Counter)
    """Parameter that says how long they may be -> those that were cut."""
    failures: list[ExtractionFailure] = field(default_factory=list)


class PaddedProcessor(EmotionRecognitionProcessor):
    """Base of the processors that turn the utterances of dialogues into one padded batch: each utterance is a row.

    A family whose model encodes a raw medium itself says so by the size None in `dims`, names its keys in `_keys`, and
    turns it into a sequence in `_encode_raw`.

    Args:
        audio_dim, video_dim, text_dim: sizes of the frames; 0 leaves the stream out.
        max_video_frames: longer sequences are cut.
        label2id, problem_type: as in the base class.
    """

    raw_type: type[np.generic] = np.float32
    """The type of what the model encodes itself."""
    _cuts: Cuts | None = None

    def __init__(
        self,
        audio_dim: int | None,
        video_dim: int,
        text_dim: int,
        max_video_frames: int,
        label2id: dict[str, int] | None = None,
        problem_type: str | None = None,
    ) -> None:
        super().__init__(label2id, problem_type)
        self.audio_dim = audio_dim
        self.video_dim = video_dim
        self.text_dim = text_dim
        self.max_video_frames = max_video_frames
        self._check_least({"video_dim": 0, "text_dim": 0, "max_video_frames": 1})

    @property
    def extracts_frames(self) -> bool:
        """As in the base class: sequences."""
        return True

    @property
    def reads_media(self) -> bool:
        """As in the base class: frames are read as they are."""
        return False

    @property
    def dims(self) -> dict[str, int | None]:
        """As in the base class."""
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
        return f"{_STREAMS[modality]}_frames", f"{_STREAMS[modality]}_frame_mask"

    @property
    def _limits(self) -> dict[str, str]:
        """Modality -> the parameter that says how long its sequences may be."""
        return {"visual": "max_video_frames"}

    @staticmethod
    def _parameters_for(summary: DialogueSummary) -> dict[str, Any]:
        """Sizes of speech and video, labels and task of a training set."""
        return {
            "audio_dim": summary.size_of_frames("audio"),
            "video_dim": summary.size_of_frames("visual"),
            "label2id": summary.label2id,
            "problem_type": summary.problem_type,
        }

    def model_kwargs(self) -> dict[str, Any]:
        """Return what a model's config must share with this processor, as keyword arguments."""
        shared: dict[str, Any] = {"video_dim": self.video_dim, "text_dim": self.text_dim}
        if self.audio_dim is not None:
            shared["audio_dim"] = self.audio_dim
        return shared | super().model_kwargs()

    def __call__(
        self,
        dialogues: Dialogue | Utterance | Iterable[Dialogue | Utterance],
        return_tensors: str | None = None,
        return_labels: bool = True,
    ) -> BatchFeature:
        """Turn dialogues or utterances into one padded batch; each of the B utterances is a row.

        In this order, the model's: `audio_frames` (B, T_a, audio_dim) and `audio_frame_mask` (B, T_a); `video_frames`
        (B, T_v, video_dim) and `video_frame_mask` (B, T_v); `text_frames` and `text_frame_mask`; and `labels` if any
        utterance has one. What the model encodes itself stands in the place of frames: `input_values` and
        `attention_mask` (B, samples), `text_input_ids` and `text_attention_mask` (B, words). Masks are 1 where there
        is something. Labels that are votes also give `label_shares` (B, num_labels).

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
            for parameter, count in sorted(self._cuts.by_parameter.items()):
                self._warn_of_cuts(parameter, count, self._cuts.utterances)
            warn_of(self._cuts.failures)
        finally:
            self._cuts = None

    def _warn_of_cuts(self, parameter: str, count: int, utterances: int) -> None:
        """Log how many of so many utterances were longer than a parameter says."""
        logger.warning(
            "%d of %d utterances have more than %s=%d, which were cut",
            *(count, utterances, parameter, getattr(self, parameter)),
        )

    def _encode_dialogue(
        self, name: str, utterances: Sequence[Utterance], problem_type: str | None, cuts: Cuts
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
        self, utterance: Utterance, place: str, raw: np.ndarray | None, cuts: Cuts
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
                cuts.by_parameter[parameter] += 1
            if sequence is not None:
                streams[modality] = sequence
        return streams

    def _encode_raw(
        self, utterances: Sequence[Utterance], places: Sequence[str], cuts: Cuts
    ) -> Iterator[np.ndarray | None]:
        """The medium of each utterance that the model itself encodes, as a sequence (length,)."""
        raise NotImplementedError

    def pack(self, encoded: Sequence[EncodedUtterance], return_tensors: str | None = None) -> BatchFeature:
        """Pad encoded utterances to one batch; the keys and shapes are those of `__call__`."""
        batch: dict[str, np.ndarray] = {}
        for modality, dim in self._streams.items():
            sequences, mask = pad_sequences(
                [example.streams.get(modality) for example in encoded], () if dim is None else (dim,)
            )
            key, mask_key = self._keys(modality)
            batch[key] = sequences.astype(self.raw_type, copy=False) if dim is None else sequences
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

    def describe_context(self, config: Any) -> list[str]:
        """As in the base class."""
        return [f"Videos are read up to {self.max_video_frames} frames."] if self.video_dim else []

    def _example_input(self, modality: str, size: int | None, rng: np.random.Generator) -> dict[str, Any]:
        extractor = self.extractors.get(modality)
        if size is not None and (extractor is None or is_left_behind(extractor)):
            return {FRAME_KEYS[modality]: rng.normal(size=(_EXAMPLE_FRAMES, size))}
        return super()._example_input(modality, size, rng)


def _is_utterance(record: Any) -> bool:
    """Whether a record is an utterance on its own, and not a dialogue, however misspelt."""
    return isinstance(record, Mapping) and "utterances" not in record and bool(_UTTERANCE_KEYS & record.keys())
