"""Convert weights of the authors' released Foal-Net code into the state dict of a model of this package."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..modeling import FoalNetConfig
from .convert import check_names, size

# Released layer of the cross-attention -> ours.
_ATTENTION_LAYERS = {"w_q": "query", "w_k": "key", "w_v": "value", "w_concat": "output", "ln": "norm"}
_DIRECTIONS = {"a2v": "audio_to_video", "v2a": "video_to_audio"}
_HEADS = {
    "a2v_head": "matching.audio_to_video",
    "v2a_head": "matching.video_to_audio",
    "cls_head": "classifier",
}
_PROJECTION_PARAMETERS = {
    "linear1.weight": "input.weight",
    "linear2.weight": "correction.weight",
    "layer_norm.weight": "norm.weight",
    "layer_norm.bias": "norm.bias",
}
_TEMPERATURE = "foal_net.alignment.temperature"
_INITIAL_TEMPERATURE = math.log(1 / 0.07)


def convert_released_foalnet_state_dict(
    state: Mapping[str, Tensor], temperature: float = _INITIAL_TEMPERATURE
) -> dict[str, Tensor]:
    """Convert released weights to the state dict of `FoalNetForEmotionRecognition(FoalNetConfig.released(...))`.

    It covers everything after the audio encoder: the config takes `audio_dim`, the size of the encoder's frames.

    Args:
        state: state dict of the released network without its encoder.
        temperature: the divisor of the similarities, where the state does not hold it (`temp`).

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    renamed = _names(_num_layers(state))
    check_names("Foal-Net", state, renamed, ("temp",))
    converted = {ours: state[released] for released, ours in renamed.items()}
    divisor = state.get("temp")
    converted[_TEMPERATURE] = torch.tensor([temperature]) if divisor is None else divisor.reshape(1)
    return converted


def released_config(state: Mapping[str, Tensor], **known: Any) -> FoalNetConfig:
    """Return the config of released weights without the audio encoder, read from their shapes.

    Args:
        **known: fields that weights do not show, such as `num_attention_heads`.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    check_names("Foal-Net", state, _names(_num_layers(state)), ("temp",))
    sizes: dict[str, Any] = {
        f"{stream}_dim": size(state, f"{stream}_project.linear1.weight", 1) for stream in ("audio", "video")
    }
    sizes |= {
        "projection_size": size(state, "audio_project.linear1.weight", 0),
        "num_hidden_layers": _num_layers(state),
    }
    if not known.keys() & {"num_labels", "id2label"}:
        sizes["num_labels"] = size(state, "cls_head.weight", 0)
    return FoalNetConfig.released(**(sizes | known))


def _num_layers(state: Mapping[str, Tensor]) -> int:
    numbers = {int(name.split(".")[1]) for name in state if name.startswith("a2v.")}
    return max(numbers, default=0) + 1


def _names(num_layers: int) -> dict[str, str]:
    """Map each released name to ours."""
    names = {}
    for released, ours in _DIRECTIONS.items():
        for index in range(num_layers):
            for layer, our_layer in _ATTENTION_LAYERS.items():
                for part in ("weight", "bias"):
                    target = f"foal_net.cross_attention.{ours}.layers.{index}.{our_layer}.{part}"
                    names[f"{released}.{index}.{layer}.{part}"] = target
    for stream in ("audio", "video"):
        for released, ours in _PROJECTION_PARAMETERS.items():
            names[f"{stream}_project.{released}"] = f"foal_net.projections.{stream}.{ours}"
    for released, ours in _HEADS.items():
        names |= {f"{released}.{part}": f"{ours}.{part}" for part in ("weight", "bias")}
    return names
