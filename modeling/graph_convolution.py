"""The layers of the graph encoders. Edges go from a source to a target, and the target receives."""

import math

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .edge_attention import edge_attention
from .rows import sum_rows, take_rows


class RelationalGraphConvolution(nn.Module):
    """R-GCN: x_i' = W_0 x_i + b + sum over relations r of the mean over N_r(i) of W_r x_j.

    Equal to torch-geometric's `RGCNConv` (mean, no bases) without a loop over relations: every node is
    transformed for every relation in one product, and each edge takes the row it needs.
    """

    def __init__(self, in_size: int, out_size: int, num_relations: int) -> None:
        super().__init__()
        self.num_relations = num_relations
        self.weight = nn.Parameter(torch.empty(num_relations, in_size, out_size))
        self.root = nn.Parameter(torch.empty(in_size, out_size))
        self.bias = nn.Parameter(torch.empty(out_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot for the weights, zero for the bias."""
        for weight in (self.weight, self.root):
            bound = math.sqrt(6 / (weight.size(-2) + weight.size(-1)))
            init.uniform_(weight, -bound, bound)
        init.zeros_(self.bias)

    def forward(self, nodes: Tensor, edge_index: Tensor, edge_type: Tensor, is_edge: Tensor | None = None) -> Tensor:
        """(N, in_size), (2, E), (E,) -> (N, out_size).

        Args:
            is_edge: (E,) bool, the edges that count; all by default.
        """
        num_nodes, relations = nodes.size(0), self.num_relations
        source, target = edge_index
        neighbourhood = target * relations + edge_type
        ones = torch.ones_like(edge_type, dtype=torch.float32) if is_edge is None else is_edge.float()
        count = sum_rows(ones, neighbourhood, num_nodes * relations)[neighbourhood]
        share = 1 / count if is_edge is None else ones / count.clamp(min=1)
        messages = relational_messages(nodes, self.weight, source, edge_type)
        received = sum_rows(messages * share.to(messages.dtype)[:, None], target, num_nodes)
        return nodes @ self.root + self.bias + received


class WeightedRelationalConvolution(nn.Module):
    """DialogueGCN's R-GCN: x_i' = W_0 x_i + b + sum over edges j -> i of a_ij W_r x_j, with W_r = sum_k c_rk B_k.

    Args:
        num_bases: K, the number of matrices B_k that all relations are mixed of.
    """

    def __init__(self, in_size: int, out_size: int, num_relations: int, num_bases: int) -> None:
        super().__init__()
        self.matrices = nn.Parameter(torch.empty(num_bases, in_size, out_size))
        self.coefficients = nn.Parameter(torch.empty(num_relations, num_bases))
        self.root = nn.Parameter(torch.empty(in_size, out_size))
        self.bias = nn.Parameter(torch.empty(out_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot for root and mixed weights, zero for the bias."""
        bound = math.sqrt(6 / (self.root.size(0) + self.root.size(1)))
        for weight in (self.matrices, self.root):
            init.uniform_(weight, -bound, bound)
        init.normal_(self.coefficients, std=self.coefficients.size(1) ** -0.5)
        init.zeros_(self.bias)

    def forward(self, nodes: Tensor, edge_index: Tensor, edge_type: Tensor, edge_weight: Tensor) -> Tensor:
        """(N, in_size), (2, E), (E,), (E,) -> (N, out_size)."""
        source, target = edge_index
        weight = (self.coefficients @ self.matrices.flatten(1)).view(-1, *self.root.shape)
        messages = relational_messages(nodes, weight, source, edge_type) * edge_weight.to(nodes.dtype)[:, None]
        return nodes @ self.root + self.bias + sum_rows(messages, target, nodes.size(0))


class NeighbourConvolution(nn.Module):
    """DialogueGCN's second layer: x_i' = W_0 x_i + b + the sum or the mean of W x_j over the edges j -> i."""

    def __init__(self, in_size: int, out_size: int, mean: bool) -> None:
        super().__init__()
        self.own = nn.Linear(in_size, out_size)
        self.neighbours = nn.Linear(in_size, out_size, bias=False)
        self.mean = mean

    def forward(self, nodes: Tensor, edge_index: Tensor) -> Tensor:
        """(N, in_size), (2, E) -> (N, out_size)."""
        source, target = edge_index
        received = sum_rows(take_rows(nodes, source), target, nodes.size(0))
        if self.mean:
            degree = sum_rows(torch.ones_like(target, dtype=torch.float32), target, nodes.size(0))
            received = received / degree.clamp(min=1).to(nodes.dtype)[:, None]
        return self.own(nodes) + self.neighbours(received)


class GraphAttention(nn.Module):
    """Multi-head attention over edges, heads concatenated, with a skip connection.

    x_i' = W_skip x_i + concat over heads of sum_j softmax_j(q_i k_j / sqrt(d)) v_j: torch-geometric's
    `TransformerConv`.
    """

    def __init__(self, in_size: int, head_size: int, num_heads: int) -> None:
        super().__init__()
        self.head_size = head_size
        self.num_heads = num_heads
        self.query = nn.Linear(in_size, num_heads * head_size)
        self.key = nn.Linear(in_size, num_heads * head_size)
        self.value = nn.Linear(in_size, num_heads * head_size)
        self.skip = nn.Linear(in_size, num_heads * head_size)

    def forward(
        self, nodes: Tensor, edge_index: Tensor, edge_bias: Tensor | None = None, is_edge: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(N, in_size), (2, E) -> (N, num_heads * head_size) and the attention (E, num_heads).

        Args:
            edge_bias: (E, num_heads), added to the scores.
            is_edge: (E,) bool, the edges that count; all by default.
        """
        num_nodes = nodes.size(0)
        heads = (num_nodes, self.num_heads, self.head_size)
        query, key, value = (part(nodes).view(heads) for part in (self.query, self.key, self.value))
        attended, attention = edge_attention(query, key, value, edge_index, edge_bias, is_edge)
        return self.skip(nodes) + attended.flatten(1), attention


class AggregateCombine(nn.Module):
    """One layer of the paper's graph encoder (Eqs. 9 and 10, Table 8).

    a_i = mean over N(i) of W_agg h_j;  h_i' = ReLU(W_graph [h_i ; a_i]). The paper leaves the activation and
    the form of AGG open; mean and ReLU are our reading.
    """

    def __init__(self, in_size: int, out_size: int) -> None:
        super().__init__()
        self.aggregate = nn.Linear(in_size, in_size)
        self.combine = nn.Linear(2 * in_size, out_size)

    def forward(self, nodes: Tensor, edge_index: Tensor, is_edge: Tensor | None = None) -> Tensor:
        """(N, in_size), (2, E) -> (N, out_size).

        Args:
            is_edge: (E,) bool, the edges that count; all by default.
        """
        num_nodes = nodes.size(0)
        source, target = edge_index
        ones = torch.ones_like(target, dtype=torch.float32) if is_edge is None else is_edge.float()
        degree = sum_rows(ones, target, num_nodes)
        messages = take_rows(self.aggregate(nodes), source)
        if is_edge is not None:
            messages = messages * ones.to(messages.dtype)[:, None]
        received = sum_rows(messages, target, num_nodes) / degree.clamp(min=1).to(nodes.dtype)[:, None]
        return torch.relu(self.combine(torch.cat([nodes, received.to(nodes.dtype)], dim=-1)))


def relational_messages(nodes: Tensor, weight: Tensor, source: Tensor, edge_type: Tensor) -> Tensor:
    """W_r x_j of each edge (E, out_size), for nodes (N, in_size) and weights (relations, in_size, out_size)."""
    relations = weight.size(0)
    transformed = nodes @ weight.transpose(0, 1).flatten(1)  # (N, relations * out_size)
    return take_rows(transformed.view(nodes.size(0) * relations, -1), source * relations + edge_type)
