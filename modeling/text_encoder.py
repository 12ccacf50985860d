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
        num_layers: how many of its last layers are pooled, each by itself, and joined.

    Raises:
        ValueError: the config is not that of a model that turns tokens into as many vectors.
    """

    def __init__(self, config: Any, pooling: str, trainable: bool, num_layers: int = 1) -> None:
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
        self.num_layers = num_layers
        self.norm = nn.LayerNorm(num_layers * encoder.config.hidden_size)
        self.freeze()

    @classmethod
    def of(cls, config: DialogueConfig) -> Self | None:
        """The encoder of a model of this config, or None if its text comes as features."""
        if config.text_config is None:
            return None
        layers = config.text_encoder_layers or 1  # a number once the config is made
        return cls(config.text_config, config.text_pooling, config.unfreeze_text_encoder, layers)

    def elements_per_input(self) -> int:
        """As in the base class; the widest layer holds four times the hidden size, beside those that are kept."""
        return (3 + self.num_layers) * self.encoder.config.hidden_size

    def pool(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """As in the base class."""
        layers = self._last_layers(inputs, mask)
        if self.pooling == "cls":
            return torch.cat([hidden[:, 0] for hidden in layers], dim=-1)
        total = [torch.where(mask[..., None], hidden.float(), 0.0).sum(1) for hidden in layers]
        return torch.cat(total, dim=-1) / mask.sum(-1, keepdim=True)

    def _last_layers(self, inputs: Tensor, mask: Tensor) -> list[Tensor]:
        """The hidden states (n, T, hidden size) of the layers that are pooled, the last one behind its last norm."""
        several = self.num_layers > 1
        output = self.encoder(input_ids=inputs, attention_mask=mask.long(), output_hidden_states=several)
        before = list(output.hidden_states[-self.num_layers : -1]) if several else []
        return [*before, output.last_hidden_state]
