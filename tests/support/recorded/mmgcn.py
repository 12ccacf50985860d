"""What MMGCN computes at each recorded place."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from joyful_hf import MMGCNForEmotionRecognition
from joyful_hf.modeling.modality_graph import ModalityGraph
from joyful_hf.modeling.packing import DialogueLayout
from joyful_hf.released.mmgcn import convert_released_mmgcn_state_dict, released_config
from tests.support.recorded import Recording, modules_outputs, packed
from tests.support.recorded._batches import Batch, dialogue_names, joined, log_prob, released_gradients

INPUTS = (r"loss\.class_weights",)
TOLERANCES = {"adjacency": 2e-5}


def stages(recording: Recording) -> Iterator[tuple[str, Tensor]]:
    """Every recorded stage of a dialogue alone, the forms with other vectors, and the losses and gradients of all."""
    batches = {name: packed(recording, name) for name in dialogue_names(recording)}
    model = _load(recording)
    with_vectors = _load(recording, modality_vectors=True)
    for name, batch in batches.items():
        yield from ((f"{name}.{stage}", ours) for stage, ours in _stages(model, batch))
        yield f"{name}.log_prob_modal_embedding", log_prob(with_vectors, batch)
    yield from _losses(recording, model, joined(list(batches.values())))
    model.mmgcn.speakers = torch.nn.ModuleDict()
    for name, batch in batches.items():
        yield f"{name}.log_prob_no_speaker", log_prob(model, batch)


def _load(recording: Recording, **settings: Any) -> MMGCNForEmotionRecognition:
    state = recording.state()
    sizes = {"graph_residual": recording.config["residual_alpha"], "graph_decay": recording.config["decay_lambda"]}
    model = MMGCNForEmotionRecognition(released_config(state, **sizes, **settings)).eval()
    model.load_state_dict(convert_released_mmgcn_state_dict(state, **settings))
    return model


def _stages(model: MMGCNForEmotionRecognition, batch: Batch) -> Iterator[tuple[str, Tensor]]:
    outputs = modules_outputs(model, batch)
    nodes = outputs[""].context.unflatten(1, (3, -1))
    for index, name in enumerate(("audio", "visual", "text")):
        yield f"{name}_node", nodes[:, index]
    yield "text_context", outputs["mmgcn.text_context"]
    yield "gcn_input", nodes.transpose(0, 1).flatten(0, 1)
    layout = DialogueLayout(batch["dialogue_lengths"], len(nodes))
    seen = torch.ones(1, 3, len(nodes), dtype=torch.bool)
    yield "adjacency", written_out(ModalityGraph.of(nodes.transpose(0, 1)[None], seen, layout.blocks[0]))
    yield "h0", torch.relu(outputs["mmgcn.graph_network.first"]).transpose(0, 1).flatten(0, 1)
    yield "layer1", outputs["mmgcn.graph_network.layers.0"][0].flatten(0, 1)
    yield "gcn_output", outputs["mmgcn.graph_network"].transpose(0, 1).flatten(0, 1)
    yield "classifier_input", outputs[""].graph
    yield "logits", outputs[""].logits
    yield "log_prob", outputs[""].logits.log_softmax(-1)


def written_out(graph: ModalityGraph) -> Tensor:
    """Â of one dialogue as a whole, (modalities * n, modalities * n), modality after modality."""
    modalities, length = graph.within.shape[1:3]
    whole = torch.zeros(modalities, length, modalities, length)
    for one in range(modalities):
        whole[one, :, one] = graph.within[0, one]
        for other in range(modalities):
            if other != one:
                whole[one, :, other] = graph.across[0, :, one, other].diag()
    return whole.view(modalities * length, -1)


def _losses(recording: Recording, model: MMGCNForEmotionRecognition, batch: Batch) -> Iterator[tuple[str, Tensor]]:
    def loss() -> Tensor:
        with torch.no_grad():
            return model(**batch).loss

    yield "loss.log_prob", log_prob(model, batch)
    yield "loss.unweighted", loss()
    model.config.classification_loss = "released_focal"
    yield "loss.focal_released", loss()
    model.config.classification_loss = "cross_entropy"
    model.config.class_weights = recording.tensors["loss.class_weights"].tolist()
    yield "loss.weighted", loss()
    gradients = released_gradients(model, recording.state(), convert_released_mmgcn_state_dict, batch)
    for name in recording.tensors:
        if name.startswith("grad."):
            yield name, gradients[name.removeprefix("grad.")]
