"""MMGCN's graph: its adjacency written out, nodes without edges, and one modality alone."""

import math

import pytest
import torch
from torch.nn import functional

from joyful_hf.modeling.modality_graph import GCNIILayer, ModalityGraph
from tests.support.helpers import RIVAL_CASES, hide_modalities, make_dialogues, make_layout
from tests.support.recorded.mmgcn import written_out

CASE = next(case for case in RIVAL_CASES if case.name == "mmgcn-recommended")


def plain_adjacency(nodes, seen):
    """Â of one dialogue (modalities, n, size) as a dense matrix over all nodes, by its definition."""
    modalities, length, _ = nodes.shape
    modality, utterance = torch.arange(modalities).repeat_interleave(length), torch.arange(length).repeat(modalities)
    joined = (modality[:, None] == modality) | (utterance[:, None] == utterance)
    joined = joined & seen.flatten()[:, None] & seen.flatten()
    cosine = functional.cosine_similarity(nodes.flatten(0, 1)[:, None], nodes.flatten(0, 1), dim=-1)
    weights = (1 - torch.arccos(0.99999 * cosine.clamp(-1, 1)) / math.pi) * joined
    degree = weights.sum(1)
    root = torch.where(degree > 0, degree.rsqrt(), 0)
    return root[:, None] * weights * root


@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_it_is_the_adjacency_of_all_nodes(modalities):
    torch.manual_seed(0)
    nodes, seen = torch.randn(modalities, 6, 5), torch.rand(modalities, 6) < 0.8
    graph = ModalityGraph.of(nodes[None], seen[None], make_layout((6,)).blocks[0])
    expected = plain_adjacency(nodes, seen)
    torch.testing.assert_close(written_out(graph), expected, rtol=1e-4, atol=1e-5)
    rows = torch.randn(modalities, 6, 4)
    spread = graph.spread(rows[None])[0].flatten(0, 1)
    torch.testing.assert_close(spread, expected @ rows.flatten(0, 1), rtol=1e-4, atol=1e-5)


def test_a_node_of_zeros_spoils_nothing():
    """The released code divides 0 by 0 there, and every dialogue of the batch is NaN."""
    nodes = torch.randn(1, 2, 4, 5)
    nodes[0, 0, 1] = 0
    nodes.requires_grad_()
    graph = ModalityGraph.of(nodes, torch.ones(1, 2, 4, dtype=torch.bool), make_layout((4,)).blocks[0])
    graph.spread(nodes).square().sum().backward()
    assert graph.within.isfinite().all()
    assert nodes.grad.isfinite().all()


def test_a_layer_without_its_own_map_keeps_a_share_of_the_first():
    layer, received, first = GCNIILayer(4, theta=0.0, alpha=0.25), torch.rand(3, 4), torch.rand(3, 4)
    torch.testing.assert_close(layer(received, first), 0.75 * received + 0.25 * first)


def test_an_absent_modality_has_no_part_in_its_utterance():
    model, processor = CASE.make(make_dialogues())
    batch = processor(make_dialogues(), return_tensors="pt")
    present = torch.ones(38, 3, dtype=torch.bool)
    present[7, 1] = False
    rows = model(**hide_modalities(batch, present)).graph.unflatten(1, (3, -1))
    assert not rows[7, 0].any(), "audio comes first"
    assert rows[7, 1:].any(1).all()
