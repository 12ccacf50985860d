"""What GraphSmile computes at each recorded place."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from joyful_hf import GraphSmileForEmotionRecognition
from joyful_hf.modeling.dialogue_matrices import DialogueMatrices
from joyful_hf.modeling.modeling_graph_smile import NumberedWeights
from joyful_hf.modeling.packing import DialogueLayout
from joyful_hf.modeling.sentiment import shifts
from joyful_hf.processing.graph import window_edges
from joyful_hf.released.graph_smile import convert_released_graph_smile_state_dict, released_config
from tests.support.recorded import Recording, below, modules_outputs, packed

INPUTS = (r"labels_sentiment",)
_SHORT = {"text": "t", "audio": "a", "visual": "v"}
_PAIRS = {"text_visual": "tv", "text_audio": "ta", "visual_audio": "va"}


def stages(recording: Recording) -> Iterator[tuple[str, Tensor]]:
    """Every recorded stage of a dialogue alone, and of all dialogues in a batch, which share the weights of edges."""
    sizes = recording.config
    past, future = sizes["window_past"], sizes["window_future"]
    batches = []
    for index in range(recording.num_dialogues):
        batch = packed(recording, f"dialogue{index}")
        batch["edge_index"] = _edges([len(batch["labels"])], past, future)
        batch["labels_sentiment"] = recording.tensors[f"dialogue{index}.labels_sentiment"]
        batches.append(batch)
    together = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0] if name != "edge_index"}
    together["edge_index"] = _edges(together["dialogue_lengths"].tolist(), past, future)

    model = _model(recording, edge_weights="dialogue")
    for index, batch in enumerate(batches):
        yield from below(f"dialogue{index}", _stages(model, batch) | _edge_stages(model, batch))
    released = _model(recording, edge_weights="batch")
    yield from below("batch", _logits_and_losses(released, together) | _edge_stages(released, together))
    yield from below("train", _in_training(released, together))
    mended = _model(recording, edge_weights="offset")
    for index, batch in enumerate(batches):
        yield f"ones.dialogue{index}.logits", modules_outputs(mended, _of_model(batch))[""].logits
    layout = DialogueLayout(torch.tensor([2, 4]), 6)
    for name in recording.below("window."):
        window = re.match(r"past(-?\d+)\.future(-?\d+)\.", name)
        yield f"window.{name}", _released_edges(_edges([2, 4], *map(int, window.groups())), layout)


def _model(recording: Recording, **fields: Any) -> GraphSmileForEmotionRecognition:
    state, sizes = recording.state(), recording.config
    _, sentiment_weight, shift_weight = sizes["lambdas"]
    known = {
        "shift_window": sizes["shift_window"],
        "sentiment_loss_weight": sentiment_weight,
        "shift_loss_weight": shift_weight,
        "hidden_dropout_prob": 0.0,
    }
    model = GraphSmileForEmotionRecognition(released_config(state, **known, **fields)).eval()
    converted = convert_released_graph_smile_state_dict(state)
    if fields["edge_weights"] == "offset":  # these are 1, and stay so
        converted = {name: tensor for name, tensor in converted.items() if ".edge_weights." not in name}
        missing, unexpected = model.load_state_dict(converted, strict=False)
        assert not unexpected
        assert all(name.endswith(".log_weight") for name in missing)
    else:
        model.load_state_dict(converted)
    return model


def _edges(lengths: list[int], past: int, future: int) -> Tensor:
    return torch.from_numpy(window_edges(np.asarray(lengths), past, future))


def _released_edges(edge_index: Tensor, layout: DialogueLayout) -> Tensor:
    """Receiver and sender of each edge in both directions, in the order in which the authors' code counts them."""
    source, target = edge_index
    number = NumberedWeights(1, in_batch=True).number(edge_index, layout)
    second = layout.num_utterances
    edges = torch.stack([torch.cat([target, target + second]), torch.cat([source + second, source])])
    return torch.empty_like(edges).index_copy(1, number.flatten(), edges)


def _of_model(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in batch.items() if name not in ("labels_sentiment", "speaker_ids")}


def _layout(batch: dict[str, Tensor]) -> DialogueLayout:
    return DialogueLayout(batch["dialogue_lengths"], len(batch["labels"]))


def _edge_stages(model: GraphSmileForEmotionRecognition, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"edge_index": _released_edges(batch["edge_index"], _layout(batch))}


def _logits_and_losses(model: GraphSmileForEmotionRecognition, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    with torch.no_grad():
        output = model(**_of_model(batch))
        layout, sentiment = _layout(batch), batch["labels_sentiment"]
        partner, exists = model.pairs(layout)
        losses = {"classification": output.losses["classification"]}
        losses |= model.sentiment_losses(output.graph, sentiment, layout)
        found = {
            "logits": output.logits,
            "logits_sentiment": model.sentiment_classifier(output.graph),
            "logits_shift": model.shift_logits(output.graph, partner)[exists],
            "labels_shift": shifts(sentiment, partner)[exists],
            "loss.emotion": losses["classification"],
            "loss.sentiment": losses["sentiment"],
            "loss.shift": losses["shift"],
            "loss.total": model.weighted_sum(losses),
        }
        sizes = model.config.to_dict() | {"loss_balance": "learnt", "num_edge_weights": 1}
        learnt = type(model)(type(model.config)(**sizes))
        found["loss.auto"] = learnt.weighted_sum(losses | {"balance": learnt.balance.constant()})
    return {name: ours.view(1) if name.startswith("loss.") else ours for name, ours in found.items()}


def _stages(model: GraphSmileForEmotionRecognition, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    outputs = modules_outputs(model, _of_model(batch))
    found = {"text_normalised": outputs["graph_smile.text_norm"], "fused": outputs[""].graph}
    found |= {f"projected.{short}": outputs[f"graph_smile.projections.{name}"] for name, short in _SHORT.items()}
    seen = torch.ones(2, len(batch["labels"]), dtype=torch.bool)
    for pair, short in _PAIRS.items():
        graph = model.graph_smile.graphs[pair]
        matrices = DialogueMatrices(_layout(batch), batch["edge_index"])
        with torch.no_grad():
            (into_first,), (into_second,) = graph.adjacency(batch["edge_index"], seen, matrices)[0]
        nothing = torch.zeros_like(into_first)
        found[f"adjacency.{short}"] = torch.cat(
            [torch.cat([nothing, into_first], dim=1), torch.cat([into_second, nothing], dim=1)]
        )
        for index in range(len(graph.convolutions)):
            found[f"layer.{short}.{index}"] = _stacked(outputs[f"graph_smile.graphs.{pair}.convolutions.{index}"])
        found[f"out.{short}"] = _stacked(outputs[f"graph_smile.graphs.{pair}"])
    return found | _logits_and_losses(model, batch)


def _stacked(states: Tensor) -> Tensor:
    """(N, 2, size) -> all of the first modality, then all of the second."""
    return states.transpose(0, 1).flatten(0, 1)


def _in_training(model: GraphSmileForEmotionRecognition, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A padded batch, whose statistics count the padding."""
    norm = model.graph_smile.text_norm.train()
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    layout, rows = _layout(batch), batch["text_features"]
    with torch.no_grad():
        mean, variance = norm.learn(rows, torch.ones(len(rows), 1, dtype=torch.bool), layout)
        padded = torch.nn.utils.rnn.pad_sequence(
            list(rows.split(batch["dialogue_lengths"].tolist())), batch_first=True
        )
        found = {"text_normalised": norm.normalize(padded.flatten(0, 1), mean, variance)}
    norm.load_state_dict(before, strict=False)
    found |= _logits_and_losses(model.train(), batch)
    for name in ("running_mean", "running_var"):
        found[f"{name}_after"] = getattr(norm, name)
    return found
