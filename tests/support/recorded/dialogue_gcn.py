"""What DialogueGCN computes at each recorded place, in the authors' implementation and in Zhang's."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from joyful_hf import DialogueGCNForEmotionRecognition
from joyful_hf.released.dialogue_gcn import convert_released_dialogue_gcn_state_dict, released_config
from tests.support.recorded import Recording, modules_outputs
from tests.support.recorded._batches import (
    Batch,
    by_source,
    dialogue_names,
    joined,
    known_of,
    log_prob,
    packed_graph,
    released_gradients,
)

INPUTS = (r"loss\.class_weights",)
# Released names of the other windows -> windows of the released code, past and future.
_WINDOWS = {"window_all": (-1, -1), "window_past_all": (-1, 1), "window_future_all": (1, -1)}


def stages(recording: Recording) -> Iterator[tuple[str, Tensor]]:
    """Every recorded stage of a dialogue alone, other windows and encoders, and the losses and gradients of all."""
    windows = (recording.config["window_past"], recording.config["window_future"])
    batches = _batches(recording, windows)
    model = _load(recording, recording.state())
    for name, batch in batches.items():
        yield from ((f"{name}.{stage}", ours) for stage, ours in _stages(model, batch))
    for kind, other in _WINDOWS.items():
        for name, batch in _batches(recording, other).items():
            yield from _if_recorded(recording, f"{kind}.{name}.log_prob", model, batch)
    gru = recording.state("gru.state.")
    for name, batch in batches.items() if gru else ():
        yield f"gru.{name}.log_prob", log_prob(_load(recording, gru), batch)
    yield from _losses(recording, model, joined(list(batches.values())))
    model.dialogue_gcn.nodal_attention = None
    for name, batch in batches.items():
        yield from _if_recorded(recording, f"{name}.log_prob_no_nodal_attention", model, batch)


def _if_recorded(recording: Recording, name: str, model: Any, batch: Batch) -> Iterator[tuple[str, Tensor]]:
    if name in recording.tensors:
        yield name, log_prob(model, batch)


def _batches(recording: Recording, windows: tuple[int, int]) -> dict[str, Batch]:
    return {name: packed_graph(recording, name, *windows) for name in dialogue_names(recording)}


def _load(recording: Recording, state: dict[str, Tensor]) -> DialogueGCNForEmotionRecognition:
    model = DialogueGCNForEmotionRecognition(released_config(state, **known_of(recording))).eval()
    model.load_state_dict(convert_released_dialogue_gcn_state_dict(state))
    return model


def _stages(model: DialogueGCNForEmotionRecognition, batch: Batch) -> Iterator[tuple[str, Tensor]]:
    outputs = modules_outputs(model, batch)
    order = by_source(batch["edge_index"])
    yield "context", outputs["dialogue_gcn.sequence_encoder"]
    yield "edge_index", batch["edge_index"][:, order]
    yield "edge_type", batch["edge_type"][order]
    yield "edge_weight", outputs["dialogue_gcn.edge_weights"][order]
    yield "rgcn", outputs["dialogue_gcn.relational"]
    yield "graph", outputs["dialogue_gcn.neighbours"]
    yield "log_prob", outputs[""].logits.log_softmax(-1)
    if model.dialogue_gcn.nodal_attention is not None:
        yield "attended", outputs["dialogue_gcn.nodal_attention"]
        yield "hidden", outputs["classifier.1"]
        yield "logits", outputs[""].logits


def _losses(
    recording: Recording, model: DialogueGCNForEmotionRecognition, batch: Batch
) -> Iterator[tuple[str, Tensor]]:
    weights = recording.tensors.get("loss.class_weights")
    if weights is not None:
        yield "loss.log_prob", log_prob(model, batch)
        with torch.no_grad():
            yield "loss.unweighted", model(**batch).loss
        model.config.class_weights = weights.tolist()
    state = recording.state()
    gradients = released_gradients(model, state, convert_released_dialogue_gcn_state_dict, batch)
    with torch.no_grad():
        yield "loss.unweighted" if weights is None else "loss.weighted", model(**batch).loss
    for name in recording.tensors:
        if name.startswith("grad."):
            yield name, gradients[name.removeprefix("grad.")]
