"""The base of all processors: labels, the way from dialogues to a batch, and words for people.

One file because it is one class, of which every family's processor is made.
"""

import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
from transformers import BatchFeature, ProcessorMixin

from .dialogues import (
    EXTRACTOR_KEYS,
    FEATURE_KEYS,
    MEDIA_KEYS,
    MODALITIES,
    Dialogue,
    DialogueError,
    NamedUtterances,
    Utterance,
    as_dialogue_list,
    get_utterances,
    name_utterances,
    utterance_name,
)
from .encoder_folders import is_left_behind
from .extractor_base import OPENSMILE, describe_extractor
from .extractors import pinned
from .feature_extraction import add_features, needed_extractors
from .feature_origin import check_origin
from .known_keys import warn_of_unknown_keys
from .labels import MULTI_LABEL, PROBLEM_TYPES, REGRESSION, SINGLE_LABEL, infer_problem_type, known_labels
from .media_failures import ExtractionFailure, warn_of
from .usual_inputs import InputCounts, warn_of_unusual

_DIALOGUES_OF_A_PART = 256
"""Dialogues that `encode_parts` has in memory at once."""


class EncodedExample:
    """One row of a data set as arrays: a dialogue, or an utterance where a model sees one at a time."""

    labels: np.ndarray | None
    """Label of each utterance, as `labels` of the batch, or None where no label was asked for."""
    label_shares: np.ndarray | None = None
    """(utterances, num_labels) share of the votes for each class, where labels are votes of several annotators."""
    name = ""
    """The name that messages call it by."""

    def __len__(self) -> int:
        """Number of utterances."""
        raise NotImplementedError

    @property
    def present(self) -> np.ndarray:
        """(utterances, 3) bool: whether text, audio and visual are present."""
        raise NotImplementedError

    def keep_modalities(self, kept: np.ndarray) -> Self:
        """Return a copy that has only those of its modalities that `kept` (utterances, 3) bool names."""
        raise NotImplementedError

    def with_encoded(self, encoded: Mapping[str, np.ndarray]) -> Self:
        """Return a copy with what the model's encoders make of it, modality -> (n, dim), in place of their inputs."""
        raise NotImplementedError

    @property
    def has_labels(self) -> bool:
        """Whether at least one label is known."""
        has_votes = self.label_shares is not None and bool(self.label_shares.any())
        return has_votes or (self.labels is not None and bool(known_labels(self.labels).any()))


@dataclass(frozen=True)
class ModalityInput:
    """The way of one modality into a model, in words for people."""

    modality: str
    keys: tuple[str, ...]
    """Keys of an utterance that it is read from."""
    size: str
    made_by: str | None
    """Whatever makes it from the raw medium; None where the user has to bring it."""


class EmotionRecognitionProcessor(ProcessorMixin):
    """Base of every family's processor.

    A family has to say how large its inputs are (`dims`), how a processor is made for a training set
    (`from_dialogues`), how dialogues are encoded (`_encode`) and how a batch is packed (`pack`).

    Args:
        label2id: class name -> index; needed for labels that are strings. With `problem_type="regression"` it names
            several values, such as valence and arousal.
        problem_type: as in transformers. By default a list is multi-label, a float is regression, as are floats by
            name, and the rest is single-label, as are votes. Whole numbers are classes unless it says `"regression"`.

    Raises:
        ValueError: a parameter that is out of its range.
    """

    # No special tokens: the Trainer asks the tokenizer of every processor for them.
    tokenizer: Any = SimpleNamespace(eos_token_id=None, bos_token_id=None, pad_token_id=None)

    _counts: InputCounts | None = None

    pusher: Callable[..., Any] | None = None
    """Called by `push_to_hub`; `joyful_hf` sets its `push_processor` here. None does as transformers does."""

    def __init__(self, label2id: dict[str, int] | None = None, problem_type: str | None = None) -> None:
        super().__init__()
        self.label2id = label2id
        self.problem_type = problem_type
        if label2id and set(label2id.values()) != set(range(len(label2id))):
            raise ValueError(f"label2id must number the labels from 0 to {len(label2id) - 1}, got {label2id}")
        if problem_type is not None and problem_type not in PROBLEM_TYPES:
            raise ValueError(f"unknown problem_type {problem_type!r}; choose from {', '.join(PROBLEM_TYPES)}")

    def _check_least(self, least: dict[str, int]) -> None:
        """Raise a ValueError unless each of these parameters is an int that is at least the minimum given."""
        for name, minimum in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
                raise ValueError(f"{name} must be an int of at least {minimum}, got {value!r}")

    # The inputs.

    @property
    def dims(self) -> dict[str, int | None]:
        """Modality (`text`, `audio`, `visual`, in this order) -> size of its vectors or frames.

        A modality that is not part of the model is not in it. The size is None where the model itself encodes the raw
        medium: text as tokens, audio as waveforms.
        """
        raise NotImplementedError

    @property
    def reads_anything(self) -> bool:
        """Whether at least one modality is part of the model."""
        return bool(self.dims)

    @property
    def extractors(self) -> dict[str, str]:
        """Modality -> name of the extractor that makes its features from raw media, where there is one."""
        named = {modality: getattr(self, key, None) for modality, key in EXTRACTOR_KEYS.items()}
        return {modality: extractor for modality, extractor in named.items() if extractor is not None}

    @property
    def extracts_frames(self) -> bool:
        """Whether extractors make sequences of frames, not one vector per utterance."""
        return False

    def pin_extractors(self, modalities: Iterable[str] = MODALITIES, device: str | None = None) -> None:
        """Add to these extractors the commits that their Hub ids stand for today, and the layers that they take.

        Args:
            device: device of encoders; by default the machine's accelerator.

        Raises:
            DialogueError: there is no such extractor, or no such layer in its encoder.
        """
        for modality in modalities:
            if modality in self.extractors:
                name = pinned(modality, self.extractors[modality], device, self.extracts_frames)
                setattr(self, EXTRACTOR_KEYS[modality], name)

    def take_over(self, made_by: Mapping[str, str]) -> None:
        """Name the commits and layers of the extractors that made features, where its own names leave them open.

        Args:
            made_by: modality -> extractor, the same ones.
        """
        for modality in self.extractors.keys() & made_by.keys():
            setattr(self, EXTRACTOR_KEYS[modality], made_by[modality])

    def _with_features(
        self, named: Sequence[NamedUtterances], modalities: Collection[str]
    ) -> Sequence[NamedUtterances]:
        """Return the utterances with features of these modalities where they have raw media; warn of what fails."""
        needed = needed_extractors(named, self.extractors, self.extracts_frames) & set(modalities)
        if not needed:
            return named
        self.pin_extractors(needed)
        extractors = {modality: self.extractors[modality] for modality in needed}
        filled, failures = add_features(named, extractors, frames=self.extracts_frames)
        warn_of(failures)
        return filled

    @property
    def reads_media(self) -> bool | None:
        """Whether `encode` opens recordings, which `read_media` can do before; None where a family does not say."""
        return None

    def read_media(
        self, utterances: Sequence[Utterance], places: Sequence[str]
    ) -> Iterator[tuple[dict[str, Any], ExtractionFailure | None]]:
        """Read the recordings of utterances, so that `encode` has no file to open. Other processes may do it.

        Args:
            utterances: their `audio`, `video`, `start`, `end` and `channel` are enough.
            places: how messages call each of them.

        Yields:
            Values that replace those of the utterance, and what could not be read: `encode` masks it.

        Raises:
            DialogueError: bad input that is an error in any case.
        """
        raise NotImplementedError

    # Words for people, such as the readers of a model card.

    def describe_inputs(self, config: Any) -> list[ModalityInput]:
        """Describe how each modality gets into the model.

        Args:
            config: configuration of the model.
        """
        inputs = []
        for modality, size in self.dims.items():
            medium, features, extractor = MEDIA_KEYS[modality], FEATURE_KEYS[modality], self.extractors.get(modality)
            if size is None:
                inputs.append(ModalityInput(modality, (medium,), *self._describe_encoder(modality, config)))
            elif extractor is None:
                inputs.append(ModalityInput(modality, (features,), str(size), None))
            else:
                inputs.append(ModalityInput(modality, (medium, features), str(size), describe_extractor(extractor)))
        return inputs

    def _describe_encoder(self, modality: str, config: Any) -> tuple[str, str]:
        """Say how much of a raw medium the model reads, and by which encoder."""
        return "any length", "an encoder inside the model"

    def describe_context(self, config: Any) -> list[str]:
        """Say in whole sentences what else a user should know of what is read: context, limits, scaling."""
        return []

    @property
    def extras(self) -> tuple[str, ...]:
        """Names in `optional_imports.EXTRAS` of the optional packages that reading the inputs needs."""
        raw = self.extractors.keys() | {modality for modality, size in self.dims.items() if size is None}
        opensmile = self.extractors.get("audio", "").startswith(OPENSMILE)
        return ("media",) * bool(raw & {"audio", "visual"}) + ("opensmile",) * opensmile

    def example_dialogue(self) -> dict[str, Any]:
        """Make up a dialogue of two utterances that this processor reads, the same one each time."""
        rng = np.random.default_rng(0)
        speakers = self._example_speakers()
        return {
            "utterances": [
                {"speaker": speakers[index % len(speakers)], "text": text, **self._example_inputs(rng)}
                for index, text in enumerate(("I never said that.", "Yes, you did!"))
            ]
        }

    def _example_speakers(self) -> Sequence[str]:
        return "Ross", "Rachel"

    def _example_inputs(self, rng: np.random.Generator) -> dict[str, Any]:
        """Make up the inputs of an utterance beside its text."""
        inputs: dict[str, Any] = {}
        for modality, size in self.dims.items():
            inputs |= self._example_input(modality, size, rng)
        return inputs

    def _example_input(self, modality: str, size: int | None, rng: np.random.Generator) -> dict[str, Any]:
        """Make up one modality, in the form in which it is read; nothing for text."""
        extractor = self.extractors.get(modality)
        # OpenFace reads a CSV file, which cannot be made up in a line.
        if size is not None and (extractor in (None, "openface") or is_left_behind(extractor)):
            return {FEATURE_KEYS[modality]: rng.normal(size=size)}
        if modality == "audio":
            return {"audio": made_up_sound(rng)}
        if modality == "visual":
            return {"video": rng.integers(256, size=(8, 64, 64, 3), dtype=np.uint8)}
        return {}

    # Saving and sharing.

    @classmethod
    def get_processor_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """As in transformers, which takes the parameters of any processor, or the defaults where there are none.

        Raises:
            DialogueError: there are none, or those of another processor; the message names its class.
        """
        place = str(pretrained_model_name_or_path)
        parameters, others = super().get_processor_dict(pretrained_model_name_or_path, **kwargs)
        if not parameters:
            raise DialogueError(f"{place}: has no processor_config.json; give the folder or the id of a processor")
        saved_by = parameters.get("processor_class", cls.__name__)
        if saved_by not in (kind.__name__ for kind in cls.__mro__):
            raise DialogueError(
                f"{place}: its processor is a {saved_by}, not a {cls.__name__}; load it by {saved_by} or AutoProcessor"
            )
        return parameters, others

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs: Any) -> Any:
        """As in transformers; `push_to_hub=True` pushes as the method of that name does."""
        files = super().save_pretrained(os.fspath(save_directory))
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", Path(save_directory).name), **kwargs)
        return files

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> Any:
        """As in transformers; where `joyful_hf` is imported, as `joyful_hf.hub.push.push_processor` says."""
        if self.pusher is None:
            return super().push_to_hub(repo_id, **kwargs)
        return self.pusher(repo_id, **kwargs)

    # Training.

    @classmethod
    def from_dialogues(cls, dialogues: Iterable[Dialogue], **parameters: Any) -> Self:
        """Make a processor to measure for a training set; parameters that are given are not inferred."""
        raise NotImplementedError

    @classmethod
    def published_parameters(cls, dialogues: Iterable[Dialogue]) -> dict[str, Any]:
        """Return the parameters that a published form of the model asks for, with room for these dialogues."""
        return {}

    def model_kwargs(self) -> dict[str, Any]:
        """Return what a model's config must share with this processor; a family adds its sizes to the labels.

        Raises:
            DialogueError: the labels of the training dialogues are too few for a classifier.
        """
        if self.problem_type == SINGLE_LABEL and self.label2id and len(self.label2id) == 1:
            raise DialogueError(f"the training dialogues have one label only, {next(iter(self.label2id))!r}")
        if self.problem_type == MULTI_LABEL and not self.label2id:
            raise DialogueError("no utterance of the training dialogues has a label in its list")
        shared: dict[str, Any] = {}
        if self.problem_type is not None:
            shared["problem_type"] = self.problem_type
        if self.label2id:
            shared["label2id"] = dict(self.label2id)
            shared["id2label"] = dict(sorted((index, label) for label, index in self.label2id.items()))
        elif self.problem_type == REGRESSION:
            shared["num_labels"] = 1  # of several values, each has a name
        return shared

    # From dialogues to a batch.

    def __call__(
        self,
        dialogues: Dialogue | Iterable[Dialogue],
        return_tensors: str | None = None,
        return_labels: bool = True,
    ) -> BatchFeature:
        """Turn one dialogue or a list of dialogues into a batch.

        Args:
            dialogues: records with `utterances`, see the README.
            return_tensors: `"pt"` for torch tensors, None for numpy arrays.
            return_labels: False leaves labels out, even labels that the processor does not know.

        Raises:
            DialogueError: bad input; the message names the dialogue and the utterance.
        """
        return self.pack(self.encode(dialogues, return_labels), return_tensors)

    def encode(
        self, dialogues: Dialogue | Iterable[Dialogue], return_labels: bool = True, first_position: int = 0
    ) -> list[Any]:
        """Check the dialogues and turn them into examples: the part of the work that need not be repeated.

        Args:
            dialogues, return_labels: as in `__call__`.
            first_position: position of the first dialogue, where these are part of a longer list; messages name it
                where a dialogue has no id.

        Returns:
            A list of `EncodedExample`, which hold the utterances in their order.

        Raises:
            DialogueError: bad input, or features of another extractor than this processor's.
        """
        dialogue_list = as_dialogue_list(dialogues)
        check_origin(dialogue_list, self.extractors, first_position)
        return self.encode_named(name_utterances(dialogue_list, first_position), return_labels)

    def encode_parts(self, dialogues: Sequence[Dialogue]) -> Iterator[list[Any]]:
        """Encode dialogues that need not fit into memory: yield examples of some, then of the next ones.

        Together they are what `encode` gives, with its errors.
        """
        check_origin(dialogues, self.extractors)
        problem_type = self.problem_type or infer_problem_type(name_utterances(dialogues)) or SINGLE_LABEL
        with self.one_notice():
            for first in range(0, len(dialogues), _DIALOGUES_OF_A_PART):
                part = name_utterances(dialogues[first : first + _DIALOGUES_OF_A_PART], first)
                yield self.encode_named(part, return_labels=True, problem_type=problem_type)

    def encode_named(
        self, named: Sequence[NamedUtterances], return_labels: bool, problem_type: str | None = None
    ) -> list[Any]:
        """Encode utterances that have been checked, each dialogue's after the name that messages call it by.

        Args:
            problem_type: as in transformers, where these are some dialogues of many; by default their labels tell it.
        """
        for name, utterances in named:
            warn_of_unknown_keys(name, utterances)
        if return_labels and problem_type is None:
            problem_type = self.problem_type or infer_problem_type(named) or SINGLE_LABEL
        encoded = self._encode(named, problem_type)
        _name(encoded, named)
        with self.one_notice() as counts:
            counts.add(encoded, getattr(self, "modality_weights", None))
        return encoded

    @contextmanager
    def one_notice(self) -> Generator[InputCounts, None, None]:
        """Tell at the end of the block, of all that is encoded in it, what is unlike the training set.

        A block inside another one leaves it to that; where there is none, each call of `encode` tells for itself.
        """
        if self._counts is not None:
            yield self._counts
            return
        self._counts = InputCounts(getattr(self, "usual_inputs", None) or {})
        try:
            yield self._counts
            warn_of_unusual(self._counts)
        finally:
            self._counts = None

    def _encode(self, named: Sequence[NamedUtterances], problem_type: str | None) -> list[Any]:
        """Encode checked utterances; without a problem type, labels are left out."""
        raise NotImplementedError

    def encode_next(self, utterance: Any, name: str, speakers: dict[str, int]) -> Any:
        """Encode one more utterance of a dialogue whose earlier ones need not be at hand.

        Args:
            utterance: the record.
            name: how messages call the dialogue.
            speakers: ids of those who have spoken in the dialogue; a new speaker is added.

        Returns:
            An example of this utterance only.

        Raises:
            DialogueError: bad input; the message calls the utterance the dialogue's first.
        """
        return self.encode_named([(name, get_utterances({"utterances": [utterance]}, name))], return_labels=False)[0]

    def join(self, encoded: Sequence[Any]) -> list[Any]:
        """Join what `encode_next` made of utterances that follow each other into examples as `encode` makes them."""
        return list(encoded)

    def pack(self, encoded: Sequence[Any], return_tensors: str | None = None) -> BatchFeature:
        """Join examples into one batch; the keys and shapes are those of `__call__`."""
        raise NotImplementedError


def _name(encoded: Iterable[EncodedExample], named: Iterable[NamedUtterances]) -> None:
    """Give each example the name of its dialogue, or of its utterance where it is a part of one."""
    examples = iter(encoded)
    for name, utterances in named:
        position = 0
        while position < len(utterances):
            example = next(examples)
            example.name = name if len(example) == len(utterances) else utterance_name(name, position)
            position += max(1, len(example))


def made_up_sound(rng: np.random.Generator, sampling_rate: int = 16000) -> dict[str, Any]:
    """Make up a second of `audio` for an example."""
    return {"array": rng.normal(scale=0.1, size=sampling_rate), "sampling_rate": sampling_rate}
