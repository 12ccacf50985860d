"""Attention over edges without a row for each edge: gathered, weighed and summed in chunks that stay in cache."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .chunks import rows_at_a_time
from .members import stacked
from .rows import sum_rows


def softmax_at_targets(scores: Tensor, target: Tensor, num_nodes: int) -> Tensor:
    """Softmax of the edge scores (E, heads) over the edges that arrive at the same node, in float32."""
    scores = scores.float()
    index = target[:, None].expand_as(scores)
    highest = scores.new_full((num_nodes, scores.size(1)), -math.inf)
    highest = highest.scatter_reduce(0, index, scores.detach(), "amax")
    weights = (scores - highest.index_select(0, target)).exp()
    return weights / sum_rows(weights, target, num_nodes).index_select(0, target)


def edge_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    edge_index: Tensor,
    edge_bias: Tensor | None = None,
    is_edge: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """sum_j softmax_j(q_i k_j / sqrt(head_size) + bias_ij) v_j over the edges j -> i.

    Args:
        query, key, value: (N, heads, head_size).
        edge_index: (2, E).
        edge_bias: (E, heads).
        is_edge: (E,) bool, the edges that count; all by default, and under a compiler.

    Returns:
        (N, heads, head_size) and the attention (E, heads) float32, which has no gradient of its own. Under
        `torch.compile` and in an export the plain form, which a compiler can fuse.
    """
    source, target = edge_index
    num_nodes = query.size(0)
    if not torch.compiler.is_compiling():
        return _EdgeAttention.apply(query, key, value, edge_bias, source, target, is_edge)
    scores = (query.index_select(0, target) * key.index_select(0, source)).sum(-1) / math.sqrt(query.size(-1))
    attention = softmax_at_targets(scores if edge_bias is None else scores + edge_bias, target, num_nodes)
    messages = value.index_select(0, source) * attention.to(value.dtype)[..., None]
    return sum_rows(messages, target, num_nodes), attention.detach()


class _EdgeAttention(torch.autograd.Function):
    """Rows are gathered again in the backward pass; only the weights, one number per edge and head, are kept."""

    @staticmethod
    def forward(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        source: Tensor,
        target: Tensor,
        is_edge: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        scores = query.new_empty(len(source), query.size(1), dtype=torch.float32)
        for edges in _chunks(source, query):
            scores[edges] = (query.index_select(0, target[edges]) * key.index_select(0, source[edges])).sum(-1)
        scores = scores / math.sqrt(query.size(-1))
        if bias is not None:
            scores = scores + bias
        if is_edge is None:
            attention = softmax_at_targets(scores, target, query.size(0))
        else:
            scores = scores.masked_fill(~is_edge[:, None], -math.inf)
            # Where no edge arrives that counts, a softmax over nothing is NaN.
            attention = softmax_at_targets(scores, target, query.size(0)).masked_fill(~is_edge[:, None], 0)
        attended = torch.zeros_like(value)
        for edges in _chunks(source, value):
            weights = attention[edges, :, None].to(value.dtype)
            attended.index_add_(0, target[edges], value.index_select(0, source[edges]) * weights)
        return attended, attention

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        query, key, value, bias, source, target, _ = inputs
        attention = output[1]
        ctx.save_for_backward(query, key, value, bias, source, target, attention)
        ctx.mark_non_differentiable(attention)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], *inputs: Any
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """Take the heads of several networks side by side, over the same edges."""
        query, key, value, bias, *edges = inputs
        networks = info.batch_size
        query, key, value = (
            stacked(rows, dim, networks, at=1) for rows, dim in zip((query, key, value), in_dims, strict=False)
        )
        heads = key.size(2)
        query, key, value = (rows.flatten(1, 2) for rows in (query, key, value))
        if bias is not None:
            bias = stacked(bias, in_dims[3], networks, at=1).flatten(1, 2)
        attended, attention = _EdgeAttention.apply(query, key, value, bias, *edges)
        return (attended.unflatten(1, (networks, heads)), attention.unflatten(1, (networks, heads))), (1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, received: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, bias, source, target, attention = ctx.saved_tensors
        query_gradient, key_gradient, value_gradient = (torch.zeros_like(rows) for rows in (query, key, value))
        weight_gradient = torch.empty_like(attention)
        for edges in _chunks(source, value):
            arrived = received.index_select(0, target[edges])
            weight_gradient[edges] = (arrived * value.index_select(0, source[edges])).sum(-1).float()
            value_gradient.index_add_(0, source[edges], arrived * attention[edges, :, None].to(value.dtype))
        weighted = attention * weight_gradient
        mean = sum_rows(weighted, target, query.size(0)).index_select(0, target)
        score_gradient = weighted - attention * mean
        scaled = (score_gradient / math.sqrt(query.size(-1))).to(query.dtype)[..., None]
        for edges in _chunks(source, query):
            here, there = target[edges], source[edges]
            query_gradient.index_add_(0, here, scaled[edges] * key.index_select(0, there))
            key_gradient.index_add_(0, there, scaled[edges] * query.index_select(0, here))
        bias_gradient = None if bias is None else score_gradient.to(bias.dtype)
        return query_gradient, key_gradient, value_gradient, bias_gradient, None, None, None


def _chunks(source: Tensor, rows: Tensor) -> list[slice]:
    """Slices of the edges whose rows are gathered together."""
    step = rows_at_a_time(rows.size(1) * rows.size(2), rows.device)
    return [slice(first, first + step) for first in range(0, len(source), step)]
