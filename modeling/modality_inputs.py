"""The features that a model reads: zero where a modality is absent, and some of them hidden in training."""

import torch
from torch import Tensor, nn

from .batch_contract import MODALITIES
from .dropout import Dropout


class ModalityInputs(nn.Module):
    """The model's modalities of a batch, and where each is present.

    Args:
        modalities: those that are part of the model.
        dropout: of the feature vectors.
        modality_dropout: how often training hides a modality of an utterance that has another one left.
    """

    def __init__(self, modalities: list[str], dropout: float, modality_dropout: float) -> None:
        super().__init__()
        self.modalities = modalities
        self.modality_dropout = modality_dropout
        self.dropout = Dropout(dropout)

    def forward(
        self, given: dict[str, Tensor | None], modality_mask: Tensor | None, dtype: torch.dtype
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Modality -> (N, dim) and (N, 3) bool; returns modality -> (N, dim) and modality -> (N, 1) bool."""
        used = {name: given[name] for name in self.modalities}
        present = {}
        for column, name in enumerate(MODALITIES):
            if (feature := used.get(name)) is not None:
                here = torch.ones_like(feature[:, :1], dtype=torch.bool)
                present[name] = here if modality_mask is None else modality_mask[:, column : column + 1]
        if self.training and self.modality_dropout:
            present = drop_modalities(present, self.modality_dropout)
        features = {}
        for name, feature in used.items():
            assert feature is not None  # check_batch has seen to that
            # where, not a product: what stands in an absent row may be anything, NaN too.
            kept = torch.where(present[name], feature.to(dtype), torch.zeros((), device=feature.device).to(dtype))
            features[name] = self.dropout(kept)
        return features, present


def drop_modalities(present: dict[str, Tensor], rate: float) -> dict[str, Tensor]:
    """Hide each modality of each utterance with probability `rate`, but never the last one that it has.

    Args:
        present: modality -> (N, 1) bool.
    """
    kept = {name: here & (torch.rand(here.shape, device=here.device) >= rate) for name, here in present.items()}
    something_left = torch.stack(list(kept.values())).any(0)
    return {name: torch.where(something_left, kept[name], here) for name, here in present.items()}
