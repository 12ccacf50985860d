"""Graph augmentation (section 3.4.2, Appendix A): each on copies, inside the dialogues, with relations that fit."""

from dataclasses import fields
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from joyful_hf.modeling.augmentation import (
    add_proximate_edges,
    drop_and_add_edges,
    mask_dimensions,
    mask_elements,
    rewire_edges,
)
from joyful_hf.modeling.katz import dense_proximity
from joyful_hf.modeling.speaker_graph import relation_ids
from joyful_hf.processing import graph as processing
from tests.support.helpers import batches_of_lengths, make_graph


def add_proximate(graph, rate, threshold=0.5, attenuation=0.5, order=4):
    return add_proximate_edges(graph, rate, threshold, attenuation, order)


FEATURE_MASKS = [mask_dimensions, mask_elements]
EDGE_PERTURBATIONS = [drop_and_add_edges, rewire_edges]
AUGMENTATIONS = [*FEATURE_MASKS, *EDGE_PERTURBATIONS, add_proximate]
LENGTHS = (6, 1, 12)

each_augmentation = pytest.mark.parametrize("augment", AUGMENTATIONS)
each_scheme = pytest.mark.parametrize("relation_scheme", ["speaker_pair", "same_or_other"])
rates = st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0])


def tensors_of(graph) -> dict[str, Tensor]:
    values = {field.name: getattr(graph, field.name) for field in fields(graph)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def edges_of(graph) -> list[tuple[int, int]]:
    return [(source, target) for source, target in graph.edge_index.T.tolist()]


class TestEveryAugmentation:
    @each_augmentation
    @given(lengths=batches_of_lengths, rate=rates)
    def test_the_graph_that_comes_in_stays(self, augment, lengths, rate):
        graph = make_graph(lengths)
        before = {name: (tensor.clone(), tensor.data_ptr()) for name, tensor in tensors_of(graph).items()}
        view = augment(graph, rate)
        for name, tensor in tensors_of(view).items():
            if tensor is not tensors_of(graph)[name]:
                tensor.zero_()  # a view is free to change: its tensors are its own
        for name, tensor in tensors_of(graph).items():
            assert tensor.data_ptr() == before[name][1]
            assert torch.equal(tensor, before[name][0])

    @each_augmentation
    @each_scheme
    @given(lengths=batches_of_lengths, rate=rates)
    def test_edges_stay_in_their_dialogue_and_have_the_relation_that_fits(
        self, augment, relation_scheme, lengths, rate
    ):
        graph = make_graph(lengths, relation_scheme=relation_scheme)
        view = augment(graph, rate)
        source, target = view.edge_index
        assert view.edge_index.shape == (2, len(view.edge_type))
        assert ((view.edge_index >= 0) & (view.edge_index < sum(lengths))).all()
        assert torch.equal(graph.layout.dialogue[source], graph.layout.dialogue[target])
        expected = processing.relation_ids(view.edge_index.numpy(), graph.speaker_ids.numpy(), relation_scheme, 3)
        assert view.edge_type.tolist() == expected.tolist()

    @pytest.mark.parametrize("augment", [*EDGE_PERTURBATIONS, partial(add_proximate, threshold=0.0)])
    @given(lengths=batches_of_lengths, rate=rates)
    def test_in_a_causal_graph_nothing_comes_from_the_future(self, augment, lengths, rate):
        view = augment(make_graph(lengths, causal=True), rate)
        source, target = view.edge_index
        assert (source <= target).all()
        assert torch.equal(view.layout.dialogue[source], view.layout.dialogue[target])

    @each_augmentation
    def test_the_same_seed_gives_the_same_view_and_another_seed_another(self, augment):
        graph, views = make_graph(LENGTHS), []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            views.append(augment(graph, 0.3))
        first, again, other = ([view.nodes.tolist(), view.edge_index.tolist()] for view in views)
        assert first == again
        assert first != other

    @each_augmentation
    def test_without_edges_it_does_not_fail(self, augment):
        graph = make_graph((3, 1))
        lonely = graph.with_edges(graph.edge_index[:, :0])
        assert torch.isfinite(augment(lonely, 0.5).nodes).all()

    @each_augmentation
    @given(lengths=batches_of_lengths)
    def test_a_rate_of_0_changes_nothing(self, augment, lengths):
        graph = make_graph(lengths)
        view = augment(graph, 0.0)
        assert torch.equal(view.nodes, graph.nodes)
        assert edges_of(view) == edges_of(graph)


class TestFeatureMask:
    @given(lengths=batches_of_lengths, rate=rates, size=st.integers(1, 12))
    def test_dimensions_are_masked_for_a_whole_dialogue_in_an_exact_share(self, lengths, rate, size):
        graph = make_graph(lengths, size=size)
        view = mask_dimensions(graph, rate)
        kept = view.nodes != 0
        for dialogue in kept.split(lengths):
            assert (dialogue == dialogue[0]).all()
            assert int((~dialogue[0]).sum()) == round(rate * size)
        assert torch.equal(view.nodes, graph.nodes * kept)

    def test_each_dialogue_has_dimensions_of_its_own(self):
        kept = mask_dimensions(make_graph((1,) * 20), 0.5).nodes != 0
        assert len({tuple(row) for row in kept.tolist()}) > 10

    def test_elements_are_masked_one_by_one_without_rescaling(self):
        torch.manual_seed(0)
        graph = make_graph((100, 100), size=100)
        view = mask_elements(graph, 0.25)
        kept = view.nodes != 0
        assert float((~kept).float().mean()) == pytest.approx(0.25, abs=0.02)
        assert len({tuple(row) for row in kept.tolist()}) == 200
        assert torch.equal(view.nodes, graph.nodes * kept)

    @pytest.mark.parametrize("augment", FEATURE_MASKS)
    def test_edges_stay(self, augment):
        graph = make_graph(LENGTHS)
        view = augment(graph, 0.5)
        assert view.edge_index is graph.edge_index
        assert view.edge_type is graph.edge_type

    @pytest.mark.parametrize("augment", FEATURE_MASKS)
    def test_the_type_stays(self, augment):
        graph = make_graph(LENGTHS)
        half = augment(type(graph)(**{**vars(graph), "nodes": graph.nodes.bfloat16()}), 0.5)
        assert half.nodes.dtype == torch.bfloat16


class TestEdgePerturbation:
    @given(lengths=batches_of_lengths, rate=rates)
    def test_drop_and_add_keeps_an_exact_share_and_adds_as_many_as_it_drops(self, lengths, rate):
        graph = make_graph(lengths)
        view = drop_and_add_edges(graph, rate)
        before, after = edges_of(graph), edges_of(view)
        kept = len(before) - round(rate * len(before))
        assert len(after) == len(before)
        assert len(set(after[:kept])) == kept
        assert set(after[:kept]) <= set(before)

    def test_drop_and_add_reaches_beyond_the_window(self):
        torch.manual_seed(0)
        added = set(edges_of(drop_and_add_edges(make_graph((40,)), 0.5))) - set(edges_of(make_graph((40,))))
        assert max(abs(source - target) for source, target in added) > 20

    @given(lengths=batches_of_lengths, rate=rates)
    def test_rewire_moves_targets_of_an_exact_share(self, lengths, rate):
        graph = make_graph(lengths)
        view = rewire_edges(graph, rate)
        assert torch.equal(view.edge_index[0], graph.edge_index[0])
        moved = int((view.edge_index[1] != graph.edge_index[1]).sum())
        assert moved <= round(rate * graph.edge_index.size(1))

    def test_rewire_moves_most_of_its_share_in_a_long_dialogue(self):
        torch.manual_seed(0)
        graph = make_graph((200,))
        moved = int((rewire_edges(graph, 0.1).edge_index[1] != graph.edge_index[1]).sum())
        assert moved > 0.95 * round(0.1 * graph.edge_index.size(1))

    @pytest.mark.parametrize("augment", EDGE_PERTURBATIONS)
    def test_nodes_stay(self, augment):
        graph = make_graph(LENGTHS)
        assert augment(graph, 0.5).nodes is graph.nodes


class TestGlobalProximity:
    @given(lengths=batches_of_lengths, threshold=st.sampled_from([0.2, 0.5, 1.0]), rate=rates)
    def test_it_adds_absent_edges_above_the_threshold_and_drops_none(self, lengths, threshold, rate):
        graph = make_graph(lengths, window=1)
        view = add_proximate(graph, rate, threshold)
        before, after = edges_of(graph), edges_of(view)
        added = after[len(before) :]
        assert after[: len(before)] == before
        assert len(set(added)) == len(added)
        assert not set(added) & set(before)
        proximity, _ = dense_proximity(graph.edge_index, graph.layout, 0.5, 4)
        for source, target in added:
            dialogue, position = int(graph.layout.dialogue[source]), graph.layout.position
            assert proximity[dialogue, position[source], position[target]] >= threshold

    def test_a_rate_of_1_adds_every_candidate(self):
        graph = make_graph(LENGTHS, window=1)
        proximity, linked = dense_proximity(graph.edge_index, graph.layout, 0.5, 4)
        candidates = int(((proximity >= 0.5) & ~linked).sum())
        assert len(edges_of(add_proximate(graph, 1.0))) == len(edges_of(graph)) + candidates > len(edges_of(graph))

    def test_a_rate_between_adds_that_share(self):
        torch.manual_seed(0)
        graph = make_graph((400, 400), window=2)
        every = len(edges_of(add_proximate(graph, 1.0))) - len(edges_of(graph))
        some = len(edges_of(add_proximate(graph, 0.2))) - len(edges_of(graph))
        assert some / every == pytest.approx(0.2, abs=0.04)

    @given(lengths=batches_of_lengths)
    def test_a_complete_graph_has_nothing_to_add(self, lengths):
        graph = make_graph(lengths, window=12)
        assert edges_of(add_proximate(graph, 1.0)) == edges_of(graph)

    def test_a_further_order_reaches_further(self):
        graph = make_graph((12,), window=1)
        reach = [
            max(abs(source - target) for source, target in edges_of(add_proximate(graph, 1.0, 0.0001, order=order)))
            for order in (2, 3, 4)
        ]
        assert reach == [2, 3, 4]


@each_scheme
@given(lengths=batches_of_lengths, window=st.integers(0, 4))
def test_the_model_and_the_processor_call_relations_the_same(relation_scheme, lengths, window):
    edge_index = processing.window_edges(np.asarray(lengths), window, window)
    speaker_ids = np.arange(sum(lengths)) % 3
    theirs = processing.relation_ids(edge_index, speaker_ids, relation_scheme, 3)
    ours = relation_ids(torch.from_numpy(edge_index), torch.from_numpy(speaker_ids), relation_scheme, 3)
    assert ours.tolist() == theirs.tolist()
    assert max(theirs) < processing.num_relations(relation_scheme, 3)


@pytest.mark.parametrize("mask", FEATURE_MASKS)
def test_rescaled_rows_keep_their_size_on_average(mask):
    graph = make_graph((500,), size=40)
    torch.manual_seed(0)
    plain = mask(graph, 0.2).nodes
    torch.manual_seed(0)
    rescaled = mask(graph, 0.2, rescale=True).nodes
    torch.testing.assert_close(rescaled, plain / 0.8)
    assert torch.isfinite(mask(graph, 1.0, rescale=True).nodes).all()
