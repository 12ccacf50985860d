"""The graph of a dialogue: who receives from whom, and by which relation."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf.modeling.speaker_graph import relation_ids as relation_ids_of_model
from joyful_hf.processing.graph import (
    RELATION_SCHEMES,
    num_relations,
    relation_ids,
    window_edges,
)
from tests.support.helpers import batches_of_lengths

windows = st.integers(-1, 14)


def window_edges_one_by_one(lengths: list[int], window_past: int, window_future: int) -> np.ndarray:
    """The definition in plain loops; -1 is unlimited."""
    edges, start = [], 0
    for length in lengths:
        past, future = (length if window < 0 else window for window in (window_past, window_future))
        for target in range(length):
            edges += [
                (start + source, start + target) for source in range(length) if -past <= source - target <= future
            ]
        start += length
    return np.array(edges).T


@st.composite
def graphs(draw):
    """Edges, speakers and the number of speakers of a random batch."""
    lengths = draw(batches_of_lengths)
    max_speakers = draw(st.integers(1, 9))
    speakers = draw(st.lists(st.integers(0, max_speakers - 1), min_size=sum(lengths), max_size=sum(lengths)))
    return window_edges(np.array(lengths), draw(windows), draw(windows)), np.array(speakers), max_speakers


# Edges.


@given(lengths=batches_of_lengths, window_past=windows, window_future=windows)
def test_the_edges_are_those_of_the_definition(lengths, window_past, window_future):
    edge_index = window_edges(np.array(lengths), window_past, window_future)
    assert edge_index.dtype == np.int64
    np.testing.assert_array_equal(edge_index, window_edges_one_by_one(lengths, window_past, window_future))


@pytest.mark.parametrize(
    ("window_past", "window_future", "sources"),
    [
        (2, 1, [2, 3, 4, 5]),
        (0, 0, [4]),
        (0, 2, [4, 5, 6]),
        (-1, 0, [0, 1, 2, 3, 4]),
        (0, -1, [4, 5, 6, 7]),
        (-1, -1, [0, 1, 2, 3, 4, 5, 6, 7]),
        (100, 100, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_an_utterance_receives_from_its_window_and_from_itself(window_past, window_future, sources):
    source, target = window_edges(np.array([8]), window_past, window_future)
    assert source[target == 4].tolist() == sources


@given(lengths=batches_of_lengths, window_past=windows, window_future=windows)
def test_dialogues_are_never_linked(lengths, window_past, window_future):
    dialogue = np.repeat(np.arange(len(lengths)), lengths)
    source, target = window_edges(np.array(lengths), window_past, window_future)
    np.testing.assert_array_equal(dialogue[source], dialogue[target])


@given(lengths=batches_of_lengths, window_past=windows, window_future=windows)
def test_every_utterance_receives_from_itself(lengths, window_past, window_future):
    source, target = window_edges(np.array(lengths), window_past, window_future)
    assert target[source == target].tolist() == list(range(sum(lengths)))


# Relations: of the dialogue A, B, B, each of its kinds of edges once.


@pytest.mark.parametrize(
    ("edge", "speaker_pair", "same_or_other"),
    [
        ((0, 1), 2 * (0 * 2 + 1) + 0, 2),  # from A in the past to B
        ((1, 0), 2 * (1 * 2 + 0) + 1, 3),  # from B in the future to A
        ((1, 2), 2 * (1 * 2 + 1) + 0, 0),  # from B's own past
        ((2, 1), 2 * (1 * 2 + 1) + 1, 1),  # from B's own future
        ((0, 0), 2 * (0 * 2 + 0) + 1, 1),  # from itself: as from the future, in the released code too
        ((1, 1), 2 * (1 * 2 + 1) + 1, 1),
    ],
)
def test_a_relation_tells_who_speaks_to_whom_and_when(edge, speaker_pair, same_or_other):
    edge_index, speaker_ids = np.array([edge]).T, np.array([0, 1, 1])
    assert relation_ids(edge_index, speaker_ids, "speaker_pair", 2).tolist() == [speaker_pair]
    assert relation_ids(edge_index, speaker_ids, "same_or_other", 2).tolist() == [same_or_other]


@given(graph=graphs())
def test_speaker_pair_gives_each_pair_and_direction_its_own_relation(graph):
    edge_index, speaker_ids, max_speakers = graph
    source, target = edge_index
    meanings = zip(speaker_ids[source], speaker_ids[target], source < target, strict=True)
    relations = relation_ids(edge_index, speaker_ids, "speaker_pair", max_speakers)
    assert len(set(meanings)) == len(set(relations.tolist()))


@pytest.mark.parametrize("scheme", RELATION_SCHEMES)
@given(graph=graphs())
def test_relations_are_counted_from_0(scheme, graph):
    edge_index, speaker_ids, max_speakers = graph
    relations = relation_ids(edge_index, speaker_ids, scheme, max_speakers)
    assert relations.dtype == np.int64
    assert relations.min() >= 0
    assert relations.max() < num_relations(scheme, max_speakers)


@pytest.mark.parametrize(
    ("scheme", "max_speakers", "expected"),
    [
        ("speaker_pair", 1, 2),
        ("speaker_pair", 2, 8),
        ("speaker_pair", 9, 162),
        ("same_or_other", 1, 4),
        ("same_or_other", 9, 4),
    ],
)
def test_the_number_of_relations(scheme, max_speakers, expected):
    assert num_relations(scheme, max_speakers) == expected


def test_an_unknown_scheme_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown relation_scheme 'pairs'; choose from speaker_pair, same_or_other"):
        num_relations("pairs", 2)


@pytest.mark.parametrize("scheme", RELATION_SCHEMES)
@given(graph=graphs())
def test_processor_and_model_number_relations_alike(scheme, graph):
    """The two rooms may not import each other; this keeps their formulas one."""
    edge_index, speaker_ids, max_speakers = graph
    of_model = relation_ids_of_model(torch.from_numpy(edge_index), torch.from_numpy(speaker_ids), scheme, max_speakers)
    np.testing.assert_array_equal(relation_ids(edge_index, speaker_ids, scheme, max_speakers), of_model.numpy())
