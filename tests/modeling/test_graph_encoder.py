"""The graph encoders: depth, the released formula, the residual form, and what a graph can look like."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from joyful_hf import JoyfulConfig
from joyful_hf.modeling.augmentation import rewire_edges
from joyful_hf.modeling.configuration_graph import SpeakerGraphConfig
from joyful_hf.modeling.graph_encoder import (
    AggregateCombineEncoder,
    EdgeBias,
    RelationalEncoder,
    convolve_together,
    make_graph_encoder,
)
from tests.support.helpers import make_graph

SIZE, HEADS = 8, 2
LENGTHS = (5, 1, 8)
FORMS = {
    "paper": {"graph_encoder": "aggregate_combine", "graph_residual": False},
    "paper-residual": {"graph_encoder": "aggregate_combine", "graph_residual": True},
    "released": {"graph_encoder": "relational", "graph_residual": False, "graph_max_distance": 0},
    "residual": {"graph_encoder": "relational", "graph_residual": True, "graph_max_distance": 4},
}

each_form = pytest.mark.parametrize("form", FORMS)


def make_encoder(form: str, layers: int = 1, **fields):
    torch.manual_seed(0)
    sizes = {"graph_hidden_size": None, "graph_num_layers": layers, "graph_num_heads": HEADS, "max_speakers": 3}
    config = JoyfulConfig(**(FORMS[form] | sizes | fields | {"relation_scheme": "speaker_pair"}))
    return make_graph_encoder(config, SIZE).eval()


def encode(encoder, graph):
    return encoder.attend(encoder.convolve(graph), graph)


@each_form
@pytest.mark.parametrize("masked", [False, True], ids=["all-edges", "some-edges-do-not-count"])
def test_several_graphs_together_are_convolved_as_each_alone(form, masked):
    encoder, graph = make_encoder(form, layers=2), make_graph(LENGTHS)
    view = rewire_edges(replace(graph, nodes=graph.nodes * 2), 0.5)
    if masked:
        view = view.with_edges(view.edge_index, is_edge=torch.arange(view.edge_index.size(1)) % 3 > 0)
    together = convolve_together(encoder, [graph, view, graph])
    for nodes, alone in zip(together, [graph, view, graph], strict=True):
        torch.testing.assert_close(nodes, encoder.convolve(alone))


class TestAggregateCombineEncoder:
    @pytest.mark.parametrize("layers", [1, 2, 4])
    def test_each_layer_takes_what_the_last_one_gives(self, layers):
        encoder, graph = make_encoder("paper", layers), make_graph(LENGTHS)
        nodes = graph.nodes
        for layer in encoder.layers:
            nodes = layer(nodes, graph.edge_index)
        assert len(encoder.layers) == layers
        torch.testing.assert_close(encoder.convolve(graph), nodes)

    @pytest.mark.parametrize(("width", "expected"), [(None, SIZE), (5, 5)])
    def test_it_keeps_the_width_of_its_input_unless_told_otherwise(self, width, expected):
        encoder = make_encoder("paper", graph_hidden_size=width)
        assert encoder.hidden_size == encoder.convolve(make_graph(LENGTHS)).size(-1) == expected

    def test_with_a_residual_path_a_layer_adds_to_its_input(self):
        encoder, graph = make_encoder("paper-residual"), make_graph(LENGTHS)
        expected = graph.nodes + encoder.layers[0](graph.nodes, graph.edge_index)
        torch.testing.assert_close(encoder.convolve(graph), expected)

    def test_what_is_contrasted_is_what_is_classified(self):
        encoder, graph = make_encoder("paper"), make_graph(LENGTHS)
        convolved = encoder.convolve(graph)
        assert encoder.attend(convolved, graph) == (convolved, None)


class TestRelationalEncoder:
    def test_released_is_convolution_attention_normalisation(self):
        encoder, graph = make_encoder("released"), make_graph(LENGTHS)
        convolved = encoder.convolutions[0](graph.nodes, graph.edge_index, graph.edge_type)
        attended, expected_attention = encoder.attention(convolved, graph.edge_index)
        norm = encoder.batch_norm
        nn.init.normal_(norm.running_mean)
        expected = functional.leaky_relu((attended - norm.running_mean) / (norm.running_var + norm.eps).sqrt(), 0.01)
        graph_output, attention = encode(encoder, graph)
        assert encoder.hidden_size == graph_output.size(-1) == HEADS * SIZE  # every head has the full width
        torch.testing.assert_close(encoder.convolve(graph), convolved)
        torch.testing.assert_close(graph_output, expected)
        torch.testing.assert_close(attention, expected_attention)

    def test_more_released_layers_have_a_relu_between_them(self):
        encoder, graph = make_encoder("released", layers=2), make_graph(LENGTHS)
        first, second = encoder.convolutions
        expected = first(graph.nodes, graph.edge_index, graph.edge_type)
        expected = second(torch.relu(expected), graph.edge_index, graph.edge_type)
        torch.testing.assert_close(encoder.convolve(graph), expected)

    def test_residual_layers_add_to_their_input(self):
        encoder, graph = make_encoder("residual", layers=2, graph_max_distance=0), make_graph(LENGTHS)
        nodes = graph.nodes
        for norm, convolution in zip(encoder.norms, encoder.convolutions, strict=False):
            nodes = nodes + torch.relu(convolution(norm(nodes), graph.edge_index, graph.edge_type))
        torch.testing.assert_close(encoder.convolve(graph), nodes)
        attended, _ = encoder.attention(encoder.norms[-1](nodes), graph.edge_index)
        assert encoder.hidden_size == SIZE  # the heads share the width
        torch.testing.assert_close(encode(encoder, graph)[0], nodes + attended)

    def test_heads_that_do_not_divide_the_width_are_refused(self):
        with pytest.raises(ValueError, match=r"graph_num_heads=3 .* width 8"):
            make_encoder("residual", graph_num_heads=3)
        make_encoder("released", graph_num_heads=3)

    @pytest.mark.parametrize("form", ["released", "residual"])
    def test_without_heads_there_are_the_convolutions_alone(self, form):
        encoder, graph = make_encoder(form, layers=2), make_graph(LENGTHS)
        torch.manual_seed(0)
        config = SpeakerGraphConfig(
            graph_num_layers=2,
            graph_num_heads=0,
            graph_residual=FORMS[form]["graph_residual"],
            max_speakers=3,
        )
        alone = RelationalEncoder(config, SIZE).eval()
        alone.load_state_dict({name: encoder.state_dict()[name] for name in alone.state_dict()})
        assert alone.hidden_size == SIZE
        nodes, attention = alone(graph)
        assert attention is None
        torch.testing.assert_close(nodes, encoder.convolve(graph))

    def test_relations_tell_edges_apart(self):
        encoder, graph = make_encoder("released"), make_graph(LENGTHS)
        other = replace(graph, edge_type=(graph.edge_type + 1) % 18)
        assert (encode(encoder, graph)[0] - encode(encoder, other)[0]).abs().max() > 1e-3


class TestEdgeBias:
    def test_it_depends_on_relation_and_distance(self):
        graph = make_graph(LENGTHS, window=6)
        bias = EdgeBias(JoyfulConfig(max_speakers=3, graph_num_heads=HEADS, graph_max_distance=4))
        nn.init.normal_(bias.table.table)
        table = bias.table.table.view(HEADS, 18, 9)
        source, target = graph.edge_index
        expected = [
            table[:, relation, max(-4, min(4, distance)) + 4]
            for relation, distance in zip(graph.edge_type.tolist(), (source - target).tolist(), strict=True)
        ]
        assert torch.equal(bias(graph), torch.stack(expected))

    def test_it_begins_at_zero_and_reaches_the_attention(self):
        encoder, graph = make_encoder("residual"), make_graph(LENGTHS)
        plain, attention = encode(encoder, graph)
        torch.testing.assert_close(plain, encode(make_encoder("residual", graph_max_distance=0), graph)[0])
        nn.init.normal_(encoder.edge_bias.table.table)
        assert (encode(encoder, graph)[1] - attention).abs().max() > 1e-2


@each_form
class TestAnyGraph:
    def test_without_edges_every_utterance_stands_alone(self, form):
        encoder, graph, alone = make_encoder(form), make_graph(LENGTHS), make_graph((1,))
        no_edges = graph.edge_index[:, :0]
        output, _ = encode(encoder, graph.with_edges(no_edges))
        for row in range(sum(LENGTHS)):
            expected, _ = encode(encoder, replace(alone.with_edges(no_edges), nodes=graph.nodes[row : row + 1]))
            torch.testing.assert_close(output[row : row + 1], expected)

    @pytest.mark.parametrize("lengths", [(1,), (1, 1), (40,)])
    def test_it_trains_on_dialogues_of_any_length(self, form, lengths):
        encoder, graph = make_encoder(form).train(), make_graph(lengths)
        output, _ = encode(encoder, graph)
        output.square().sum().backward()
        gradients = [parameter.grad for parameter in encoder.parameters()]
        assert output.shape == (sum(lengths), encoder.hidden_size)
        assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)

    def test_dialogues_do_not_touch(self, form):
        encoder, graph = make_encoder(form, layers=2), make_graph(LENGTHS)
        before, _ = encode(encoder, graph)
        other = graph.nodes.clone()
        other[:5] += 1
        after, _ = encode(encoder, replace(graph, nodes=other))
        torch.testing.assert_close(after[5:], before[5:])
        assert (after[:5] - before[:5]).abs().max() > 1e-3


@each_form
def test_edges_that_do_not_count_change_nothing(form):
    encoder, graph = make_encoder(form, 2), make_graph(LENGTHS)
    arrives = graph.edge_index[1] > 0  # nothing else where they lie
    graph = graph.with_edges(graph.edge_index[:, arrives], graph.edge_type[arrives])
    none = torch.zeros_like(graph.edge_index[:, :7])
    filled = graph.with_edges(
        torch.cat([graph.edge_index, none], dim=1),
        torch.cat([graph.edge_type, graph.relations_of(none)]),
        torch.cat([torch.ones_like(graph.edge_type), none[0]]).bool(),
    )
    outputs = []
    for own in (graph, filled):
        own = replace(own, nodes=own.nodes.clone().requires_grad_())
        encoder.zero_grad()
        encoded, _ = encode(encoder, own)
        encoded.square().sum().backward()
        outputs.append([encoded, own.nodes.grad, *(parameter.grad for parameter in encoder.parameters())])
    for one, other in zip(*outputs, strict=True):
        torch.testing.assert_close(one, other)


def test_the_config_names_the_encoder():
    assert isinstance(make_encoder("paper"), AggregateCombineEncoder)
    assert isinstance(make_encoder("released"), RelationalEncoder)
