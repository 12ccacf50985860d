"""Audio-video emotion alignment (AVEL): utterances of the same emotion lie close to each other across modalities."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import ConversionOps, WeightConverter

from .configuration_foal_net import FoalNetConfig
from .dropout import Dropout
from .precision import full_precision

# CLIP's own limit: a larger scale makes training unstable.
_LARGEST_SCALE = 100.0


class ProjectionHead(nn.Module):
    """CLIP's head: a linear layer and a correction of it, normalised."""

    def __init__(self, in_size: int, size: int, dropout: float) -> None:
        super().__init__()
        self.input = nn.Linear(in_size, size, bias=False)
        self.correction = nn.Linear(size, size, bias=False)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(size)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, in size) -> unit vectors (B, size) float32."""
        projected = self.input(pooled)
        corrected = self.dropout(self.correction(functional.gelu(projected)))
        return functional.normalize(self.norm(projected + corrected).float(), dim=-1)


class AsVector(ConversionOps):
    """Read a number that an older checkpoint keeps without dimensions as a vector of one entry."""

    def convert(
        self, input_dict: dict[str, Any], source_patterns: list[str], target_patterns: list[str], **kwargs: Any
    ) -> dict[str, Any]:
        """One tensor, alone or in a list -> the same under the target's name, (1,)."""
        del source_patterns, kwargs
        ((given,), (name,)) = input_dict.values(), target_patterns
        return {name: (given[0] if isinstance(given, list) else given).reshape(1)}

    @property
    def reverse_op(self) -> "AsVector":
        """The same: it is saved as it is."""
        return self


_NUMBERS = ("logit_scale", "temperature")
# For `from_pretrained`; `EmotionAlignment._load_from_state_dict` is for `load_state_dict`.
register_checkpoint_conversion_mapping(
    FoalNetConfig.model_type,
    [WeightConverter(f"alignment.{name}", f"alignment.{name}", [AsVector()]) for name in _NUMBERS],
    overwrite=True,
)


class EmotionAlignment(nn.Module):
    """Similarities between the utterances of two modalities, and the loss that aligns them by emotion.

    Its learnt number is a vector of one entry, as FSDP2 refuses parameters without dimensions.
    """

    without_weight_decay = _NUMBERS

    def __init__(self, config: FoalNetConfig) -> None:
        super().__init__()
        self.config = config
        self.logit_scale: nn.Parameter | None = None
        self.temperature: nn.Parameter | None = None
        if config.temperature_mode == "clip":
            self.logit_scale = nn.Parameter(torch.empty(1))
        else:
            self.temperature = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the temperature of the config."""
        start = self.config.initial_temperature
        assert start is not None  # the config has filled it in
        if self.logit_scale is not None:
            init.constant_(self.logit_scale, math.log(1 / start))
        if self.temperature is not None:
            init.constant_(self.temperature, start)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        for name in _NUMBERS:
            if (number := state_dict.get(prefix + name)) is not None:
                state_dict[prefix + name] = number.reshape(1)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def similarity(self, anchors: Tensor, others: Tensor) -> Tensor:
        """(B, size) and (B, size) unit vectors -> (B, B) logits, anchors in the rows."""
        with full_precision(anchors):
            cosines = anchors.float() @ others.float().T
            if self.logit_scale is not None:
                return cosines * self.logit_scale.float().exp().clamp(max=_LARGEST_SCALE)
            assert self.temperature is not None
            return cosines / self.temperature.float()

    def loss(self, similarity: Tensor, same: Tensor, takes_part: Tensor, own: slice = slice(None)) -> Tensor:
        """() mean of both directions over the utterances that take part; 0 if there are none.

        Args:
            similarity: (N, N).
            same: (n, N) bool, pairs of the same emotion.
            takes_part: (N,) bool, utterances with both modalities and a known label.
            own: the n utterances that the mean is over, all by default.
        """
        pairs = takes_part[own, None] & takes_part
        lowest = torch.finfo(similarity.dtype).min
        logits = similarity.masked_fill(~takes_part, lowest), similarity.T.masked_fill(~takes_part, lowest)
        positive = same & pairs
        return torch.stack([self._one_direction(rows[own], positive, takes_part[own]) for rows in logits]).mean()

    def _one_direction(self, logits: Tensor, positive: Tensor, takes_part: Tensor) -> Tensor:
        of_each = -torch.where(positive, logits.log_softmax(-1), 0.0).sum(-1)
        if self.config.avel_normalize:
            of_each = of_each / positive.sum(-1).clamp(min=1)
        return (of_each * takes_part).sum() / takes_part.sum().clamp(min=1)
