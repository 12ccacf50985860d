"""The packed graph batch as a torch-geometric batch, and back."""

import pytest
import torch
from hypothesis import given
from torch_geometric.loader import DataLoader

from joyful_hf import JoyfulProcessor, batch_to_pyg, pyg_to_batch
from tests.support.helpers import batches_of_lengths, make_dialogues

PARAMETERS = {"window_past": 2, "window_future": 1}


def make_batch(dialogues, return_labels=True):
    processor = JoyfulProcessor.from_dialogues(dialogues, **PARAMETERS)
    return processor(dialogues, return_tensors="pt", return_labels=return_labels)


def assert_same(batch, other):
    assert list(batch) == list(other)
    for key in batch:
        torch.testing.assert_close(batch[key], other[key], rtol=0, atol=0, equal_nan=True, msg=key)


@given(lengths=batches_of_lengths)
def test_there_and_back_gives_the_same_batch(lengths):
    batch = make_batch(make_dialogues(lengths))
    assert_same(pyg_to_batch(batch_to_pyg(batch)), batch)


@pytest.mark.parametrize(
    "label",
    [lambda _: None, lambda rng: ["joy"] if rng.random() < 0.5 else ["anger", "joy"], lambda rng: rng.random()],
    ids=["unlabelled", "multi-label", "regression"],
)
@pytest.mark.parametrize("modalities", [["text"], ["audio", "visual"]])
def test_there_and_back_for_every_kind_of_label_and_modality(label, modalities):
    batch = make_batch(make_dialogues(label=label, modalities=modalities))
    assert_same(pyg_to_batch(batch_to_pyg(batch)), batch)


def test_a_batch_without_labels_has_none_afterwards(dialogues):
    assert "labels" not in pyg_to_batch(batch_to_pyg(make_batch(dialogues, return_labels=False)))


def test_each_graph_is_one_dialogue_and_its_edges_are_counted_from_0(dialogues):
    processor = JoyfulProcessor.from_dialogues(dialogues, **PARAMETERS)
    graphs = batch_to_pyg(processor(dialogues, return_tensors="pt")).to_data_list()
    assert [graph.num_nodes for graph in graphs] == [5, 9, 1, 23]
    for graph, dialogue in zip(graphs, dialogues, strict=True):
        alone = processor(dialogue, return_tensors="pt")
        for key in set(alone) - {"dialogue_lengths"}:
            torch.testing.assert_close(graph[key], alone[key], rtol=0, atol=0, msg=key)


def test_torch_geometrics_own_loader_joins_the_graphs_to_the_same_batch(dialogues):
    batch = make_batch(dialogues)
    loader = DataLoader(batch_to_pyg(batch).to_data_list(), batch_size=len(dialogues))
    assert_same(pyg_to_batch(next(iter(loader))), batch)
