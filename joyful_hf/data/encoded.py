"""Dialogues as arrays, encoded once, and the collator that packs them into batches."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from ..processing import EmotionRecognitionProcessor, EncodedExample
from ..processing.dialogues import as_dialogue_list
from ..runs.summary import DataSummary, summarize_data


class EncodedDialogues(Dataset):
    """A data set of dialogues, checked and turned into arrays once, before the first step is made.

    Its rows are the processor's examples: dialogues, or utterances for a family that sees one at a time.
    """

    def __init__(
        self,
        dialogues: Any,
        processor: EmotionRecognitionProcessor,
        source: str | None = None,
        held_out: bool = False,
    ) -> None:
        """Encode the dialogues.

        Args:
            source: file or Hub id, for the model card.
            held_out: whether they were drawn from the training dialogues of `source`.
        """
        if not isinstance(dialogues, Iterable):  # a torch data set needs no more than a length and an index
            dialogues = [dialogues[index] for index in range(len(dialogues))]
        dialogues = as_dialogue_list(dialogues)
        self.encoded: list[EncodedExample] = processor.encode(dialogues)
        self.num_dialogues = len(dialogues)
        self.max_speakers = max(len({one["speaker"] for one in dialogue["utterances"]}) for dialogue in dialogues)
        self.source = source
        self.held_out = held_out

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> EncodedExample:
        return self.encoded[index]

    @property
    def has_labels(self) -> bool:
        """Whether the label of at least one utterance is known."""
        return any(example.has_labels for example in self.encoded)

    def summarize(self, id2label: Mapping[int, str]) -> DataSummary:
        """What a model card says of these dialogues."""
        return summarize_data(
            self.encoded, self.num_dialogues, self.max_speakers, id2label, self.source, self.held_out
        )


class DialogueCollator:
    """Dialogues, encoded or not, -> one batch of torch tensors."""

    def __init__(self, processor: EmotionRecognitionProcessor) -> None:
        self.processor = processor

    def __call__(self, dialogues: list[Any]) -> dict[str, Tensor]:
        if isinstance(dialogues[0], EncodedExample):
            return self.processor.pack(dialogues, return_tensors="pt").data
        return self.processor(dialogues, return_tensors="pt").data
