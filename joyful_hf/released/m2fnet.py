"""Convert weights of M2FNet's public re-implementation, and of the paper's network in torch's own layers."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..modeling import M2FNetConfig
from .convert import check_names, multi_head_attention, renamed, transformer_layer, with_weight_and_bias

READS_SPEAKERS = False
_MODALITIES = ("text", "audio", "visual")


def convert_released_m2fnet_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert weights to the state dict of `M2FNetForEmotionRecognition(released_config(state, ...))`.

    Args:
        state: state dict of the re-implementation, or of the paper's network, with fusion modules of an attention for
            each of two modalities.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    names = _names(state)
    check_names("M2FNet", state, names)
    converted = renamed(names, state)
    if _is_reimplementation(state):
        # There the streams are joined as [audio ; text], here as [text ; audio].
        first = "classifier.0.weight"
        size = state["text_proj.weight"].size(0)
        audio, text = converted[first].split([converted[first].size(1) - size, size], dim=1)
        converted[first] = torch.cat([text, audio], dim=1)
    return converted


def released_config(state: Mapping[str, Tensor], **known: Any) -> M2FNetConfig:
    """Return the config of released weights, read from their shapes.

    Args:
        **known: fields that weights do not show: `num_attention_heads` and `num_fusion_heads`.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    check_names("M2FNet", state, _names(state))
    layer = "0.layers.0" if _is_reimplementation(state) else "0"
    encoders = {name: count for name in _MODALITIES if (count := _count(state, f"{name}_encoders."))}
    sizes: dict[str, Any] = {f"{name}_dim": len(state[f"{name}_encoders.{layer}.norm1.bias"]) for name in encoders}
    sizes |= {
        "num_encoders": encoders,
        "intermediate_size": len(state[f"text_encoders.{layer}.linear1.bias"]),
    }
    if _is_reimplementation(state):
        sizes |= {
            "num_hidden_layers": _count(state, "text_encoders.0.layers."),
            "fusion_size": len(state["text_proj.bias"]),
            "num_fusion_layers": _count(state, "fusion_layers."),
            "classifier_hidden_size": len(state["output_layer.0.bias"]),
            "num_labels": len(state["output_layer.3.bias"]),
        }
        return M2FNetConfig.released(**(sizes | known))
    sizes |= {
        "num_fusion_layers": _count(state, "fusion."),
        "classifier_hidden_size": len(state["fc1.bias"]),
        "num_labels": len(state["fc2.bias"]),
    }
    return M2FNetConfig.paper(**(sizes | known))


def _is_reimplementation(state: Mapping[str, Tensor]) -> bool:
    return "text_proj.weight" in state


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})


def _names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Map each released name to ours."""
    reimplementation = _is_reimplementation(state)
    names: dict[str, str] = {}
    layers: dict[str, str] = {}
    modalities = [name for name in _MODALITIES if _count(state, f"{name}_encoders.")]
    for modality in modalities:
        for number in range(_count(state, f"{modality}_encoders.")):
            there, here = f"{modality}_encoders.{number}", f"m2fnet.encoders.{modality}.{number}"
            for layer in range(_count(state, f"{there}.layers.") if reimplementation else 1):
                prefix = f"{there}.layers.{layer}" if reimplementation else there
                names |= transformer_layer(prefix, f"{here}.layers.{layer}")
            if reimplementation:
                layers[f"{there}.norm"] = f"{here}.norm"
        if reimplementation:
            layers[f"{modality}_proj"] = f"m2fnet.projections.{modality}"
    modules = "fusion_layers" if reimplementation else "fusion"
    for number in range(_count(state, f"{modules}.")):
        there, here = f"{modules}.{number}", f"m2fnet.fusion.{number}"
        layers[f"{there}.linear"] = f"{here}.output"
        for modality in modalities[1:]:
            attention = f"{there}.multihead_attention" if reimplementation else f"{there}.{modality}_attention"
            ours = f"{here}.attention.{modality}"
            names |= multi_head_attention(attention, ours, own_maps=f"{attention}.q_proj_weight" in state)
    first, last = ("output_layer.0", "output_layer.3") if reimplementation else ("fc1", "fc2")
    layers |= {first: "classifier.0", last: "classifier.3"}
    return names | with_weight_and_bias(layers)
