"""A dialogue's utterances in their context: a transformer whose products run on packed rows."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .packing import DialogueLayout


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
        self.dropout_rate = dropout
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size)
        self.attention_output = nn.Linear(hidden_size, hidden_size)
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.intermediate = nn.Linear(hidden_size, intermediate_size)
        self.output = nn.Linear(intermediate_size, hidden_size)
        self.output_norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, layout: DialogueLayout, attention_bias: Tensor) -> Tensor:
        """(N, hidden_size) -> (N, hidden_size).

        Args:
            attention_bias: (B, 1 or heads, longest, longest) added to the scores, -inf where there is no key.
        """
        if self.norm_first:
            rows = rows + self._attend(self.attention_norm(rows), layout, attention_bias)
            return rows + self._feed_forward(self.output_norm(rows))
        rows = self.attention_norm(rows + self._attend(rows, layout, attention_bias))
        return self.output_norm(rows + self._feed_forward(rows))

    def _attend(self, rows: Tensor, layout: DialogueLayout, attention_bias: Tensor) -> Tensor:
        block = layout.pad(self.query_key_value(rows))
        heads = block.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)
        attended = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attention_bias.to(query.dtype),
            dropout_p=self.dropout_rate if self.training else 0.0,
        )
        attended = layout.unpad(attended.transpose(1, 2).flatten(2))
        return self.dropout(self.attention_output(attended))

    def _feed_forward(self, rows: Tensor) -> Tensor:
        return self.dropout(self.output(self.dropout(torch.relu(self.intermediate(rows)))))


class DialogueTransformer(nn.Module):
    """Transformer layers over the utterances of each dialogue; padding takes no part.

    Args:
        max_relative_distance: utterances that the relative position bias tells apart; 0 leaves it out, and the
            order of the utterances with it, as in the papers.
    """

    def __init__(
        self,
        hidden_size: int,
        num_layers: int,
        num_heads: int,
        intermediate_size: int,
        dropout: float,
        norm_first: bool = False,
        max_relative_distance: int = 0,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(hidden_size, num_heads, intermediate_size, dropout, norm_first) for _ in range(num_layers)
        )
        self.position_bias = RelativePositionBias(num_heads, max_relative_distance) if max_relative_distance else None
        self.final_norm = nn.LayerNorm(hidden_size) if norm_first else nn.Identity()

    def forward(self, rows: Tensor, layout: DialogueLayout) -> Tensor:
        """(N, hidden_size) -> (N, hidden_size)."""
        bias = rows.new_zeros(layout.mask.shape).masked_fill(~layout.mask, -torch.inf)[:, None, None, :]
        if self.position_bias is not None:
            positions = torch.arange(layout.longest, device=rows.device)
            bias = bias + self.position_bias(positions[None, :] - positions[:, None])
        else:
            bias = bias.expand(-1, -1, layout.longest, -1)
        for layer in self.layers:
            rows = layer(rows, layout, bias)
        return self.final_norm(rows)


class DialogueGRU(nn.Module):
    """Bidirectional GRU layers over the utterances of each dialogue.

    Args:
        hidden_size: of input and output; each direction has half of it.
    """

    def __init__(self, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        if hidden_size % 2:
            raise ValueError(f"a GRU of two directions needs an even width, got {hidden_size}; set contextual_size")
        self.layers = nn.ModuleList(
            nn.GRU(hidden_size, hidden_size // 2, batch_first=True, bidirectional=True) for _ in range(num_layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, layout: DialogueLayout) -> Tensor:
        """(N, hidden_size) -> (N, hidden_size)."""
        lengths = layout.lengths.cpu()
        for layer in self.layers:
            packed = nn.utils.rnn.pack_padded_sequence(
                layout.pad(self.dropout(rows)), lengths, batch_first=True, enforce_sorted=False
            )
            block, _ = nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True)
            rows = layout.unpad(block)
        return rows
