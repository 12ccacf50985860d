"""Convert weights of the authors' released GraphSmile code into the state dict and the config of a model here."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..modeling import GraphSmileConfig
from .convert import check_names, size, with_weight_and_bias

_MODALITIES = {"t": "text", "v": "visual", "a": "audio"}
_PAIRS = {"tv": "text_visual", "ta": "text_audio", "va": "visual_audio"}
# Three of four norms of the text, and a template that is copied into each layer.
_UNUSED = (r"batchnorms_t\.[123]\.\w+", r"hetergconv_\w\w\.fc_layer\.0\.(weight|bias)", r".*\.num_batches_tracked")
# The published windows for IEMOCAP, which the weights do not tell.
PROCESSOR_SETTINGS = {"window_past": 17, "window_future": 17}
READS_SPEAKERS = False
_NORM = ("weight", "bias", "running_mean", "running_var")


def convert_released_graph_smile_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert released weights to the state dict of `GraphSmileForEmotionRecognition(released_config(state))`.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    names = _names(_depths(state))
    check_names("GraphSmile", state, names, _UNUSED)
    converted = {ours: state[released] for released, ours in names.items()}
    for ours in converted:
        if ".convolutions." in ours and ours.endswith(".weight"):
            converted[ours] = converted[ours].T.contiguous()  # multiplied from the right there
    converted["graph_smile.text_norm.num_batches_tracked"] = torch.tensor(0)
    return converted


def released_config(state: Mapping[str, Tensor], **known: Any) -> GraphSmileConfig:
    """Return the config of released weights, read from their shapes.

    Args:
        **known: fields that weights do not show, such as `label_sentiments`, and `shift_window` (19 by default) with
            the weights of the losses, which matter in training only.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    depths = _depths(state)
    check_names("GraphSmile", state, _names(depths), _UNUSED)
    if size(state, "dim_layer_t.0.weight", 1) != size(state, "batchnorms_t.0.weight", 0):
        raise ValueError("it was trained on several layers of text features joined, whose network has no counterpart")
    sizes: dict[str, Any] = {
        f"{name}_dim": size(state, f"dim_layer_{short}.0.weight", 1) for short, name in _MODALITIES.items()
    }
    sizes |= {
        "projection_size": size(state, "dim_layer_t.0.weight", 0),
        "graph_num_layers": {_PAIRS[pair]: depth for pair, depth in depths.items()},
        "num_edge_weights": size(state, "hetergconv_tv.edge_weight", 0),
        "num_sentiments": size(state, "sen_output.weight", 0),
    }
    if not known.keys() & {"num_labels", "id2label"}:
        sizes["num_labels"] = size(state, "emo_output.weight", 0)
    return GraphSmileConfig.released(**(sizes | known))


def _depths(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Number of layers of each pair's graph; at least 1, so that what is missing is named."""
    depths = {}
    for pair in _PAIRS:
        prefix = f"hetergconv_{pair}.fc_layers."
        depths[pair] = max(len({name.split(".")[2] for name in state if name.startswith(prefix)}), 1)
    return depths


def _names(depths: Mapping[str, int]) -> dict[str, str]:
    """Map each released name to ours."""
    names = {f"batchnorms_t.0.{part}": f"graph_smile.text_norm.{part}" for part in _NORM}
    layers = {
        "modal_fusion.0": "graph_smile.fusion",
        "emo_output": "classifier",
        "sen_output": "sentiment_classifier",
        "senshift.shift_output_layer.0": "shift_classifier",
    }
    layers |= {f"dim_layer_{short}.0": f"graph_smile.projections.{name}.0" for short, name in _MODALITIES.items()}
    for pair, depth in depths.items():
        released, ours = f"hetergconv_{pair}", f"graph_smile.graphs.{_PAIRS[pair]}"
        names[f"{released}.edge_weight"] = f"{ours}.edge_weights.weight"
        for index in range(depth):
            layers[f"{released}.fc_layers.{index}.0"] = f"{ours}.outputs.{index}"
            layers[f"{released}.hetergcn_layers.{index}.hetergconv"] = f"{ours}.convolutions.{index}"
    return names | with_weight_and_bias(layers)
