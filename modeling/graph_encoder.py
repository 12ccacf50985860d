"""The graph encoders: the paper's aggregate-and-combine layers, and the released relational network."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import RelativePositionBias
from .configuration_graph import SpeakerGraphConfig
from .configuration_joyful import JoyfulConfig
from .dropout import Dropout
from .graph_convolution import AggregateCombine, GraphAttention, RelationalGraphConvolution
from .reach import Reach
from .speaker_graph import SpeakerGraph, joined


class AggregateCombineEncoder(nn.Module):
    """L layers of Eqs. 9 and 10; the contrast compares the rows that are classified."""

    def __init__(self, config: JoyfulConfig, in_size: int) -> None:
        super().__init__()
        self.hidden_size = config.graph_hidden_size or in_size
        sizes = [in_size] + [self.hidden_size] * config.graph_num_layers
        self.layers = nn.ModuleList(AggregateCombine(before, after) for before, after in pairwise(sizes))
        self.residual = config.graph_residual
        self.dropout = Dropout(config.hidden_dropout_prob)

    @property
    def reach(self) -> Reach:
        """One edge per layer."""
        return Reach(graph_steps=len(self.layers))

    def convolve(self, graph: SpeakerGraph) -> Tensor:
        """(N, in_size) nodes -> (N, hidden_size), what the contrast compares."""
        nodes = graph.nodes
        for layer in self.layers:
            convolved = layer(nodes, graph.edge_index, graph.is_edge)
            if self.residual and convolved.shape == nodes.shape:
                convolved = nodes + self.dropout(convolved)
            nodes = convolved
        return nodes

    def attend(self, convolved: Tensor, graph: SpeakerGraph) -> tuple[Tensor, None]:
        """Nothing follows the convolution: (N, hidden_size) and no attention."""
        del graph
        return convolved, None


class RelationalEncoder(nn.Module):
    """L relational convolutions, which the contrast compares, then attention over the same edges.

    In the released form there is one convolution and batch normalisation with leaky ReLU after the attention.
    With `graph_residual` every layer adds to its input, after layer normalisation.
    With `graph_num_heads=0` there are only the convolutions.
    """

    def __init__(self, config: SpeakerGraphConfig, in_size: int) -> None:
        super().__init__()
        size = in_size
        heads = config.graph_num_heads
        self.residual = config.graph_residual
        if self.residual and heads and size % heads:
            raise ValueError(f"graph_num_heads={heads} does not divide the graph encoder's width {size}")
        self.convolutions = nn.ModuleList(
            RelationalGraphConvolution(size, size, config.num_relations) for _ in range(config.graph_num_layers)
        )
        self.hidden_size = size
        self.attention: GraphAttention | None = None
        self.edge_bias: EdgeBias | None = None
        if heads:
            # The released heads have the full width each; with a residual path they share it.
            self.attention = GraphAttention(size, size // heads if self.residual else size, heads)
            self.hidden_size = heads * self.attention.head_size
            self.edge_bias = EdgeBias(config) if config.graph_max_distance else None
        if self.residual:
            num_norms = config.graph_num_layers + (1 if heads else 0)
            self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(num_norms))
            self.dropout = Dropout(config.hidden_dropout_prob)
        elif heads:
            self.batch_norm = nn.BatchNorm1d(self.hidden_size)

    @property
    def reach(self) -> Reach:
        """One edge per convolution, and one for the attention."""
        return Reach(graph_steps=len(self.convolutions) + (self.attention is not None))

    def forward(self, graph: SpeakerGraph) -> tuple[Tensor, Tensor | None]:
        """(N, in_size) nodes -> (N, hidden_size) and the attention (E, heads) if there is any."""
        return self.attend(self.convolve(graph), graph)

    def convolve(self, graph: SpeakerGraph) -> Tensor:
        """(N, in_size) nodes -> (N, in_size), what the contrast compares."""
        nodes, edges = graph.nodes, (graph.edge_index, graph.edge_type, graph.is_edge)
        for index, convolution in enumerate(self.convolutions):
            if self.residual:
                nodes = nodes + self.dropout(torch.relu(convolution(self.norms[index](nodes), *edges)))
            else:
                nodes = convolution(torch.relu(nodes) if index else nodes, *edges)
        return nodes

    def attend(self, convolved: Tensor, graph: SpeakerGraph) -> tuple[Tensor, Tensor | None]:
        """(N, in_size) -> (N, hidden_size) and the attention (E, heads)."""
        if self.attention is None:
            return convolved, None
        bias = None if self.edge_bias is None else self.edge_bias(graph)
        if self.residual:
            attended, attention = self.attention(self.norms[-1](convolved), graph.edge_index, bias, graph.is_edge)
            return convolved + self.dropout(attended), attention
        attended, attention = self.attention(convolved, graph.edge_index, bias, graph.is_edge)
        return functional.leaky_relu(self._normalize(attended)), attention

    def _normalize(self, rows: Tensor) -> Tensor:
        if self.training and rows.size(0) == 1:  # one utterance alone has no variance to divide by
            norm = self.batch_norm
            return functional.batch_norm(rows, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return self.batch_norm(rows)


class EdgeBias(nn.Module):
    """A learnt bias of each head for each relation and distance: whose utterance, how long ago."""

    def __init__(self, config: SpeakerGraphConfig) -> None:
        super().__init__()
        self.num_relations = config.num_relations
        self.table = RelativePositionBias(config.graph_num_heads * self.num_relations, config.graph_max_distance)

    def forward(self, graph: SpeakerGraph) -> Tensor:
        """(E, heads)."""
        source, target = graph.edge_index
        rows = self.table.table
        index = graph.edge_type * rows.size(1) + self.table.column(source - target)
        return rows.view(-1, self.num_relations * rows.size(1)).index_select(1, index).T


def convolve_together(
    encoder: AggregateCombineEncoder | RelationalEncoder, graphs: Sequence[SpeakerGraph]
) -> tuple[Tensor, ...]:
    """Each of several graphs of the same utterances as `encoder.convolve` gives it, computed as one that holds all."""
    return encoder.convolve(joined(graphs)).chunk(len(graphs)) if len(graphs) > 1 else (encoder.convolve(*graphs),)


def make_graph_encoder(config: JoyfulConfig, in_size: int) -> AggregateCombineEncoder | RelationalEncoder:
    """The encoder that `config.graph_encoder` names, for nodes of `in_size`."""
    if config.graph_encoder == "relational":
        return RelationalEncoder(config, in_size)
    return AggregateCombineEncoder(config, in_size)
