"""Convert weights of the authors' released COGMEN code into those of `JoyfulConfig.cogmen()`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..modeling import JoyfulConfig
from .convert import check_names, size, with_weight_and_bias

_LAYERS = {
    "rnn.transformer_out": "joyful.graph_projection",
    "gcn.conv2.lin_query": "joyful.graph_encoder.attention.query",
    "gcn.conv2.lin_key": "joyful.graph_encoder.attention.key",
    "gcn.conv2.lin_value": "joyful.graph_encoder.attention.value",
    "gcn.conv2.lin_skip": "joyful.graph_encoder.attention.skip",
    "gcn.conv1": "joyful.graph_encoder.convolutions.0",
    "gcn.bn": "joyful.graph_encoder.batch_norm",
    "clf.lin1": "classifier.graph_path.0",
    "clf.lin2": "classifier.graph_path.3",
}
_PARAMETERS = {
    "gcn.conv1.root": "joyful.graph_encoder.convolutions.0.root",
    "gcn.bn.running_mean": "joyful.graph_encoder.batch_norm.running_mean",
    "gcn.bn.running_var": "joyful.graph_encoder.batch_norm.running_var",
    "gcn.bn.num_batches_tracked": "joyful.graph_encoder.batch_norm.num_batches_tracked",
}
_CONTEXT_LAYERS = {
    "self_attn.out_proj": "attention_output",
    "linear1": "intermediate",
    "linear2": "output",
    "norm1": "attention_norm",
    "norm2": "output_norm",
}
_HIGHWAY = {f"clf.highway.{name}.0": f"classifier.highway.{name}" for name in ("nonlinear", "linear", "gate")}
# Registered by the released code and never used by its forward pass; the class weights belong to its loss.
_UNUSED = (r"rnn\.(encoding_layer|LayerNorm)\..*", r"clf\.(emotion_att|lin_7|linear|nll_loss)\..*")
_ENCODER = "rnn.transformer_encoder.layers"


def convert_released_cogmen_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert released weights to the state dict of `JoyfulForEmotionRecognition(released_config(state))`.

    Parameters that the released forward pass never uses are left out.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    names = _names(state)
    check_names("COGMEN", state, names, _UNUSED)
    converted = {ours: state[released] for released, ours in names.items()}
    context, graph = _context_and_graph(state)
    if size(state, "clf.lin1.weight", 1) > graph:  # there the graph's input comes first, here its output
        order = torch.cat([torch.arange(context, context + graph), torch.arange(context)])
        highway = list(with_weight_and_bias(_HIGHWAY).values()) if _has_highway(state) else []
        for name in highway:
            converted[name] = converted[name].index_select(0, order)
        for name in ("classifier.graph_path.0.weight", *(name for name in highway if name.endswith("weight"))):
            converted[name] = converted[name].index_select(1, order)
    return converted


def released_config(state: Mapping[str, Tensor], **known: Any) -> JoyfulConfig:
    """Return the config of released weights, read from their shapes.

    Args:
        **known: fields that no shape shows, such as the sizes of the modalities, which the released network reads
            side by side (100, 768 and 512 of audio, text and visual features by default), and `num_attention_heads`.

    Raises:
        ValueError: a parameter is missing or unknown, or the sizes of the modalities do not fit.
    """
    check_names("COGMEN", state, _names(state), _UNUSED)
    context, graph = _context_and_graph(state)
    sizes: dict[str, Any] = {
        "num_hidden_layers": _num_layers(state),
        "intermediate_size": size(state, f"{_ENCODER}.0.linear1.weight", 0),
        "graph_hidden_size": context,
        "graph_num_heads": graph // context,
        "classifier_hidden_size": size(state, "clf.lin1.weight", 0),
        "classifier_residual": size(state, "clf.lin1.weight", 1) > graph,
        "classifier_residual_norm": False,
        "classifier_highway": _has_highway(state),
        "max_speakers": round((size(state, "gcn.conv1.weight", 0) / 2) ** 0.5),
    }
    if not known.keys() & {"num_labels", "id2label"}:
        sizes["num_labels"] = size(state, "clf.lin2.weight", 0)
    config = JoyfulConfig.cogmen(**(sizes | known))
    width = size(state, "rnn.transformer_out.weight", 1)
    if width != sum(config.modality_dims.values()):
        dims = ", ".join(f"{name}_dim={dim}" for name, dim in config.modality_dims.items())
        raise ValueError(f"this COGMEN reads {width} features, and {dims} are {sum(config.modality_dims.values())}")
    return config


def _context_and_graph(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """Widths in front of the graph and behind it."""
    return size(state, "rnn.transformer_out.weight", 0), size(state, "gcn.bn.weight", 0)


def _has_highway(state: Mapping[str, Tensor]) -> bool:
    return any(name.startswith("clf.highway.") for name in state)


def _num_layers(state: Mapping[str, Tensor]) -> int:
    return max(1, sum(name.startswith(_ENCODER) and name.endswith("linear1.weight") for name in state))


def _names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Map each released name to ours."""
    layers = _LAYERS | (_HIGHWAY if _has_highway(state) else {})
    names = dict(_PARAMETERS)
    for index in range(_num_layers(state)):
        released, ours = f"{_ENCODER}.{index}", f"joyful.context_encoder.layers.{index}"
        layers |= {f"{released}.{old}": f"{ours}.{new}" for old, new in _CONTEXT_LAYERS.items()}
        for part in ("weight", "bias"):
            names[f"{released}.self_attn.in_proj_{part}"] = f"{ours}.query_key_value.{part}"
    return names | with_weight_and_bias(layers)
