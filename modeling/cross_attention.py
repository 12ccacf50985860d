"""Cross-attention between two streams: the frames of one gather information from those of the other."""

import math
from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .dropout import Dropout
from .streams import FrameStream

# Keys and values of one layer, each (B, heads, S, head size).
Memory = tuple[Tensor, Tensor]
# The stream that asks and the stream that is looked at.
Direction = tuple[str, str]


def direction_name(direction: Direction) -> str:
    """`audio_to_video`: audio asks, video is looked at."""
    return "_to_".join(direction)


class CrossAttentionLayer(nn.Module):
    """Multi-head attention, added to its queries and normalised; no feed-forward part."""

    def __init__(self, query_size: int, memory_size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(query_size, query_size)
        self.key = nn.Linear(memory_size, query_size)
        self.value = nn.Linear(memory_size, query_size)
        self.output = nn.Linear(query_size, query_size)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(query_size)

    def memory(self, frames: Tensor) -> Memory:
        """(B, S, memory size) -> keys and values."""
        return self._heads(self.key(frames)), self._heads(self.value(frames))

    def forward(self, queries: Tensor, memory: Memory, mask: Tensor) -> Tensor:
        """(B, T, query size), with (B, S) bool of real keys. Queries without any key gather nothing."""
        keys, values = memory
        heads = self._heads(self.query(queries))
        has_keys = mask.any(-1)[:, None, None]
        # Where there is no key all are let in, for a softmax over none is NaN, and the result is dropped.
        allowed = mask[:, None, None, :] | ~has_keys[..., None]
        attended = functional.scaled_dot_product_attention(
            heads, keys, values, attn_mask=allowed, scale=1 / math.sqrt(heads.size(-1))
        )
        gathered = self.dropout(self.output(attended.transpose(1, 2).flatten(2)))
        return self.norm(queries + torch.where(has_keys, gathered, 0.0))

    def _heads(self, frames: Tensor) -> Tensor:
        return frames.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class CrossAttention(nn.Module):
    """Layers whose queries are refined one after the other, while keys and values stay those of the raw frames."""

    # transformers' gradient checkpointing sets both.
    gradient_checkpointing = False
    _gradient_checkpointing_func: Callable[..., Tensor]

    def __init__(self, query_size: int, memory_size: int, num_layers: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            CrossAttentionLayer(query_size, memory_size, num_heads, dropout) for _ in range(num_layers)
        )

    def memory(self, stream: FrameStream) -> list[Memory]:
        """Keys and values of each layer, made once for all queries to this stream."""
        layers = cast("Iterable[CrossAttentionLayer]", self.layers)
        return [layer.memory(stream.frames) for layer in layers]

    def forward(self, stream: FrameStream, memory: list[Memory], mask: Tensor, chosen: Tensor | None = None) -> Tensor:
        """(B, query size): the mean of the stream's frames after they have looked at the memory.

        Args:
            mask: (B, S) bool, real frames of the memory.
            chosen: (B,) which utterance's memory each utterance looks at; its own by default.
        """
        frames = stream.frames
        if chosen is not None:
            mask = mask.index_select(0, chosen)
        for layer, (keys, values) in zip(self.layers, memory, strict=True):
            if chosen is not None:
                keys, values = keys.index_select(0, chosen), values.index_select(0, chosen)
            if self.gradient_checkpointing and self.training:
                frames = self._gradient_checkpointing_func(layer, frames, (keys, values), mask)
            else:
                frames = layer(frames, (keys, values), mask)
        return stream.mean(frames)
