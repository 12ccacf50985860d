"""What COGMEN, a preset of JOYFUL, computes at each recorded place."""

from collections.abc import Iterator

import torch
from torch import Tensor

from joyful_hf import JoyfulForEmotionRecognition
from joyful_hf.released.cogmen import convert_released_cogmen_state_dict, released_config
from tests.support.recorded import Recording, modules_outputs
from tests.support.recorded._batches import Batch, by_source, dialogue_names, known_of, packed_graph


def stages(recording: Recording) -> Iterator[tuple[str, Tensor]]:
    """Every recorded stage of a dialogue alone, and a training pass over one of them."""
    windows = (recording.config["window_past_released"], recording.config["window_future_released"])
    batches = {name: packed_graph(recording, name, *windows) for name in dialogue_names(recording)}
    for name, batch in batches.items():
        yield from ((f"{name}.{stage}", ours) for stage, ours in _stages(_load(recording).eval(), batch))
    model = _load(recording).train()
    with torch.no_grad():
        output = model(**batches[f"dialogue{recording.config['train_dialogue']}"])
    yield "train.graph", output.graph
    yield "train.log_prob", output.logits.log_softmax(-1)
    yield "train.loss", output.loss
    norm = model.joyful.graph_encoder.batch_norm
    yield "train.running_mean", norm.running_mean
    yield "train.running_var", norm.running_var


def _load(recording: Recording) -> JoyfulForEmotionRecognition:
    state, heads = recording.state(), recording.config["seqcontext_nhead"]
    known = known_of(recording) | {"num_attention_heads": heads, "hidden_dropout_prob": 0.0}
    model = JoyfulForEmotionRecognition(released_config(state, **known))
    model.load_state_dict(convert_released_cogmen_state_dict(state))
    return model


def _stages(model: JoyfulForEmotionRecognition, batch: Batch) -> Iterator[tuple[str, Tensor]]:
    outputs = modules_outputs(model, batch)
    order = by_source(batch["edge_index"])
    attended, attention = outputs["joyful.graph_encoder.attention"]
    yield "encoded", outputs["joyful.context_encoder"]
    yield "context", outputs["joyful.graph_projection"]
    yield "edge_index", batch["edge_index"][:, order]
    yield "edge_type", batch["edge_type"][order]
    yield "rgcn", outputs["joyful.graph_encoder.convolutions.0"]
    yield "edge_attention", attention[order]
    yield "attended", attended
    yield "graph", outputs[""].graph
    yield "log_prob", outputs[""].logits.log_softmax(-1)
    yield "prediction", outputs[""].logits.argmax(-1)
    yield "loss", outputs[""].loss
