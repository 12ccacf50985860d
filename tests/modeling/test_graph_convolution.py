"""The graph layers equal torch-geometric's, value and gradient, on any graph; `AggregateCombine` the paper's loops."""

import pytest
import torch
import torch_geometric.backend
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.nn import RGCNConv, TransformerConv

from joyful_hf.modeling.graph_convolution import AggregateCombine, GraphAttention, RelationalGraphConvolution

IN, OUT, HEADS = 6, 4, 3
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


@st.composite
def graphs(draw):
    """Nodes and any edges between them: none at all, several between two nodes, nodes that receive nothing."""
    num_nodes = draw(st.integers(1, 10))
    edges = draw(st.lists(st.tuples(*[st.integers(0, num_nodes - 1)] * 2), max_size=40))
    nodes = torch.randn(num_nodes, IN, generator=torch.Generator().manual_seed(num_nodes))
    return nodes, torch.tensor(edges, dtype=torch.int64).view(-1, 2).T


@pytest.fixture(autouse=True)
def loop_over_relations(monkeypatch):
    """The other path of `RGCNConv` averages over all relations at once."""
    monkeypatch.setattr(torch_geometric.backend, "use_segment_matmul", False)


def assert_same(ours, theirs, nodes, shared):
    """Values and gradients of two layers, of the nodes and of each pair of parameters."""
    outputs, gradients = [], []
    for layer, parameters in ((ours, [pair[0] for pair in shared]), (theirs, [pair[1] for pair in shared])):
        leaf = nodes.clone().requires_grad_()
        output = layer(leaf)
        outputs.append(output)
        gradients.append(torch.autograd.grad(output.square().sum(), [leaf, *parameters], materialize_grads=True))
    torch.testing.assert_close(*outputs, **TOLERANCE)
    for gradient, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_relations", [2, 4, 8, 162])
@settings(max_examples=12)
@given(graph=graphs(), seed=st.integers(0, 99))
def test_relational_graph_convolution_is_rgcn_conv(num_relations, graph, seed):
    nodes, edge_index = graph
    torch.manual_seed(seed)
    edge_type = torch.randint(num_relations, (edge_index.size(1),))
    ours, theirs = RelationalGraphConvolution(IN, OUT, num_relations), RGCNConv(IN, OUT, num_relations)
    shared = [(ours.weight, theirs.weight), (ours.root, theirs.root), (ours.bias, theirs.bias)]
    for weight, same_weight in shared:
        same_weight.data = weight.data = torch.randn_like(weight)
    assert_same(lambda x: ours(x, edge_index, edge_type), lambda x: theirs(x, edge_index, edge_type), nodes, shared)


@given(graph=graphs(), seed=st.integers(0, 99))
def test_graph_attention_is_transformer_conv(graph, seed):
    nodes, edge_index = graph
    torch.manual_seed(seed)
    ours, theirs = GraphAttention(IN, OUT, HEADS), TransformerConv(IN, OUT, heads=HEADS)
    shared = []
    for layer, same_layer in (
        (ours.query, theirs.lin_query),
        (ours.key, theirs.lin_key),
        (ours.value, theirs.lin_value),
        (ours.skip, theirs.lin_skip),
    ):
        same_layer.load_state_dict(layer.state_dict())
        shared += [(layer.weight, same_layer.weight), (layer.bias, same_layer.bias)]
    assert_same(lambda x: ours(x, edge_index)[0], lambda x: theirs(x, edge_index), nodes, shared)


@given(graph=graphs())
def test_attention_sums_to_1_at_every_target(graph):
    nodes, edge_index = graph
    _, attention = GraphAttention(IN, OUT, HEADS)(nodes, edge_index)
    assert attention.shape == (edge_index.size(1), HEADS)
    for target in set(edge_index[1].tolist()):
        assert attention[edge_index[1] == target].sum(0).tolist() == pytest.approx([1] * HEADS)


def test_attention_follows_the_edge_bias():
    nodes, edge_index = torch.randn(3, IN), torch.tensor([[0, 1, 2, 2], [0, 0, 0, 1]])
    bias = torch.tensor([[0.0], [50], [0], [0]]).expand(-1, HEADS)
    layer = GraphAttention(IN, OUT, HEADS)
    _, attention = layer(nodes, edge_index, bias)
    torch.testing.assert_close(attention[:, 0], torch.tensor([0.0, 1, 0, 1]))
    plain, _ = layer(nodes, edge_index)
    shifted, _ = layer(nodes, edge_index, torch.full((4, HEADS), 7.0))
    torch.testing.assert_close(plain, shifted)  # the same bias everywhere changes nothing


@given(graph=graphs())
def test_aggregate_combine_is_equations_9_and_10(graph):
    nodes, edge_index = graph
    layer = AggregateCombine(IN, OUT)
    output = layer(nodes, edge_index)
    for i in range(len(nodes)):
        sources = [source for source, target in edge_index.T.tolist() if target == i]
        received = [layer.aggregate.weight @ nodes[j] + layer.aggregate.bias for j in sources]
        aggregated = sum(received) / len(received) if received else torch.zeros(IN)
        combined = layer.combine.weight @ torch.cat([nodes[i], aggregated]) + layer.combine.bias
        torch.testing.assert_close(output[i], torch.relu(combined), **TOLERANCE)


LAYERS = {
    "relational": (RelationalGraphConvolution(IN, OUT, 3), lambda layer, *graph: layer(*graph)),
    "attention": (GraphAttention(IN, OUT, HEADS), lambda layer, *graph: layer(*graph[:2])[0]),
    "aggregate": (AggregateCombine(IN, OUT), lambda layer, *graph: layer(*graph[:2])),
}


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=10)
@given(graph=graphs(), seed=st.integers(0, 99))
def test_the_order_of_the_edges_does_not_matter(name, graph, seed):
    layer, call = LAYERS[name]
    nodes, edge_index = graph
    torch.manual_seed(seed)
    edge_type = torch.randint(3, (edge_index.size(1),))
    order = torch.randperm(edge_index.size(1))
    ordered, shuffled = (
        call(layer, nodes, edge_index, edge_type),
        call(layer, nodes, edge_index[:, order], edge_type[order]),
    )
    torch.testing.assert_close(ordered, shuffled, **TOLERANCE)


@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_stays_half_precision(name):
    layer, call = LAYERS[name]
    nodes, edge_index = torch.randn(4, IN), torch.tensor([[0, 1, 2], [1, 1, 0]])
    edge_type = torch.tensor([0, 1, 2])
    expected = call(layer, nodes, edge_index, edge_type)
    try:
        output = call(layer.bfloat16(), nodes.bfloat16(), edge_index, edge_type)
    finally:
        layer.float()
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, rtol=0.1, atol=0.1)
