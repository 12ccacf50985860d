"""Dialogues as arrays, encoded once, and the collator that packs them into batches."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from ..io.messages import counted
from ..modeling.prediction import with_layout
from ..processing import MODALITIES, DialogueError, EmotionRecognitionProcessor, EncodedExample
from ..processing.dialogues import as_dialogue_list, most_speakers
from ..processing.media import audio_of, medium_name
from ..runs.summary import DataSummary, summarize_data
from .stored_examples import stored_examples


class EncodedDialogues(Dataset):
    """A data set of dialogues, checked and turned into arrays once, before the first step is made.

    Arrays that are too many for memory lie in a file that is mapped into it. The rows are the processor's examples:
    dialogues, or utterances for a family that sees one at a time.

    Args:
        dialogues: records; the result of `read_dialogues` where they have other uses too.
        processor: encodes them.
        source: how a model card calls the data: a file or a Hub id.
        held_out: whether they were drawn from the training dialogues of `source`.
    """

    def __init__(
        self,
        dialogues: Any,
        processor: EmotionRecognitionProcessor,
        source: str | None = None,
        held_out: bool = False,
    ) -> None:
        if not isinstance(dialogues, Iterable):  # a torch data set needs no more than a length and an index
            dialogues = [dialogues[index] for index in range(len(dialogues))]
        dialogues = as_dialogue_list(dialogues)
        self.encoded: Sequence[EncodedExample] = stored_examples(processor.encode_parts(dialogues))
        _refuse_nothing_heard(dialogues, self.encoded, processor)
        self.num_dialogues = len(dialogues)
        self.max_speakers = most_speakers(dialogues)
        self.source = source
        self.held_out = held_out

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> EncodedExample:
        return self.encoded[index]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that a model sees of these dialogues, in their order."""
        digest = hashlib.sha256()
        for index in range(len(self)):
            _add_to(digest, vars(self[index]) | {"name": None})  # they may be named by their positions
        return digest.hexdigest()

    @property
    def has_labels(self) -> bool:
        """Whether the label of at least one utterance is known."""
        return any(example.has_labels for example in self.encoded)

    @property
    def has_votes(self) -> bool:
        """Whether the label of at least one utterance is the votes of several annotators."""
        return any(example.label_shares is not None for example in self.encoded)

    def summarize(self, config: Any) -> DataSummary:
        """Summarise these dialogues for the card of a model with this configuration."""
        return summarize_data(self.encoded, self.num_dialogues, self.max_speakers, config, self.source, self.held_out)


def _add_to(digest: Any, value: Any) -> None:
    """Add the arrays, words and numbers of an example to a hash."""
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif isinstance(value, Mapping):
        for key in sorted(value):
            digest.update(str(key).encode())
            _add_to(digest, value[key])
    elif is_dataclass(value):
        _add_to(digest, vars(value))
    else:
        digest.update(repr(value).encode())


def _refuse_nothing_heard(
    dialogues: Sequence[Any], encoded: Sequence[EncodedExample], processor: EmotionRecognitionProcessor
) -> None:
    """Raise a DialogueError if there are recordings and the processor, which reads them itself, could read none."""
    if not processor.reads_media or any(example.present[:, MODALITIES.index("audio")].any() for example in encoded):
        return
    recorded = [
        utterance for dialogue in dialogues for utterance in dialogue["utterances"] if audio_of(utterance) is not None
    ]
    if recorded:
        raise DialogueError(
            f"none of {counted(len(recorded), 'recording')} could be read, the first of which is "
            f"{medium_name(audio_of(recorded[0]))}; the warnings above say why"
        )


class DialogueCollator:
    """Packs dialogues, encoded or not, into one batch of torch tensors.

    Beside the processor's keys a batch of dialogues has `layout`, with which a model asks no accelerator for lengths.
    """

    def __init__(self, processor: EmotionRecognitionProcessor) -> None:
        self.processor = processor

    def __call__(self, dialogues: list[Any]) -> dict[str, Any]:
        if isinstance(dialogues[0], EncodedExample):
            return with_layout(self.processor.pack(dialogues, return_tensors="pt"))
        return with_layout(self.processor(dialogues, return_tensors="pt"))
