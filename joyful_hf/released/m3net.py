"""Convert weights of the authors' released M3Net code into the state dict and the config of a model here."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..modeling import M3NetConfig
from .convert import check_names, size, with_weight_and_bias

_NORMS = {f"normBN{letter}": f"m3net.text_context.norms.{index}" for index, letter in enumerate("abcd")}
_NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
_RECURRENT_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
# What the released network registers and its forward pass never uses.
_UNUSED = (
    r"graph_model\.hyperconv\d+\.(weight|edgeweight|edgefc\.(weight|bias))",
    r"graph_model\.hyperedge_attr[12]",
    r"graph_model\.modal_embeddings\.weight",
    r"(hidfc|linear_l|normLN[a-d])\.(weight|bias)",
    r"normBN[a-d]\.num_batches_tracked",
)


def convert_released_m3net_state_dict(state: Mapping[str, Tensor], **known: Any) -> dict[str, Tensor]:
    """Convert released weights to the state dict of `M3NetForEmotionRecognition(released_config(state, **known))`.

    Args:
        **known: as for `released_config`.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    names = _names(state, _has_projection(state, known))
    check_names("M3Net", state, names, _UNUSED)
    converted = {ours: state[released] for released, ours in names.items()}
    return converted | {f"{norm}.num_batches_tracked": torch.tensor(0) for norm in _NORMS.values()}


def released_config(state: Mapping[str, Tensor], **known: Any) -> M3NetConfig:
    """Return the config of released weights, read from their shapes.

    Args:
        **known: fields that weights do not show, such as `classification_loss`, and `text_projection`: by default the
            map of the text is used unless it would keep the size, as in the form for MELD, which skips it.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    has_projection = _has_projection(state, known)
    check_names("M3Net", state, _names(state, has_projection), _UNUSED)
    modalities = {"audio_dim": "linear_a.weight", "visual_dim": "linear_v.weight"}
    sizes: dict[str, Any] = {field: size(state, name, 1) for field, name in modalities.items()}
    width, hidden = size(state, "linear_a.weight", 0), size(state, "graph_model.fc1.weight", 0)
    sizes |= {
        "text_layers": len(_NORMS),
        "text_dim": len(_NORMS) * size(state, "normBNa.weight", 0),
        "text_projection": has_projection,
        "projection_size": width,
        "graph_hidden_size": hidden,
        "max_speakers": size(state, "graph_model.speaker_embeddings.weight", 0),
        "hyper_num_layers": _count(state, "hyperconv"),
        "frequency_num_layers": _count(state, "conv"),
        "num_hyperedge_weights": size(state, "graph_model.hyperedge_weight", 0),
        "num_node_weights": size(state, "graph_model.EW_weight", 0),
        "use_residue": size(state, "smax_fc.weight", 1) == 3 * (width + 2 * hidden),
    }
    if not known.keys() & {"num_labels", "id2label"}:
        sizes["num_labels"] = size(state, "smax_fc.weight", 0)
    return M3NetConfig.released(**(sizes | known))


def _has_projection(state: Mapping[str, Tensor], known: Mapping[str, Any]) -> bool:
    if "text_projection" in known:
        return known["text_projection"]
    return size(state, "linear_a.weight", 0) != size(state, "normBNa.weight", 0)


def _count(state: Mapping[str, Tensor], layer: str) -> int:
    """Number of layers of this name; at least 1, so that what is missing is named."""
    numbers = {match[1] for name in state if (match := re.match(rf"graph_model\.{layer}(\d+)\.", name))}
    return max(len(numbers), 1)


def _names(state: Mapping[str, Tensor], has_projection: bool) -> dict[str, str]:
    """Map each released name to ours."""
    names = {f"{old}.{part}": f"{new}.{part}" for old, new in _NORMS.items() for part in _NORM_PARTS}
    names |= {
        "graph_model.speaker_embeddings.weight": "m3net.speakers.weight",
        "graph_model.hyperedge_weight": "m3net.hyper_weights.hyperedge",
        "graph_model.EW_weight": "m3net.hyper_weights.node",
    }
    layers = {
        "linear_a": "m3net.projections.audio",
        "linear_v": "m3net.projections.visual",
        "graph_model.fc1": "m3net.graph_projection",
        "smax_fc": "classifier.2",
    }
    if has_projection:
        layers["linear_l"] = "m3net.text_context.projection"
    for index in range(2):
        for part in _RECURRENT_PARTS:
            for way in ("", "_reverse"):
                ours = f"m3net.text_context.layers.{index}.layers.0.{part}_l0{way}"
                names[f"gru_l.{part}_l{index}{way}"] = ours
    for index in range(_count(state, "hyperconv")):
        names[f"graph_model.hyperconv{index + 1}.bias"] = f"m3net.hyper_layers.{index}.bias"
    for index in range(_count(state, "conv")):
        layers[f"graph_model.conv{index + 1}.gate"] = f"m3net.frequency_layers.{index}.gate"
    return names | with_weight_and_bias(layers)
