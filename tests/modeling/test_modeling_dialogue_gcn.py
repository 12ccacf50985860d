"""DialogueGCN's graph: whose weights sum to 1, how neighbours count, and how long a dialogue may be."""

import pytest
import torch

from joyful_hf import DialogueError
from joyful_hf.modeling.graph_convolution import NeighbourConvolution, WeightedRelationalConvolution
from joyful_hf.modeling.modeling_dialogue_gcn import EdgeWeights
from joyful_hf.modeling.reach import reach_of
from tests.support.helpers import RIVAL_CASES, make_dialogues, make_graph

CASE = next(case for case in RIVAL_CASES if case.name == "dialogue-gcn-recommended")


@pytest.mark.parametrize(("kind", "end"), [("incoming", 1), ("outgoing", 0), ("position", 0)])
def test_weights_sum_to_one_at_their_end(kind, end):
    graph = make_graph((5, 9, 1))
    weights = EdgeWeights(kind, 8, 20)(graph)
    totals = torch.zeros(15).index_add(0, graph.edge_index[end], weights)
    torch.testing.assert_close(totals, torch.ones(15))


def test_a_relational_convolution_weighs_each_edge():
    torch.manual_seed(0)
    graph, layer = make_graph((4, 3), speakers=2), WeightedRelationalConvolution(8, 6, 8, 3)
    weights = torch.rand(graph.edge_index.size(1))
    expected = graph.nodes @ layer.root + layer.bias
    matrices = torch.einsum("rk,kio->rio", layer.coefficients, layer.matrices)
    for (source, target), relation, weight in zip(graph.edge_index.T, graph.edge_type, weights, strict=True):
        expected[target] = expected[target] + weight * graph.nodes[source] @ matrices[relation]
    found = layer(graph.nodes, graph.edge_index, graph.edge_type, weights)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_mean_does_not_grow_with_the_window():
    torch.manual_seed(0)
    layer = NeighbourConvolution(8, 6, mean=True)
    graph = make_graph((9,))
    alike = graph.nodes[:1].expand(9, 8)
    rows = layer(alike, graph.edge_index)
    torch.testing.assert_close(rows, rows[:1].expand_as(rows))
    summed = NeighbourConvolution(8, 6, mean=False)
    summed.load_state_dict(layer.state_dict())
    assert not torch.allclose(summed(alike, graph.edge_index)[0], summed(alike, graph.edge_index)[4])


def test_a_dialogue_longer_than_the_table_of_positions_is_refused():
    model, processor = CASE.make(make_dialogues(), edge_attention="position", max_position=22)
    with pytest.raises(DialogueError, match=r"a dialogue has 23 utterances, .* knows 22"):
        model(**processor(make_dialogues(), return_tensors="pt"))


def test_without_context_and_nodal_attention_it_looks_two_edges_far():
    model, _ = CASE.make(make_dialogues(), context_encoder="none", nodal_attention="none")
    reach = reach_of(model).on_graph(3, 1)
    assert (reach.past, reach.future) == (6, 2)
