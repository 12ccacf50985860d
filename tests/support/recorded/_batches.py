"""Batches of recorded dialogues, and what is asked of a model that holds the authors' weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from joyful_hf.processing.graph import relation_ids, window_edges
from tests.support.recorded import Recording, packed

Batch = dict[str, Tensor]
Convert = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def known_of(recording: Recording) -> dict[str, Any]:
    """The sizes of the config that no weight shows."""
    return {name: recording.config[name] for name in ("text_dim", "audio_dim", "visual_dim")}


def dialogue_names(recording: Recording) -> list[str]:
    """`dialogue0`, `dialogue1`, ..."""
    return [f"dialogue{index}" for index in range(recording.num_dialogues)]


def packed_graph(recording: Recording, dialogue: str, window_past: int, window_future: int) -> Batch:
    """One recorded dialogue with the graph of these released windows, in which a node receives from the other side."""
    batch = packed(recording, dialogue)
    edges = window_edges(batch["dialogue_lengths"].numpy(), window_future, window_past)
    speakers = batch["speaker_ids"].numpy()
    relations = relation_ids(edges, speakers, "speaker_pair", recording.config["num_speakers"])
    return batch | {"edge_index": torch.from_numpy(edges), "edge_type": torch.from_numpy(relations)}


def by_source(edge_index: Tensor) -> Tensor:
    """The order of the edges in a recording: by source, then by target."""
    return torch.from_numpy(np.lexsort(edge_index.flip(0).numpy()))


def joined(batches: list[Batch]) -> Batch:
    """Several packed batches as one."""
    together = {
        name: torch.cat([batch[name] for batch in batches], dim=-1 if "edge" in name else 0) for name in batches[0]
    }
    if "edge_index" in together:
        lengths = [int(batch["dialogue_lengths"].sum()) for batch in batches]
        edges = [batch["edge_index"] + sum(lengths[:index]) for index, batch in enumerate(batches)]
        together["edge_index"] = torch.cat(edges, dim=-1)
    return together


def log_prob(model: Any, batch: Batch) -> Tensor:
    """The log-probabilities of a batch (N, num_labels)."""
    with torch.no_grad():
        return model(**batch).logits.log_softmax(-1)


def released_gradients(model: Any, state: Batch, convert: Convert, batch: Batch) -> dict[str, Tensor]:
    """The loss's gradients at the released weights, through the conversion."""
    weights = {name: tensor.clone().requires_grad_(tensor.is_floating_point()) for name, tensor in state.items()}
    functional_call(model, convert(weights), kwargs=batch).loss.backward()
    return {name: weight.grad for name, weight in weights.items() if weight.grad is not None}
