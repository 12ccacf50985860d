"""One vector per utterance from its tokens by an encoder of transformers, independent of the rest of the batch."""

from typing import Any, Self

import torch
from torch import Tensor, nn

from .configuration_dialogue import DialogueConfig
from .inner_encoder import build_encoder
from .utterance_encoder import UtteranceEncoder


class TextEncoder(UtteranceEncoder):
    """An encoder of text (BERT, RoBERTa, MiniLM, ...), pooled and normalised.

    Args:
        config: of transformers.
        pooling: `"mean"` over the tokens, or `"cls"`, the vector of the first one.
        trainable: whether the encoder itself learns.

    Raises:
        ValueError: the config is not that of a model that turns tokens into as many vectors.
    """

    def __init__(self, config: Any, pooling: str, trainable: bool) -> None:
        encoder = None if config.is_encoder_decoder else build_encoder(config)
        if encoder is None or encoder.main_input_name != "input_ids":
            raise ValueError(
                f"text_config is of type {config.model_type!r}, which is no encoder of text; take one like BERT or "
                "RoBERTa, or give text_dim and precomputed text_features"
            )
        if hasattr(encoder, "pooler"):
            encoder.pooler = None  # a head for another task, which no loss would reach
        super().__init__(encoder, trainable)
        self.pooling = pooling
        self.norm = nn.LayerNorm(encoder.config.hidden_size)
        self.freeze()

    @classmethod
    def of(cls, config: DialogueConfig) -> Self | None:
        """The encoder of a model of this config, or None if its text comes as features."""
        if config.text_config is None:
            return None
        return cls(config.text_config, config.text_pooling, config.unfreeze_text_encoder)

    def elements_per_input(self) -> int:
        """As in the base class; the widest layer holds four times the hidden size."""
        return 4 * self.encoder.config.hidden_size

    def pool(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """As in the base class."""
        hidden = self.pooled_states(self.encoder(input_ids=inputs, attention_mask=mask.long()))
        if self.pooling == "cls":
            return hidden[:, 0]
        total = torch.where(mask[..., None], hidden.float(), 0.0).sum(1)
        return total / mask.sum(-1, keepdim=True)
