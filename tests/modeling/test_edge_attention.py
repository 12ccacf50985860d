"""Attention over edges: in chunks and with its own gradient, the same as written out."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf.modeling import chunks
from joyful_hf.modeling.edge_attention import edge_attention, softmax_at_targets

HEADS, HEAD_SIZE = 2, 3


@st.composite
def graphs(draw):
    """Any edges between up to ten nodes, in any order: none at all, several between two nodes."""
    num_nodes = draw(st.integers(1, 10))
    edges = draw(st.lists(st.tuples(*[st.integers(0, num_nodes - 1)] * 2), max_size=40))
    return num_nodes, torch.tensor(edges, dtype=torch.int64).view(-1, 2).T


def plain(query, key, value, edge_index, bias):
    """Node by node."""
    attended = []
    for node in range(len(query)):
        edges = (edge_index[1] == node).nonzero().flatten()
        sources = edge_index[0][edges]
        scores = (query[node] * key[sources]).sum(-1) / math.sqrt(HEAD_SIZE) + bias[edges]
        attended.append((scores.softmax(0)[..., None] * value[sources]).sum(0))
    return torch.stack(attended)


@given(graph=graphs(), elements=st.sampled_from([1, 20, 2**19]))
def test_values_and_gradients_are_those_of_the_formula(monkeypatch, graph, elements):
    monkeypatch.setattr(chunks, "CPU_ELEMENTS", elements)
    num_nodes, edge_index = graph
    generator = torch.Generator().manual_seed(num_nodes)
    inputs = [torch.randn(num_nodes, HEADS, HEAD_SIZE, generator=generator).requires_grad_() for _ in range(3)]
    bias = torch.randn(edge_index.size(1), HEADS, generator=generator).requires_grad_()
    received = torch.randn(num_nodes, HEADS, HEAD_SIZE, generator=generator)
    ours, attention = edge_attention(*inputs, edge_index, bias)
    expected = plain(*inputs, edge_index, bias)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    assert not attention.requires_grad
    for gradient, plain_gradient in zip(
        torch.autograd.grad(ours, [*inputs, bias], received),
        torch.autograd.grad(expected, [*inputs, bias], received, allow_unused=True),
        strict=True,
    ):
        wanted = torch.zeros_like(gradient) if plain_gradient is None else plain_gradient
        torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_type_stays_and_the_attention_is_float32(dtype):
    rows = torch.randn(4, HEADS, HEAD_SIZE).to(dtype)
    attended, attention = edge_attention(rows, rows, rows, torch.tensor([[0, 1, 2], [1, 1, 3]]))
    assert (attended.dtype, attention.dtype) == (dtype, torch.float32)


def test_softmax_of_large_scores_does_not_overflow():
    weights = softmax_at_targets(torch.tensor([[1e4], [1e4], [-1e4]]), torch.tensor([0, 0, 1]), num_nodes=2)
    assert weights[:, 0].tolist() == [0.5, 0.5, 1]
