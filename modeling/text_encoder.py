"""One vector per utterance from its tokens by an encoder of transformers, independent of the rest of the batch."""

from typing import Any, Self

import torch
from torch import Tensor, nn

from .chunks import rows_at_a_time
from .configuration_dialogue import DialogueConfig
from .inner_encoder import PretrainedEncoder, build_encoder
from .reach import ALONE


class TextEncoder(PretrainedEncoder):
    """An encoder of text (BERT, RoBERTa, MiniLM, ...), pooled and normalised.

    A layer norm brings the vectors to entries of about unit size, as standardised features have; it learns with the
    rest of the model.

    Args:
        config: of transformers.
        pooling: `"mean"` over the tokens, or `"cls"`, the vector of the first one.
        trainable: whether the encoder itself learns. Otherwise it has no gradient, and no dropout in training, unless
            one of its parameters asks for a gradient: those of an adapter (LoRA) do.

    Raises:
        ValueError: the config is not that of a model that turns tokens into as many vectors.
    """

    reach = ALONE

    def __init__(self, config: Any, pooling: str, trainable: bool) -> None:
        encoder = None if config.is_encoder_decoder else build_encoder(config)
        if encoder is None or encoder.main_input_name != "input_ids":
            raise ValueError(
                f"text_config is of type {config.model_type!r}, which is no encoder of text; take one like BERT or "
                "RoBERTa, or give text_dim and precomputed text_features"
            )
        if hasattr(encoder, "pooler"):
            encoder.pooler = None  # a head for another task, which no loss would reach
        super().__init__(encoder)
        self.pooling = pooling
        self.trainable = trainable
        self.norm = nn.LayerNorm(encoder.config.hidden_size)
        self.freeze()

    @classmethod
    def of(cls, config: DialogueConfig) -> Self | None:
        """The encoder of a model of this config, or None if its text comes as features."""
        if config.text_config is None:
            return None
        return cls(config.text_config, config.text_pooling, config.unfreeze_text_encoder)

    def freeze(self) -> None:
        """Switch off the gradients of an encoder that is not to learn; loading switches them on again."""
        if not self.trainable:
            self.encoder.requires_grad_(False)
            self.encoder.eval()

    @property
    def learns(self) -> bool:
        """Whether a parameter of the encoder asks for a gradient, an adapter's included."""
        return any(parameter.requires_grad for parameter in self.encoder.parameters())

    def train(self, mode: bool = True) -> Self:
        """As in torch; an encoder that does not learn stays in evaluation mode."""
        super().train(mode)
        self.encoder.train(mode and self.learns)
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Tokens (N, T) and their mask (N, T), 1 = real, padded at the end -> (N, hidden size).

        Zeros where an utterance has no token.
        """
        real = attention_mask.bool()
        present = real.any(-1, keepdim=True)
        # An absent text is read as one token, which no attention turns into NaN, and then dropped.
        read = real | (~present & (torch.arange(real.size(1), device=real.device) == 0))
        encode = self._encode if torch.compiler.is_compiling() else self._encode_in_chunks
        return torch.where(present, self.norm(encode(input_ids, read)), torch.zeros((), device=real.device))

    def _encode_in_chunks(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Encode the shortest first, as many at a time as suit the device: little padding, and little memory."""
        lengths = mask.sum(-1).cpu()
        order = lengths.argsort(stable=True)
        tokens = rows_at_a_time(4 * self.encoder.config.hidden_size, mask.device)
        chunks = similar_chunks(lengths[order].tolist(), tokens)
        order = order.to(mask.device)
        vectors = []
        for rows, (_, longest) in zip(order.split([size for size, _ in chunks]), chunks, strict=True):
            vectors.append(self._encode(input_ids[rows, :longest], mask[rows, :longest]))
        return torch.cat(vectors)[order.argsort()]

    def _encode(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """(n, T) -> (n, hidden size), pooled in full precision."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.learns):
            hidden = self.encoder(input_ids=input_ids, attention_mask=mask.long()).last_hidden_state
            if self.pooling == "cls":
                pooled = hidden[:, 0]
            else:
                total = torch.where(mask[..., None], hidden.float(), 0.0).sum(1)
                pooled = total / mask.sum(-1, keepdim=True)
        return pooled.to(self.norm.weight.dtype)


def similar_chunks(lengths: list[int], tokens: int) -> list[tuple[int, int]]:
    """Cut ascending lengths into chunks of at most so many tokens with their padding, at least one text each.

    Returns:
        Texts and longest length of each chunk.
    """
    chunks: list[tuple[int, int]] = []
    for length in lengths:
        if chunks and (chunks[-1][0] + 1) * length <= tokens:
            chunks[-1] = (chunks[-1][0] + 1, length)
        else:
            chunks.append((1, length))
    return chunks
