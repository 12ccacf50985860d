"""The graph of a dialogue: what is read from a model, and what is drawn."""

import numpy as np
import pytest

from joyful_hf import DialogueError
from joyful_hf.inference.dialogue_graph import DialogueGraph, read_graph
from joyful_hf.modeling.reach import reach_of
from joyful_hf.pictures import (
    plot_dialogue_graph,
)
from joyful_hf.processing.graph import window_edges
from tests.support.figures import drawn, predict, texts_of
from tests.support.helpers import (
    FAMILY_CASES,
    LABELS,
    make_dialogue,
    make_dialogues,
)


def test_the_graph_of_a_dialogue_is_drawn_or_there_is_none(family):
    dialogue = make_dialogue(7)
    model, processor = family.make([dialogue])
    prediction = predict(model, processor, dialogue)
    if not family.reads_dialogues:
        with pytest.raises(DialogueError, match="has no graph: it sees one utterance at a time"):
            read_graph(model, processor, dialogue)
        return
    if not reach_of(model).graph_steps:
        with pytest.raises(DialogueError, match="has no graph to draw: it does not read the processor's window"):
            read_graph(model, processor, dialogue)
        return
    graph = read_graph(model.train(), processor, dialogue)
    assert model.training, "the mode that the model was in is lost"
    figure = drawn(plot_dialogue_graph(graph, prediction, edges_per_utterance=2))
    assert len(figure.axes[0].patches) == 2 * 7
    title = figure.texts[0].get_text()
    batch = processor(dialogue, return_tensors="pt", return_labels=False)
    attention = model.eval()(**batch, output_edge_attention=True).edge_attention
    if attention is None:
        assert graph.num_heads == 0
        assert "the graph has no attention: edges are drawn with equal weights" in title
    else:
        weights = attention.detach().mean(-1).numpy()
        received = np.bincount(graph.edge_index[1], weights)
        assert np.allclose(graph.weights, weights / received[graph.edge_index[1]], atol=1e-6)
        assert np.allclose(received, 1, atol=1e-5) == (family.name != "dialogue-gcn-released")
        heads = attention.size(1)
        assert ("one head" if heads == 1 else f"mean of {heads} heads") in title
    assert np.allclose(np.bincount(graph.edge_index[1], graph.weights), 1, atol=1e-5)
    predicted = [utterance["label"] for utterance in prediction["utterances"]]
    assert [text for text in texts_of(figure) if text in LABELS] == predicted


def graph_with(weights):
    """The picture of three utterances that all hear each other, with one edge drawn into each."""
    prediction = {"utterances": [{"speaker": speaker, "label": "joy"} for speaker in "ABA"]}
    graph = DialogueGraph(window_edges(np.array([3]), -1, -1), np.array(weights), num_heads=1)
    return drawn(plot_dialogue_graph(graph, prediction, edges_per_utterance=1))


def test_an_edge_lies_by_direction_and_is_drawn_by_relation_and_weight():
    #              to 0             to 1             to 2
    figure = graph_with([0.5, 0.1, 0.4, 0.6, 0.2, 0.2, 0.7, 0.3, 0.0])
    found = {}
    for patch in figure.axes[0].patches:
        (_, begin), (side, _), _, (_, end) = patch.get_path().vertices
        found[int(begin), int(end)] = (side < 0, patch.get_linestyle() == "-", patch.get_linewidth())
    assert set(found) == {(2, 0), (0, 1), (0, 2)}, "the strongest edge into each"
    assert {edge: from_past for edge, (from_past, _, _) in found.items()} == {
        (2, 0): False,
        (0, 1): True,
        (0, 2): True,
    }
    assert {edge: is_same for edge, (_, is_same, _) in found.items()} == {(2, 0): True, (0, 1): False, (0, 2): True}
    assert found[2, 0][2] < found[0, 1][2] < found[0, 2][2]
    assert {"50%", "20%", "0%"} <= set(texts_of(figure)), "the weight of each utterance's own edge"


def test_equal_edges_are_drawn_by_distance():
    figure = graph_with([1 / 3] * 9)
    ends = {tuple(patch.get_path().vertices[[0, -1], 1].astype(int)) for patch in figure.axes[0].patches}
    assert {(1, 0), (1, 2)} <= ends


def test_a_model_without_graph_layers_has_nothing_to_draw():
    dialogue = make_dialogue(4)
    with pytest.raises(DialogueError, match="graph_num_layers is 0"):
        read_graph(*FAMILY_CASES[0].make([dialogue], graph_num_layers=0), dialogue)


def test_an_utterance_alone_has_a_graph_too():
    dialogue = make_dialogue(1)
    model, processor = FAMILY_CASES[0].make(make_dialogues())
    graph = read_graph(model, processor, dialogue)
    assert "100%" in texts_of(plot_dialogue_graph(graph, predict(model, processor, dialogue)))
