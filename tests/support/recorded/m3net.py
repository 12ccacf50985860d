"""What M3Net computes at each recorded place."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from joyful_hf import M3NetForEmotionRecognition
from joyful_hf.modeling.frequency_graph import FrequencyGraph
from joyful_hf.modeling.hypergraph import NumberedHyperWeights
from joyful_hf.modeling.packing import DialogueLayout
from joyful_hf.released.m3net import convert_released_m3net_state_dict, released_config
from tests.support.recorded import Recording, below, modules_outputs, packed

INPUTS = (r"text[0-3]", r"loss\.class_weights")
# Sums of some dozen terms of size 36: float32 has 7 digits.
TOLERANCES = {"focal": 5e-5}


def stages(recording: Recording) -> Iterator[tuple[str, Tensor]]:
    """Every recorded stage of a dialogue alone, and of all dialogues in a padded batch."""
    batches = []
    for index in range(recording.num_dialogues):
        name = f"dialogue{index}"
        batch = packed(recording, name)
        layers = [recording.tensors[f"{name}.text{layer}"] for layer in range(4)]
        batches.append(batch | {"text_features": torch.cat(layers, dim=-1)})
    together = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}

    model, mended = _model(recording, hyper_weights="dialogue"), _model(recording, hyper_weights="kind")
    weights = recording.tensors["loss.class_weights"].tolist()
    for index, batch in enumerate(batches):
        found = _stages(model, batch) | _edges(batch) | _losses(model, batch, weights)
        yield from below(f"dialogue{index}", found)
        yield f"ones.dialogue{index}.log_prob", modules_outputs(mended, batch)[""].logits.log_softmax(-1)
    padded = _model(recording, hyper_weights="batch", reads_padding=True)
    yield from below("batch", _losses(padded, together, weights) | _edges(together))
    padded.config.class_weights = weights
    before = {name: tensor.clone() for name, tensor in padded.state_dict().items()}
    for loss in ("cross_entropy", "released_focal"):
        padded.load_state_dict(before)
        yield from below("train", _of_loss(padded.train(), together, loss, weights))
    for letter, norm in zip("abcd", padded.m3net.text_context.norms, strict=True):
        yield f"train.running_mean_after.{letter}", norm.running_mean
        yield f"train.running_var_after.{letter}", norm.running_var


def _model(recording: Recording, **fields: Any) -> M3NetForEmotionRecognition:
    state, sizes = recording.state(), recording.config
    known = {"text_projection": sizes["dataset"] != "MELD"}
    settings = {"hidden_dropout_prob": 0.0, "focal_gamma": sizes["focal_gamma"]}
    model = M3NetForEmotionRecognition(released_config(state, **known, **settings, **fields)).eval()
    converted = convert_released_m3net_state_dict(state, **known)
    if fields["hyper_weights"] == "kind":  # these are 1, and stay so
        converted = {name: tensor for name, tensor in converted.items() if ".hyper_weights." not in name}
        missing, unexpected = model.load_state_dict(converted, strict=False)
        assert not unexpected
        assert all(".hyper_weights.log_" in name for name in missing)
    else:
        model.load_state_dict(converted)
    return model


def _stages(model: M3NetForEmotionRecognition, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    outputs = modules_outputs(model, batch)
    context, sizes = outputs["m3net.text_context"], model.config
    found = {
        "gru_input": outputs["m3net.text_context.projection"],
        "projected.t": outputs["m3net.text_context.projection"],
        "projected.a": outputs["m3net.projections.audio"],
        "projected.v": outputs["m3net.projections.visual"],
        "context.t": context,
        "nodes": _by_modality(outputs[""].fused.unflatten(1, (3, -1))),
        "nodes_projected": _by_modality(outputs["m3net.graph_projection"]),
        "features": outputs[""].graph,
        "log_prob": outputs[""].logits.log_softmax(-1),
    }
    for index in range(sizes.hyper_num_layers):
        found[f"hyper.{index}"] = _by_modality(outputs[f"m3net.hyper_layers.{index}"])
    for index in range(sizes.frequency_num_layers):
        found[f"frequency.{index}"] = _by_modality(outputs[f"m3net.frequency_layers.{index}"])
    return found


def _by_modality(nodes: Tensor) -> Tensor:
    """(N, 3, size) of one dialogue -> all of its text, then all of its audio, then all of its visual nodes."""
    return nodes.transpose(0, 1).flatten(0, 1)


def _losses(model: M3NetForEmotionRecognition, batch: dict[str, Tensor], weights: list[float]) -> dict[str, Tensor]:
    found = _of_loss(model, batch, "cross_entropy", weights) | _of_loss(model, batch, "released_focal", None)
    return found | {"loss.nll": _of_loss(model, batch, "cross_entropy", None)["loss.nll"]}


def _of_loss(
    model: M3NetForEmotionRecognition, batch: dict[str, Tensor], loss: str, weights: list[float] | None
) -> dict[str, Tensor]:
    is_focal = loss == "released_focal"
    model.config.classification_loss, model.config.class_weights = loss, None if is_focal else weights
    with torch.no_grad():
        output = model(**batch)
    name = "focal" if is_focal else "nll" if weights is None else "weighted_nll"
    return {"log_prob": output.logits.log_softmax(-1), f"loss.{name}": output.loss.view(1)}


def _edges(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Both graphs as lists, in the order of the authors' code: nodes dialogue by dialogue, in each by modality."""
    layout = DialogueLayout(batch["dialogue_lengths"], len(batch["labels"]))
    node, context, utterance = NumberedHyperWeights(3, 1, 1, in_batch=True).numbers(layout)
    graph = FrequencyGraph(layout, torch.ones(layout.num_utterances, 3, 1, dtype=torch.bool))
    within, across, memberships = [], [], []
    first = 0
    for dialogue, length in enumerate(batch["dialogue_lengths"].tolist()):
        rows = slice(first, first + length)
        numbers = node[rows].T
        for modality in range(3):
            memberships.append(torch.stack([numbers[modality], context[rows, modality]]))
            (matrices,) = (block[modality] for block in graph.within)
            sender, receiver = matrices[dialogue, :length, :length].T.nonzero().T
            within.append(torch.stack([numbers[modality][sender], numbers[modality][receiver]]))
        memberships.append(torch.stack([node[rows].flatten(), utterance[rows].expand(-1, 3).flatten()]))
        row, sender, receiver = graph.across[rows].transpose(1, 2).nonzero().T
        across.append(torch.stack([node[rows][row, sender], node[rows][row, receiver]]))
        first += length
    return {"edge_index": torch.cat([*within, *across], dim=1), "hyperedge_index": torch.cat(memberships, dim=1)}
