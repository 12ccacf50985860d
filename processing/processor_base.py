"""What the processors of all families share: labels, and the way from dialogues to examples to a batch."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
from transformers import BatchFeature, ProcessorMixin

from .dialogues import (
    Dialogue,
    Utterance,
    as_dialogue_list,
    dialogue_name,
    get_utterances,
)
from .labels import (
    PROBLEM_TYPES,
    REGRESSION,
    SINGLE_LABEL,
    infer_problem_type,
    known_labels,
)

# What messages call a dialogue, and its utterances.
NamedUtterances = tuple[str, Sequence[Utterance]]


class EncodedExample:
    """What a data set holds of a dialogue, or of an utterance where a model sees one at a time, as arrays."""

    labels: np.ndarray | None
    """Of each utterance, as `labels` of the batch, or None where no label was asked for."""

    def __len__(self) -> int:
        """Number of utterances."""
        raise NotImplementedError

    @property
    def present(self) -> np.ndarray:
        """(utterances, 3) bool: text, audio, visual present."""
        raise NotImplementedError

    def keep_modalities(self, kept: np.ndarray) -> Self:
        """A copy whose utterances have only those of their modalities that `kept` (utterances, 3) bool names."""
        raise NotImplementedError

    @property
    def has_labels(self) -> bool:
        """Whether at least one label is known."""
        return self.labels is not None and bool(known_labels(self.labels).any())


class EmotionRecognitionProcessor(ProcessorMixin):
    """Base of every family's processor; a family says how to encode a dialogue and how to pack a batch.

    Args:
        label2id: class name -> index; string labels need it.
        problem_type: as in transformers. By default a list is multi-label, a float is regression, and the
            rest is single-label.

    Raises:
        ValueError: a parameter that is out of its range.
    """

    # Nothing but "no special tokens": the Trainer asks the tokenizer of every processor for them.
    tokenizer: Any = SimpleNamespace(eos_token_id=None, bos_token_id=None, pad_token_id=None)

    pusher: Callable[..., Any] | None = None
    """What `push_to_hub` does; `joyful_hf` sets its `push_processor` here, or else transformers' own is done."""

    def __init__(self, label2id: dict[str, int] | None = None, problem_type: str | None = None) -> None:
        super().__init__()
        self.label2id = label2id
        self.problem_type = problem_type
        if label2id and set(label2id.values()) != set(range(len(label2id))):
            raise ValueError(f"label2id must number the labels from 0 to {len(label2id) - 1}, got {label2id}")
        if problem_type is not None and problem_type not in PROBLEM_TYPES:
            raise ValueError(f"unknown problem_type {problem_type!r}; choose from {', '.join(PROBLEM_TYPES)}")

    def _check_least(self, least: dict[str, int]) -> None:
        """Raises a ValueError unless each of these parameters is an int of at least so much."""
        for name, minimum in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
                raise ValueError(f"{name} must be an int of at least {minimum}, got {value!r}")

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

    @classmethod
    def from_dialogues(cls, dialogues: Iterable[Dialogue], **parameters: Any) -> Self:
        """A processor made to measure for a training set; parameters that are given are not inferred."""
        raise NotImplementedError

    @classmethod
    def published_parameters(cls, dialogues: Iterable[Dialogue]) -> dict[str, Any]:
        """Parameters that a published form of the model asks for, with room for these dialogues."""
        return {}

    @property
    def reads_anything(self) -> bool:
        """Whether at least one modality is part of the model."""
        raise NotImplementedError

    def model_kwargs(self) -> dict[str, Any]:
        """What a model's config must share with this processor; a family adds its sizes to the labels."""
        shared: dict[str, Any] = {}
        if self.problem_type is not None:
            shared["problem_type"] = self.problem_type
        if self.label2id:
            shared["label2id"] = dict(self.label2id)
            shared["id2label"] = dict(sorted((index, label) for label, index in self.label2id.items()))
        elif self.problem_type == REGRESSION:
            shared["num_labels"] = 1
        return shared

    def __call__(
        self,
        dialogues: Dialogue | Iterable[Dialogue],
        return_tensors: str | None = None,
        return_labels: bool = True,
    ) -> BatchFeature:
        """One dialogue or a list of dialogues -> a batch.

        Args:
            dialogues: records with `utterances`, see the README.
            return_tensors: `"pt"` for torch tensors, None for numpy arrays.
            return_labels: False leaves labels out, also such as the processor does not know.

        Raises:
            DialogueError: bad input; the message names the dialogue and the utterance.
        """
        return self.pack(self.encode(dialogues, return_labels), return_tensors)

    def encode(
        self, dialogues: Dialogue | Iterable[Dialogue], return_labels: bool = True, first_position: int = 0
    ) -> list[Any]:
        """Check the dialogues and turn them into examples: the part of the work that need not be repeated.

        Args:
            first_position: what messages call the first dialogue if it has no id, where the list is a part.

        Returns:
            A list of `EncodedExample`, which hold the utterances in their order.
        """
        named = []
        for position, dialogue in enumerate(as_dialogue_list(dialogues), first_position):
            name = dialogue_name(dialogue, position)
            named.append((name, get_utterances(dialogue, name)))
        return self.encode_named(named, return_labels)

    def encode_named(self, named: Sequence[NamedUtterances], return_labels: bool) -> list[Any]:
        """`encode` of utterances that have been checked, each dialogue's after what messages call it."""
        problem_type = None
        if return_labels:
            problem_type = self.problem_type or infer_problem_type(named) or SINGLE_LABEL
        return self._encode(named, problem_type)

    def _encode(self, named: Sequence[NamedUtterances], problem_type: str | None) -> list[Any]:
        raise NotImplementedError

    def encode_next(self, utterance: Any, name: str, speakers: dict[str, int]) -> Any:
        """One more utterance of a dialogue whose earlier ones need not be at hand -> an example of it alone.

        Args:
            name: what messages call the dialogue.
            speakers: the ids of those who have spoken in it; a new speaker is entered.

        Raises:
            DialogueError: bad input; the message calls the utterance the dialogue's first.
        """
        return self.encode_named([(name, get_utterances({"utterances": [utterance]}, name))], return_labels=False)[0]

    def join(self, encoded: Sequence[Any]) -> list[Any]:
        """What `encode_next` made of utterances that follow each other -> examples as `encode` makes them."""
        return list(encoded)

    def pack(self, encoded: Sequence[Any], return_tensors: str | None = None) -> BatchFeature:
        """Join examples into one batch; the keys and shapes are those of `__call__`."""
        raise NotImplementedError
