"""Katz proximity: the sum of matrix powers, dense and sparse."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf.modeling import katz
from joyful_hf.modeling.katz import dense_proximity, proximate_pairs, random_proximate_pairs, sparse_proximity
from tests.support.helpers import batches_of_lengths, make_graph, make_layout


def edges_of(graph) -> list[tuple[int, int]]:
    return [(source, target) for source, target in graph.edge_index.T.tolist()]


def by_powers(graph, lengths, attenuation, order):
    """sum_k beta^k A^k of each dialogue in double precision, over the highest score of an absent edge."""
    start, results = 0, []
    for length in lengths:
        adjacency = torch.zeros(length, length, dtype=torch.float64)
        for source, target in edges_of(graph):
            if start <= source < start + length and source != target:
                adjacency[source - start, target - start] = 1
        beta = attenuation / max(1, float(adjacency.sum(1).max()))
        scores = sum(beta**k * torch.linalg.matrix_power(adjacency, k) for k in range(1, order + 1))
        linked = (adjacency + torch.eye(length)).bool()
        highest = float(scores.masked_fill(linked, 0).max())
        results.append((scores / highest if highest else None, linked))
        start += length
    return results


@given(
    lengths=batches_of_lengths,
    window=st.integers(0, 3),
    attenuation=st.sampled_from([0.1, 0.5, 0.9]),
    order=st.integers(1, 6),
)
def test_it_is_the_sum_of_matrix_powers(lengths, window, attenuation, order):
    graph = make_graph(lengths, window=window)
    proximity, linked = dense_proximity(graph.edge_index, graph.layout, attenuation, order)
    expected = by_powers(graph, lengths, attenuation, order)
    for index, (length, (scores, known)) in enumerate(zip(lengths, expected, strict=True)):
        assert torch.equal(linked[index, :length, :length], known)
        assert linked[index, length:].all()
        assert linked[index, :, length:].all()
        if scores is not None:
            torch.testing.assert_close(proximity[index, :length, :length].double(), scores, rtol=1e-4, atol=1e-6)


@given(lengths=batches_of_lengths, window=st.integers(0, 12), order=st.integers(1, 5))
def test_the_nearest_absent_edge_has_1_and_none_has_more(lengths, window, order):
    graph = make_graph(lengths, window=window)
    proximity, linked = dense_proximity(graph.edge_index, graph.layout, 0.5, order)
    assert torch.isfinite(proximity).all()
    for scores in proximity.masked_fill(linked, 0):
        assert float(scores.max()) == pytest.approx(1) or not scores.any()


def test_it_follows_the_direction_of_the_edges():
    layout = make_layout([3])
    proximity, _ = dense_proximity(torch.tensor([[0, 1], [1, 2]]), layout, 0.5, 3)
    assert proximity[0, 0, 2] == 1
    assert proximity[0, 2, 0] == 0


def test_half_precision_around_it_changes_nothing():
    graph = make_graph((30,), window=3)
    expected, _ = dense_proximity(graph.edge_index, graph.layout, 0.5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        proximity, _ = dense_proximity(graph.edge_index, graph.layout, 0.5, 4)
    assert torch.equal(proximity, expected)


@given(lengths=batches_of_lengths, window=st.integers(0, 5), order=st.integers(1, 5))
def test_sparse_scores_are_the_dense_ones(lengths, window, order):
    graph = make_graph(lengths, window=window)
    layout = graph.layout
    proximity, linked = dense_proximity(graph.edge_index, layout, 0.5, order)
    pairs, scores = sparse_proximity(graph.edge_index, layout, 0.5, order)
    source, target = pairs
    assert torch.equal(layout.dialogue[source], layout.dialogue[target])
    expected = proximity[layout.dialogue[source], layout.position[source], layout.position[target]]
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-6)
    assert len(scores) == int(((proximity > 0) & ~linked).sum())


@given(lengths=batches_of_lengths, window=st.integers(0, 3), threshold=st.sampled_from([0.2, 0.7]))
def test_the_near_pairs_are_the_same_either_way(monkeypatch, lengths, window, threshold):
    graph = make_graph(lengths, window=window)
    found = []
    for limit in (katz.MAX_DENSE_PAIRS, 0):
        monkeypatch.setattr(katz, "MAX_DENSE_PAIRS", limit)
        found.append({*map(tuple, proximate_pairs(graph.edge_index, graph.layout, threshold, 0.5, 4).T.tolist())})
    assert found[0] == found[1]


@given(
    lengths=batches_of_lengths,
    window=st.integers(0, 3),
    threshold=st.sampled_from([0.2, 0.7]),
    rate=st.sampled_from([0.0, 0.3, 1.0]),
    causal=st.booleans(),
)
def test_random_near_pairs_are_some_of_them_in_as_much_room_as_all_may_need(lengths, window, threshold, rate, causal):
    graph = make_graph(lengths, window=window, causal=causal)
    near = {*map(tuple, proximate_pairs(graph.edge_index, graph.layout, threshold, 0.5, 4).T.tolist())}
    if causal:
        near = {(source, target) for source, target in near if source < target}
    pairs, there = random_proximate_pairs(graph.edge_index, graph.layout, threshold, 0.5, 4, rate, causal)
    found = [tuple(pair) for pair in pairs[:, there].T.tolist()]
    assert len(found) == len(set(found))
    assert near.issuperset(found)
    if rate in (0, 1):
        assert len(found) == rate * len(near)
    assert not pairs[:, ~there].any()


def test_a_share_of_the_near_pairs_is_drawn():
    graph = make_graph((60, 50), window=4)
    torch.manual_seed(0)
    count = proximate_pairs(graph.edge_index, graph.layout, 0.1, 0.5, 4).size(1)
    _, there = random_proximate_pairs(graph.edge_index, graph.layout, 0.1, 0.5, 4, 0.25, causal=False)
    assert int(there.sum()) == pytest.approx(count / 4, rel=0.2)


def test_repeated_edges_count_once():
    layout = make_layout([3])
    once = torch.tensor([[0, 1], [1, 2]])
    for proximity in (dense_proximity, sparse_proximity):
        for ours, expected in zip(
            proximity(once.repeat(1, 2), layout, 0.5, 3), proximity(once, layout, 0.5, 3), strict=True
        ):
            assert torch.equal(ours, expected)


def test_a_long_dialogue_takes_memory_linear_in_its_length():
    graph = make_graph([5000], window=2)
    pairs = proximate_pairs(graph.edge_index, graph.layout, 0.5, 0.5, 4)
    assert 5000 < pairs.size(1) < 5000 * 16
