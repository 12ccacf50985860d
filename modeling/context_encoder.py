"""A dialogue's utterances in their context: a transformer, a GRU or an LSTM, all on packed rows."""

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
from .recurrence import PackedGRU, PackedRNN


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


class DialogueRecurrence(nn.Module):
    """Layers of a GRU or an LSTM over the utterances of each dialogue, stacked as in `torch.nn.GRU`.

    Args:
        mode: `"GRU"` or `"LSTM"`.
        hidden_size: of each direction.
        dropout: between the layers.
        causal: only from the first utterance to the last, instead of in both directions.
    """

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int, dropout: float, causal: bool = False
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size if causal else 2 * hidden_size
        sizes = [input_size, *[self.hidden_size] * (num_layers - 1)][:num_layers]
        self.layers = nn.ModuleList(PackedRNN(mode, size, hidden_size, bidirectional=not causal) for size in sizes)
        self.causal = causal
        self.dropout = Dropout(dropout)

    def between(self, index: int, rows: Tensor) -> Tensor:
        """The input of a layer: what the one before it gave, with dropout."""
        return self.dropout(rows) if index else rows

    @property
    def reach(self) -> Reach:
        """The whole dialogue; with `causal` all of the past, which a state of a GRU stands for."""
        if not len(self.layers):
            return ALONE
        if not self.causal:
            return Reach(math.inf, math.inf)
        carried = all(layer.mode == "GRU" for layer in cast("Iterable[PackedRNN]", self.layers))
        return Reach(carries_state=True) if carried else Reach(math.inf)

    def forward(self, rows: Tensor, layout: DialogueLayout) -> Tensor:
        """(N, input_size) -> (N, hidden_size)."""
        layers = cast("Iterable[PackedRNN]", self.layers)
        if torch.compiler.is_compiling() and layout.recurrent_states is None:
            (block,) = layout.blocks
            steps = block.pad(rows).transpose(0, 1)
            for index, layer in enumerate(layers):
                steps = layer.scan(self.between(index, steps), block.mask.T[..., None])
            return block.unpad(steps.transpose(0, 1))
        states = layout.recurrent_states if self.reach.carries_state else None
        for index, layer in enumerate(layers):
            before = None if states is None else states.get(layer)
            rows = layer(self.between(index, rows), layout.steps, before)
            if states is not None:
                states[layer] = rows
        return rows


class DialogueGRU(DialogueRecurrence):
    """GRU layers of the width of their input, each with dropout in front of it.

    Args:
        hidden_size: of input and output; each of two directions has half of it.
        causal: only from the first utterance to the last, instead of in both directions.
    """

    def __init__(self, hidden_size: int, num_layers: int, dropout: float, causal: bool = False) -> None:
        if hidden_size % 2 and not causal:
            raise ValueError(f"a GRU of two directions needs an even width, got {hidden_size}; set contextual_size")
        super().__init__("GRU", hidden_size, hidden_size, 0, dropout, causal)
        self.hidden_size = hidden_size
        self.layers = nn.ModuleList(PackedGRU(hidden_size, bidirectional=not causal) for _ in range(num_layers))

    def between(self, index: int, rows: Tensor) -> Tensor:
        """The input of a layer, with dropout."""
        return self.dropout(rows)
