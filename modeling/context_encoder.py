"""A dialogue's utterances in their context: a transformer or a GRU, both on packed rows."""

import math
from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn

from .attention import RelativePositionBias, WholeDialogueAttention, WindowAttention
from .dropout import Dropout
from .multi_head_attention import Attention
from .packing import DialogueLayout
from .reach import ALONE, Reach
from .recurrence import PackedGRU


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward with residual paths; normalised after (the papers) or before each."""

    def __init__(
        self, hidden_size: int, num_heads: int, intermediate_size: int, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        if hidden_size % num_heads:
            raise ValueError(
                f"num_attention_heads={num_heads} does not divide the context encoder's width {hidden_size}"
            )
        self.num_heads = num_heads
        self.norm_first = norm_first
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size)
        self.attention_output = nn.Linear(hidden_size, hidden_size)
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.intermediate = nn.Linear(hidden_size, intermediate_size)
        self.output = nn.Linear(intermediate_size, hidden_size)
        self.output_norm = nn.LayerNorm(hidden_size)
        self.dropout = Dropout(dropout)

    def forward(self, rows: Tensor, attention: Attention) -> Tensor:
        """(..., hidden_size) -> (..., hidden_size)."""
        if self.norm_first:
            rows = rows + self._attend(self.attention_norm(rows), attention)
            return rows + self._feed_forward(self.output_norm(rows))
        rows = self.attention_norm(rows + self._attend(rows, attention))
        return self.output_norm(rows + self._feed_forward(rows))

    def _attend(self, rows: Tensor, attention: Attention) -> Tensor:
        attended = attention(self.query_key_value(rows), self.num_heads, self.dropout)
        return self.dropout(self.attention_output(attended))

    def _feed_forward(self, rows: Tensor) -> Tensor:
        return self.dropout(self.output(self.dropout(torch.relu(self.intermediate(rows)))))


class DialogueTransformer(nn.Module):
    """Transformer layers over the utterances of each dialogue; padding takes no part.

    Args:
        max_relative_distance: utterances that the relative position bias tells apart; 0 leaves it out, and the
            order of the utterances with it, as in the papers.
        window: utterances before and after that each one sees; 0 is the whole dialogue.
        causal: each one sees only those before it.
    """

    # transformers' gradient checkpointing sets both.
    gradient_checkpointing = False
    _gradient_checkpointing_func: Callable[..., Tensor]

    def __init__(
        self,
        hidden_size: int,
        num_layers: int,
        num_heads: int,
        intermediate_size: int,
        dropout: float,
        norm_first: bool = False,
        max_relative_distance: int = 0,
        window: int = 0,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(hidden_size, num_heads, intermediate_size, dropout, norm_first) for _ in range(num_layers)
        )
        self.window = window
        self.causal = causal
        self.position_bias = RelativePositionBias(num_heads, max_relative_distance) if max_relative_distance else None
        self.final_norm = nn.LayerNorm(hidden_size) if norm_first else nn.Identity()

    @property
    def reach(self) -> Reach:
        """One window per layer, or the whole dialogue; with `causal` only the past."""
        if not len(self.layers):
            return ALONE
        past = self.window * len(self.layers) if self.window else math.inf
        return Reach(past, future=0 if self.causal else past)

    def forward(self, rows: Tensor, layout: DialogueLayout) -> Tensor:
        """(N, hidden_size) -> (N, hidden_size)."""
        attention: WholeDialogueAttention | WindowAttention
        if self.window:
            attention = WindowAttention(layout, self.window, self.position_bias, self.causal)
        else:
            attention = WholeDialogueAttention(layout, self.position_bias, self.causal)
        rows = attention.begin(rows)
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                rows = self._gradient_checkpointing_func(layer, rows, attention)
            else:
                rows = layer(rows, attention)
        return self.final_norm(attention.end(rows))


class DialogueGRU(nn.Module):
    """GRU layers over the utterances of each dialogue.

    Args:
        hidden_size: of input and output; each of two directions has half of it.
        causal: only from the first utterance to the last, instead of in both directions.
    """

    def __init__(self, hidden_size: int, num_layers: int, dropout: float, causal: bool = False) -> None:
        super().__init__()
        if hidden_size % 2 and not causal:
            raise ValueError(f"a GRU of two directions needs an even width, got {hidden_size}; set contextual_size")
        self.layers = nn.ModuleList(PackedGRU(hidden_size, bidirectional=not causal) for _ in range(num_layers))
        self.causal = causal
        self.dropout = Dropout(dropout)

    @property
    def reach(self) -> Reach:
        """The whole dialogue; with `causal` a state of each layer stands for all of the past."""
        if not len(self.layers):
            return ALONE
        return Reach(carries_state=True) if self.causal else Reach(math.inf, math.inf)

    def forward(self, rows: Tensor, layout: DialogueLayout) -> Tensor:
        """(N, hidden_size) -> (N, hidden_size)."""
        if torch.compiler.is_compiling() and layout.recurrent_states is None:
            (block,) = layout.blocks
            steps = block.pad(rows).transpose(0, 1)
            for layer in cast("Iterable[PackedGRU]", self.layers):
                steps = layer.scan(self.dropout(steps), block.mask.T[..., None])
            return block.unpad(steps.transpose(0, 1))
        order, batch_sizes = layout.time_major()
        steps = rows.index_select(0, order)
        states = layout.recurrent_states if self.causal else None
        for layer in self.layers:
            before = None if states is None else states.get(layer)
            steps = layer(self.dropout(steps), batch_sizes, before)
            if states is not None:
                states[layer] = steps
        place = torch.empty_like(order).index_copy_(0, order, torch.arange(len(order), device=order.device))
        return steps.index_select(0, place)
