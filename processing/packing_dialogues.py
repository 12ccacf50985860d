"""Encoded dialogues, and how they are joined into one packed graph batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from .dialogues import MODALITIES
from .processor_base import EncodedExample
from .tokens import Tokens


@dataclass
class EncodedDialogue(EncodedExample):
    """One dialogue as arrays, ready to be packed with others. n is its number of utterances."""

    features: dict[str, np.ndarray]
    """Modality -> (n, dim) float32, standardised, zeros where absent."""
    modality_mask: np.ndarray
    """(n, 3) bool: text, audio, visual present."""
    speaker_ids: np.ndarray
    """(n,) int64."""
    labels: np.ndarray | None
    """As `labels` of the batch, or None where no label was asked for."""
    tokens: Tokens | None = None
    """Of each utterance's text, if the processor has a tokenizer."""

    def __len__(self) -> int:
        return len(self.speaker_ids)

    @property
    def present(self) -> np.ndarray:
        """As in the base class."""
        return self.modality_mask

    def keep_modalities(self, kept: np.ndarray) -> Self:
        """As in the base class; features are zeros where they are hidden, for a model that does not read the mask."""
        columns = {modality: kept[:, index, None] for index, modality in enumerate(MODALITIES)}
        features = {modality: np.where(columns[modality], rows, 0) for modality, rows in self.features.items()}
        return replace(self, features=features, modality_mask=self.modality_mask & kept)


def joined_tokens(encoded: Sequence[EncodedDialogue]) -> Tokens:
    """Return the tokens of several dialogues, one after the other."""
    return Tokens.join([one.tokens for one in encoded if one.tokens is not None])
