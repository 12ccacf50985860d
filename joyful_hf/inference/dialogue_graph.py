"""The graph that a model lays over a dialogue, and how much each utterance receives along its edges."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..modeling.reach import reach_of
from ..processing import DialogueError


@dataclass(frozen=True)
class DialogueGraph:
    """The graph of one dialogue of N utterances, with E edges."""

    edge_index: np.ndarray
    """(2, E) source and target of each edge."""
    weights: np.ndarray
    """(E,) the share of an edge in what its target receives: the attention, as the mean over its heads, or equal
    weights if the graph has no attention. The weights of all edges into an utterance sum to 1."""
    num_heads: int
    """Heads of the attention; 0 if the graph has none."""
    num_networks: int = 1
    """Networks of the model; the weights are those of the first."""


def read_graph(model: Any, processor: Any, dialogue: Mapping[str, Any]) -> DialogueGraph:
    """Run a model on one dialogue, in evaluation mode, and return its graph.

        graph = read_graph(model, processor, dialogue)
        plot_dialogue_graph(graph, model.predict(dialogue, processor)[0])

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        processor: the processor that was saved with it.
        dialogue: one dialogue; its labels are not read.

    Raises:
        DialogueError: the model has no graph, or the dialogue is malformed.
    """
    batch = processor.pack(processor.encode(dialogue, return_labels=False), return_tensors="pt").to(model.device)
    if "edge_index" not in batch:
        raise DialogueError(f"{type(model).__name__} has no graph: it sees one utterance at a time")
    if getattr(model.config, "graph_num_layers", None) == 0:
        raise DialogueError("graph_num_layers is 0: this model has no graph to draw")
    reach = reach_of(model)
    if reach.is_known and not reach.graph_steps:
        raise DialogueError(f"{type(model).__name__} has no graph to draw: it does not read the processor's window")
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            attention = model(**batch, output_edge_attention=True, return_loss=False).edge_attention
    finally:
        model.train(was_training)
    edge_index = batch["edge_index"].cpu().numpy()
    if attention is None:
        return DialogueGraph(edge_index, 1 / np.bincount(edge_index[1])[edge_index[1]], num_heads=0)
    weights = attention.float().mean(-1).cpu().numpy()
    # Some systems weigh the edges that leave an utterance: what each one receives sums to anything then.
    received = np.bincount(edge_index[1], weights)
    return DialogueGraph(
        edge_index,
        weights / received[edge_index[1]].clip(min=np.finfo(np.float32).tiny),
        num_heads=attention.size(1),
        num_networks=getattr(model.config, "num_members", 1),
    )
