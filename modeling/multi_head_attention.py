"""Multi-head attention whose questions, keys and values are rows of their own, and attention over a row's tokens."""

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from .attention import attend
from .dropout import Dropout


class Attention(Protocol):
    """Which rows see which: `WholeDialogueAttention`, `WindowAttention` or `TokenAttention`."""

    def __call__(self, query_key_value: Tensor, num_heads: int, dropout: Dropout) -> Tensor:
        """(..., 3 * size) queries, keys and values -> (..., size)."""
        ...


class MultiHeadAttention(nn.Module):
    """`torch.nn.MultiheadAttention` on packed rows: linear maps of queries, keys, values and of what is gathered."""

    def __init__(
        self, size: int, num_heads: int, dropout: float, key_size: int | None = None, value_size: int | None = None
    ) -> None:
        super().__init__()
        if size % num_heads:
            raise ValueError(f"num_attention_heads={num_heads} does not divide the width of the attention, {size}")
        self.num_heads = num_heads
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(key_size or size, size)
        self.value = nn.Linear(value_size or size, size)
        self.output = nn.Linear(size, size)
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attention: Attention) -> Tensor:
        """(..., size), (..., key_size) and (..., value_size) -> (..., size)."""
        query_key_value = torch.cat([self.query(query), self.key(key), self.value(value)], dim=-1)
        return self.output(attention(query_key_value, self.num_heads, self.dropout))


class TokenAttention:
    """The tokens of each row see each other.

    Args:
        present: (N, tokens) bool, those that may be seen; a row without any sees all of them.
    """

    def __init__(self, present: Tensor) -> None:
        hidden = ~present & present.any(-1, keepdim=True)
        self.bias = torch.zeros(hidden.shape, device=hidden.device).masked_fill(hidden, -math.inf)[:, None, None]

    def __call__(self, query_key_value: Tensor, num_heads: int, dropout: Dropout) -> Tensor:
        """(N, tokens, 3 * size) queries, keys and values -> (N, tokens, size)."""
        heads = query_key_value.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.bias.expand(-1, -1, query_key_value.size(1), -1)
        return attend(*heads.unbind(0), bias, dropout).transpose(1, 2).flatten(2)
