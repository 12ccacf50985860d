"""Attention between the utterances of a dialogue: over all of it, or over a window at a cost linear in its length."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .dropout import Dropout
from .packing import DialogueLayout

# Fewer rows would leave a matrix product with nothing to do.
_LEAST_CHUNK = 32


class RelativePositionBias(nn.Module):
    """A learnt bias of the attention scores for each head and each distance between two utterances.

    Distances beyond `max_distance` utterances share the bias of the farthest.
    """

    def __init__(self, num_heads: int, max_distance: int) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.table = nn.Parameter(torch.empty(num_heads, 2 * max_distance + 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Zero: every distance counts the same until learnt otherwise."""
        init.zeros_(self.table)

    def forward(self, distance: Tensor) -> Tensor:
        """Signed distances, source minus target, any shape -> bias (num_heads, *shape)."""
        columns = self.column(distance)
        return self.table.index_select(1, columns.flatten()).view(-1, *columns.shape)

    def column(self, distance: Tensor) -> Tensor:
        """Signed distances, any shape -> the table's column of each."""
        return distance.clamp(-self.max_distance, self.max_distance) + self.max_distance


class WholeDialogueAttention:
    """Every utterance sees all of its dialogue, or its past and itself. Made once per batch, used by every layer.

    Between `begin` and `end` the rows lie in the order of the layout's blocks.

    Args:
        keys: (N, 1) bool in the order of the batch, the utterances that are seen; all by default. Where a dialogue has
            none, its utterances gather zeros.
    """

    def __init__(
        self,
        layout: DialogueLayout,
        position_bias: RelativePositionBias | None = None,
        causal: bool = False,
        keys: Tensor | None = None,
    ) -> None:
        self.layout = layout
        self.biases, self.has_keys = [], []
        shown = [None] * len(layout.blocks) if keys is None else layout.split(layout.arrange(keys))
        for block, own in zip(layout.blocks, shown, strict=True):
            position = torch.arange(block.longest, device=block.mask.device)
            seen = block.mask[:, None, None, :]
            has_keys = None
            if own is not None:
                given = block.pad(own).view(seen.shape)
                has_keys = given.any(-1, keepdim=True)
                seen = given | ~has_keys  # a softmax over none is NaN
            if causal:
                seen = seen & (position[None, :] <= position[:, None])
            bias = torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, -math.inf)
            if position_bias is not None:
                bias = bias + position_bias(position[None, :] - position[:, None])
            self.biases.append(bias.expand(-1, -1, block.longest, -1))
            self.has_keys.append(has_keys)

    def begin(self, rows: Tensor) -> Tensor:
        """(N, size) rows in the order of the batch -> as the layers get them."""
        return self.layout.arrange(rows)

    def end(self, rows: Tensor) -> Tensor:
        """(N, size) rows as the layers leave them -> in the order of the batch."""
        return self.layout.restore(rows)

    def __call__(self, query_key_value: Tensor, num_heads: int, dropout: Dropout) -> Tensor:
        """(N, 3 * size) queries, keys and values -> (N, size)."""
        parts = []
        split = self.layout.split(query_key_value)
        for block, bias, has_keys, own in zip(self.layout.blocks, self.biases, self.has_keys, split, strict=True):
            heads = block.pad(own).unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4)
            attended = attend(*heads.unbind(0), bias, dropout)
            if has_keys is not None:
                attended = torch.where(has_keys, attended, 0)
            parts.append(block.unpad(attended.transpose(1, 2).flatten(2)))
        return torch.cat(parts) if len(parts) > 1 else parts[0]


class WindowAttention:
    """Every utterance sees up to `window` utterances before and after it, in memory linear in their number.

    With `causal` only those before it.

    The packed rows, whatever dialogues they belong to, are cut into chunks no shorter than the window; the keys of a
    chunk lie in itself and the chunks beside it.
    """

    def __init__(
        self,
        layout: DialogueLayout,
        window: int,
        position_bias: RelativePositionBias | None,
        causal: bool = False,
    ) -> None:
        self.num_utterances = layout.num_utterances
        self.chunk = max(window, _LEAST_CHUNK)
        self.after = 0 if causal else self.chunk
        self.missing = -layout.num_utterances % self.chunk
        if torch.compiler.is_compiling():
            self.missing += self.chunk  # never one chunk alone: a compiler takes a size of 1 for a constant
        # Rows that only fill up see each other; keys beyond the ends are seen by none.
        dialogue = functional.pad(layout.dialogue, (0, self.missing), value=-1)
        num_keys = 2 * self.chunk + self.after
        key_dialogue = functional.pad(dialogue, (self.chunk, self.after), value=-2).unfold(0, num_keys, self.chunk)
        place = torch.arange(num_keys, device=dialogue.device)
        distance = place[None, :] - (place[: self.chunk, None] + self.chunk)
        near = (distance >= -window) & (distance <= (0 if causal else window))
        seen = (dialogue.view(-1, self.chunk, 1) == key_dialogue[:, None, :]) & near
        bias = torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, -math.inf)[:, None]
        self.bias = bias if position_bias is None else bias + position_bias(distance)

    def __call__(self, query_key_value: Tensor, num_heads: int, dropout: Dropout) -> Tensor:
        """(N, 3 * size) queries, keys and values -> (N, size)."""
        rows = functional.pad(query_key_value, (0, 0, 0, self.missing))
        query, key, value = rows.unflatten(-1, (3, num_heads, -1)).unbind(1)  # (rows, heads, head_size)
        query = query.unflatten(0, (-1, self.chunk)).transpose(1, 2)
        key, value = (self._neighbourhoods(part) for part in (key, value))
        attended = attend(query, key, value, self.bias, dropout)
        return attended.transpose(1, 2).flatten(0, 1).flatten(1)[: self.num_utterances]

    def begin(self, rows: Tensor) -> Tensor:
        """The rows (N, size) as they are: a window needs no other order."""
        return rows

    end = begin

    def _neighbourhoods(self, rows: Tensor) -> Tensor:
        """(rows, heads, head_size) -> (chunks, heads, 2 or 3 * chunk, head_size)."""
        padded = functional.pad(rows, (0, 0, 0, 0, self.chunk, self.after))
        return padded.unfold(0, 2 * self.chunk + self.after, self.chunk).transpose(-1, -2)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, dropout: Dropout) -> Tensor:
    """softmax(query key^T / sqrt(head_size) + bias) value: (..., heads, length, head_size).

    Args:
        bias: (..., 1 or heads, queries, keys), -inf where there is no key.
        dropout: of the attention weights.
    """
    if dropout.training and dropout.p > 0 and query.device.type == "cpu":
        # On a CPU no fused kernel knows dropout, and ours draws its mask faster.
        scores = (query * query.size(-1) ** -0.5) @ key.transpose(-1, -2) + bias
        return dropout(scores.softmax(dim=-1, dtype=torch.float32)).to(value.dtype) @ value
    rate = dropout.p if dropout.training else 0.0
    return functional.scaled_dot_product_attention(query, key, value, bias.to(query.dtype), rate)
