"""M3Net's equations, held against their plain forms over lists of edges."""

import pytest
import torch
from torch.nn import functional

from joyful_hf.modeling.frequency_graph import FrequencyGraph, FrequencyLayer
from joyful_hf.modeling.hypergraph import HyperConvolution, NumberedHyperWeights, WeightsOfKinds
from tests.support.helpers import RIVAL_CASES, hide_modalities, make_dialogue, make_dialogues, make_layout
from tests.test_invariants import logits_of, run

CASE = next(case for case in RIVAL_CASES if case.name == "m3net-recommended")
LENGTHS = (1, 4, 2)


@pytest.fixture
def nodes():
    return torch.randn(sum(LENGTHS), 3, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def seen():
    return torch.rand(sum(LENGTHS), 3, 1, generator=torch.Generator().manual_seed(1)) < 0.7


def rows_of_dialogues():
    first = 0
    for length in LENGTHS:
        yield range(first, first + length)
        first += length


def hyperedges():
    """The nodes (row, modality) of each hyperedge, and its kind: the number of a modality, or 3."""
    for rows in rows_of_dialogues():
        for modality in range(3):
            yield [(row, modality) for row in rows], modality
        for row in rows:
            yield [(row, modality) for modality in range(3)], 3


def test_a_hyperedge_is_the_weighted_mean_of_its_nodes_and_a_node_that_of_its_hyperedges(nodes, seen):
    weights, layer = WeightsOfKinds(3), HyperConvolution(5)
    torch.nn.init.normal_(weights.log_node)
    torch.nn.init.normal_(weights.log_hyperedge)
    total, share = torch.zeros_like(nodes), torch.zeros(len(nodes), 3, 1)
    gamma, w = weights.log_node.exp(), weights.log_hyperedge.exp()
    for members, kind in hyperedges():
        there = [(row, modality) for row, modality in members if seen[row, modality]]
        for node in there:
            mean = sum(gamma[m] * nodes[r, m] for r, m in there) / sum(gamma[m] for _, m in there)
            total[node] += w[kind] * mean.detach()
            share[node] += w[kind].detach()
    layout = make_layout(LENGTHS)
    found = layer(torch.where(seen, nodes, 0), seen, weights(layout), layout)
    expected = functional.leaky_relu(total / share)
    torch.testing.assert_close(torch.where(seen, found, 0), torch.where(seen, expected, 0))


@pytest.mark.parametrize("in_batch", [False, True])
def test_numbers_count_nodes_and_hyperedges(in_batch):
    node, context, utterance = NumberedHyperWeights(3, 9, 9, in_batch).numbers(make_layout((2, 1)))
    before = (6, 5) if in_batch else (0, 0)  # nodes and hyperedges of the first dialogue
    assert node.tolist() == [[0, 2, 4], [1, 3, 5], [number + before[0] for number in (0, 1, 2)]]
    assert context.tolist() == [[0, 1, 2], [0, 1, 2], [number + before[1] for number in (0, 1, 2)]]
    assert utterance.tolist() == [[3], [4], [3 + before[1]]]


def test_a_node_takes_the_sum_of_its_neighbours_or_the_difference_to_them(nodes, seen):
    layer = FrequencyLayer(5)
    neighbours = {}
    for rows in rows_of_dialogues():
        for row in rows:
            for modality in range(3):
                of_modality = [(other, modality) for other in rows if other != row]
                of_utterance = [(row, other) for other in range(3) if other != modality]
                there = [node for node in of_modality + of_utterance if seen[node]]
                neighbours[row, modality] = there if seen[row, modality] else []
    expected = torch.zeros_like(nodes)
    for node, there in neighbours.items():
        for other in there:
            gate = torch.tanh(layer.gate(torch.cat([nodes[node], nodes[other]])))
            expected[node] += gate.detach() * nodes[other] / (len(there) * len(neighbours[other])) ** 0.5
    graph = FrequencyGraph(make_layout(LENGTHS), seen)
    torch.testing.assert_close(layer(nodes, graph).detach(), expected)


def made(**fields):
    model, processor = CASE.make(make_dialogues(), **fields)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if ".hyper_weights." in name:
            parameter.data += torch.rand(parameter.shape, generator=generator)
    return model, processor


@pytest.mark.parametrize(
    ("fields", "is_apart"),
    [
        ({"hyper_weights": "kind"}, True),
        ({"hyper_weights": "dialogue"}, True),
        ({"hyper_weights": "batch"}, False),
        ({"reads_padding": True}, False),
    ],
    ids=["kind", "dialogue", "batch", "padding"],
)
def test_batch_mates_matter_only_where_that_is_asked_for(fields, is_apart):
    model, processor = made(**fields)
    first, second = make_dialogue(9, seed=1), make_dialogue(6, seed=2)
    alone, beside = logits_of(model, processor, [second]), logits_of(model, processor, [first, second])[9:]
    assert torch.allclose(beside, alone, rtol=1e-4, atol=1e-5) == is_apart


def test_a_modality_that_no_utterance_has_moves_nothing():
    model, processor = made()
    batch = processor(make_dialogues(), return_tensors="pt")
    hidden = hide_modalities(batch, torch.tensor([True, False, True]).expand(38, 3))
    before = run(model, hidden).logits
    with torch.no_grad():
        model.m3net.projections["audio"].bias += 3
    assert torch.equal(run(model, hidden).logits, before)
    assert not torch.equal(run(model, batch).logits, before)


def test_a_focal_loss_turns_to_what_is_hard():
    model, processor = made(classification_loss="focal", focal_gamma=2.0, class_weights=[1.0, 2.0, 1.0, 1.0])
    batch = processor(make_dialogues(), return_tensors="pt")
    batch["labels"][::5] = -100
    output, known = run(model, batch), batch["labels"] >= 0
    labels, weights = batch["labels"][known], torch.tensor([1.0, 2, 1, 1])
    probability = output.logits.softmax(-1)[known].gather(1, labels[:, None]).squeeze(1)
    losses = -((1 - probability) ** 2) * probability.log() * weights[labels]
    torch.testing.assert_close(output.loss, losses.sum() / weights[labels].sum())


def test_several_vectors_of_a_text_are_averaged():
    dialogues = make_dialogues(modalities=("text",))
    model, processor = CASE.make(dialogues, text_layers=3)
    batch = processor(dialogues, return_tensors="pt")
    order = torch.cat([torch.arange(4, 12), torch.arange(4)])  # the vectors, the first one last
    torch.testing.assert_close(
        run(model, dict(batch, text_features=batch["text_features"][:, order])).logits, run(model, batch).logits
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text_layers": 3}, "text_layers=3 does not divide the text's vectors of size 4"),
        ({"text_projection": False}, "without text_projection, projection_size must be the text's 4"),
        ({"projection_size": 7}, "even"),
        ({"classification_loss": "focal", "label_smoothing": 0.1}, "without label_smoothing"),
        ({"classification_loss": "focal", "problem_type": "multi_label_classification"}, "single labels"),
    ],
    ids=["layers", "projection", "odd", "smoothing", "task"],
)
def test_settings_that_do_not_fit_are_refused(fields, reason):
    with pytest.raises(Exception, match=reason):
        CASE.make_config(text_dim=4, num_labels=2, **fields)
