"""The features that a model reads, with a stand-in for absent modalities and some of them hidden in training."""

import math
from typing import Self

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .batch_contract import MODALITIES
from .configuration_dialogue import DialogueConfig
from .dropout import Dropout
from .layer_mixture import LayerMixture
from .reach import ALONE

# The stand-ins for an absent modality: nothing at all, or a vector of features that training finds.
ZEROS, LEARNT = "zeros", "learnt"


class LearntVectors(nn.ParameterDict):
    """Modality -> (dim,) stand-in where it is absent; at first zeros, the mean of standardised features."""

    def __init__(self, dims: dict[str, int]) -> None:
        super().__init__({name: nn.Parameter(torch.empty(dim)) for name, dim in dims.items()})
        self.reset_parameters()

    @property
    def without_weight_decay(self) -> tuple[str, ...]:
        """All of them: decay would pull them back to where they began."""
        return tuple(self.keys())

    def reset_parameters(self) -> None:
        """Set them to zeros."""
        for vector in self.values():
            init.zeros_(vector)


class ModalityInputs(nn.Module):
    """The model's modalities of a batch, and where each is present.

    Args:
        modality_dims: size of the vectors of the modalities that are part of the model, their layers mixed.
        dropout: of the feature vectors.
        modality_dropout: how often training hides a modality of an utterance that has another one left.
        absent_modality: `"zeros"`, or `"learnt"` for a vector of its own in place of each absent modality.
        feature_layers: modality -> how many layers lie side by side in its features, to be mixed.
    """

    reach = ALONE

    def __init__(
        self,
        modality_dims: dict[str, int],
        dropout: float,
        modality_dropout: float,
        absent_modality: str = ZEROS,
        feature_layers: dict[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.modalities = list(modality_dims)
        self.modality_dropout = modality_dropout
        self.dropout = Dropout(dropout)
        self.mixtures = nn.ModuleDict({name: LayerMixture(count) for name, count in (feature_layers or {}).items()})
        self.absent = LearntVectors(modality_dims) if absent_modality == LEARNT else None

    @classmethod
    def of(cls, config: DialogueConfig) -> Self:
        """The inputs of a model of this config."""
        return cls(
            config.modality_dims,
            config.input_dropout_prob,
            config.modality_dropout_prob,
            config.absent_modality,
            config.feature_layers,
        )

    def forward(
        self, given: dict[str, Tensor | None], modality_mask: Tensor | None, dtype: torch.dtype
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Modality -> (N, dim) and (N, 3) bool; returns modality -> (N, dim) and modality -> (N, 1) bool.

        Layers that lie side by side come in as (N, layers * dim).

        A stand-in for an absent modality is no observation: it is not present, and no loss may count it.
        """
        used = {name: given[name] for name in self.modalities}
        present = {}
        for column, name in enumerate(MODALITIES):
            if (feature := used.get(name)) is not None:
                if modality_mask is None:
                    present[name] = torch.ones_like(feature[:, :1], dtype=torch.bool)
                else:
                    present[name] = modality_mask[:, column : column + 1]
        if self.training and self.modality_dropout:
            present = drop_modalities(present, self.modality_dropout)
        features = {}
        for name, feature in used.items():
            assert feature is not None  # check_batch has made sure
            # where, not a product: what stands in an absent row may be anything, NaN too.
            kept = torch.where(present[name], feature.to(dtype), 0)
            if name in self.mixtures:
                kept = self.mixtures[name](kept)
            if self.absent is not None:
                kept = torch.where(present[name], kept, self.absent[name].to(dtype))
            features[name] = self.dropout(kept)
        return features, present


def silence_absent(rows: Tensor, present: Tensor, absent_modality: str) -> Tensor:
    """Set a layer's rows (N, size) to zeros unless the modality is present (N, 1) bool, whatever the layer's bias.

    A learnt vector stands in for an absent modality in order to be read: its rows stay.
    """
    return rows if absent_modality == LEARNT else torch.where(present, rows, 0)


def readable(present: dict[str, Tensor], absent_modality: str) -> dict[str, Tensor]:
    """Modality -> (N, 1) bool: the utterances whose rows others may read, all of them with learnt stand-ins."""
    if absent_modality != LEARNT:
        return present
    return {name: torch.ones_like(here) for name, here in present.items()}


def softmax_over_modalities(scores: Tensor, seen: Tensor) -> Tensor:
    """Softmax over the modalities of scores (modalities, N, ...), of those that are seen (modalities, N, 1) bool.

    An utterance without any has equal weights.
    """
    allowed = seen | ~seen.any(0)
    return scores.float().masked_fill(~allowed, -math.inf).softmax(0).to(scores.dtype)


def drop_modalities(present: dict[str, Tensor], rate: float) -> dict[str, Tensor]:
    """Hide each modality of each utterance with probability `rate`, but never the last one that it has.

    Args:
        present: modality -> (N, 1) bool.
    """
    kept = {name: here & (torch.rand(here.shape, device=here.device) >= rate) for name, here in present.items()}
    something_left = torch.stack(list(kept.values())).any(0)
    return {name: torch.where(something_left, kept[name], here) for name, here in present.items()}
