"""Convert weights of the authors' released JMT code into the state dict and the config of a model of this package."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..modeling import JMTConfig
from .convert import check_names, multi_head_attention, renamed, size, transformer_layer, with_weight_and_bias

READS_SPEAKERS = False
_MODALITIES = {"visual": ("visual_encoder", "v"), "audio": ("physiological_encoder", "p")}
_JOINT = {"joint": ("joint_representation_encoder", "pv")}
# Our layer -> the released one.
_LAYER = {
    "attention_output": "attention.out_proj",
    "attention_norm": "layer_norm1",
    "intermediate": "feed_forward.0",
    "output": "feed_forward.2",
    "output_norm": "layer_norm2",
}
_FUSION = "mm_transformer"
# Valence and arousal, in the order of the released losses.
_REGRESSORS = ("vregressor", "aregressor")
# Layers that are built and never used.
_UNUSED = (rf"{_FUSION}\.final_encoder\..*", rf"{_FUSION}\.gated_attention\..*")


def convert_released_jmt_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert released weights to the state dict of `JMTForEmotionRecognition(released_config(state, ...))`.

    The regressors of valence and arousal become one, whose hidden layer is theirs side by side.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    names = _names(state)
    regressors = [f"{name}.{layer}.{kind}" for name in _REGRESSORS for layer in (0, 3) for kind in ("weight", "bias")]
    check_names("JMT", state, [*names, *regressors], _UNUSED)
    converted = renamed(names, state)
    for layer, ours in ((0, "classifier.0"), (3, "classifier.3")):
        weights = [state[f"{name}.{layer}.weight"] for name in _REGRESSORS]
        converted[f"{ours}.weight"] = torch.cat(weights) if layer == 0 else torch.block_diag(*weights)
        converted[f"{ours}.bias"] = torch.cat([state[f"{name}.{layer}.bias"] for name in _REGRESSORS])
    return converted


def convert_released_tokens(state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Convert the weights of a transformer over tokens, which also joins two backbones of one modality there."""
    return renamed(_token_names(state, "", prefix), state)


def released_config(state: Mapping[str, Tensor], **known: Any) -> JMTConfig:
    """Return the config of released weights, read from their shapes.

    Args:
        **known: fields that weights do not show: `num_attention_heads` (1 by default).

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    width = size(state, "vregressor.0.weight", 1)
    fusion = _fusion_of(state)
    sizes: dict[str, Any] = {
        "fusion": fusion,
        "classifier_hidden_size": 2 * size(state, "vregressor.0.weight", 0),
        "projection_size": width // 2 if fusion == "linear" else width,
        "problem_type": "regression",
        "id2label": {0: "valence", 1: "arousal"},
    }
    if fusion != "concatenation":
        encoder = f"{_FUSION}.visual_encoder.layers."
        sizes |= {
            "num_hidden_layers": _count(state, encoder),
            "intermediate_size": size(state, f"{encoder}0.feed_forward.0.weight", 0),
        }
    # Vision is projected where it is not of the streams' width; audio always is of that.
    sizes["audio_dim"] = sizes["projection_size"]
    sizes["visual_dim"] = size(state, "linear.weight", 1) if "linear.weight" in state else sizes["projection_size"]
    return JMTConfig.released(**(sizes | known))


def _fusion_of(state: Mapping[str, Tensor]) -> str:
    marks = {"fc": "concatenation", "final_layer": "vanilla", "out_layer1": "linear"}
    return next((name for mark, name in marks.items() if f"{_FUSION}.{mark}.weight" in state), "self_attention")


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})


def _names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Map each released name to ours, without the regressors."""
    fusion, names, layers = _fusion_of(state), {}, {}
    if "linear.weight" in state:
        layers["linear"] = "jmt.projections.visual"
    if fusion == "concatenation":
        layers[f"{_FUSION}.fc"] = "jmt.joint"
        return with_weight_and_bias(layers)
    streams = _MODALITIES if fusion == "vanilla" else _MODALITIES | _JOINT
    for stream, (encoder, short) in streams.items():
        for number in range(_count(state, f"{_FUSION}.{encoder}.layers.")):
            released = f"{_FUSION}.{encoder}.layers.{number}"
            names |= transformer_layer(released, f"jmt.encoders.{stream}.{number}", _LAYER)
        names |= multi_head_attention(f"{_FUSION}.cross_attention_{short}", f"jmt.cross_attention.{stream}")
    if fusion == "vanilla":
        layers[f"{_FUSION}.final_layer"] = "jmt.output"
    else:
        layers[f"{_FUSION}.out_layer_pv"] = "jmt.joint"
    if fusion == "linear":
        layers[f"{_FUSION}.out_layer1"] = "jmt.output"
    elif fusion == "self_attention":
        names |= _token_names(state, f"{_FUSION}.", "jmt.token_transformer.")
    return names | with_weight_and_bias(layers)


def _token_names(state: Mapping[str, Tensor], there: str, here: str) -> dict[str, str]:
    names = multi_head_attention(f"{there}final_self_attention", f"{here}attention")
    for number in range(_count(state, f"{there}final_visual_encoder.layers.")):
        names |= transformer_layer(f"{there}final_visual_encoder.layers.{number}", f"{here}layers.{number}", _LAYER)
    return names
