"""Convert weights of the authors' released COGMEN code, to which JOYFUL's goes back.

Its network is JOYFUL's without the fusion, in another spelling.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..modeling import JoyfulConfig
from .convert import check_names, size, with_weight_and_bias
from .joyful import UNUSED, model_names, num_layers_of, speakers_of

# Its `wf` and `wp`: their meanings are the opposite of their names.
PROCESSOR_SETTINGS = {"window_past": 5, "window_future": 5}
_HIGHWAY = {f"clf.highway.{name}.0": f"classifier.highway.{name}" for name in ("nonlinear", "linear", "gate")}


def convert_released_cogmen_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert released COGMEN weights to the state dict of a `JoyfulForEmotionRecognition`.

    Its config is `released_config(state)`. Parameters that the released forward pass never uses are left out.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    names = _names(state)
    converted = {ours: state[released] for released, ours in names.items()}
    context, graph, read = _widths(state)
    if read > graph:  # there the graph's input comes first, here its output
        order = torch.cat([torch.arange(context, read), torch.arange(context)])
        for name in (name for name in converted if name.startswith("classifier.highway.")):
            converted[name] = converted[name].index_select(0, order)
        for name in ("classifier.graph_path.0.weight", *(name for name in converted if "highway" in name)):
            if converted[name].dim() == 2:
                converted[name] = converted[name].index_select(1, order)
    return converted


def released_config(state: Mapping[str, Tensor], **known: Any) -> JoyfulConfig:
    """Return the config of released COGMEN weights, read from their shapes.

    Args:
        **known: fields that no shape shows, such as `num_attention_heads` and the sizes of the modalities, which the
            released network reads side by side; by default 100, 768 and 512 of audio, text and visual features.

    Raises:
        ValueError: a parameter is missing or unknown, or the sizes of the modalities do not fit.
    """
    _names(state)
    context, graph, read = _widths(state)
    sizes: dict[str, Any] = {
        "num_hidden_layers": num_layers_of(state),
        "intermediate_size": size(state, "rnn.transformer_encoder.layers.0.linear1.weight", 0),
        "graph_hidden_size": context,
        "graph_num_heads": graph // context,
        "classifier_hidden_size": size(state, "clf.lin1.weight", 0),
        "classifier_residual": read > graph,
        "classifier_residual_norm": False,
        "classifier_highway": any(name.startswith("clf.highway.") for name in state),
        "max_speakers": speakers_of(size(state, "gcn.conv1.weight", 0)),
    }
    if not known.keys() & {"num_labels", "id2label"}:
        sizes["num_labels"] = size(state, "clf.lin2.weight", 0)
    config = JoyfulConfig.cogmen(**(sizes | known))
    dims, width = config.modality_dims, size(state, "rnn.transformer_out.weight", 1)
    if width != sum(dims.values()):
        given = ", ".join(f"{name}_dim={dim}" for name, dim in dims.items())
        raise ValueError(f"this COGMEN reads {width} features, and {given} are {sum(dims.values())}")
    return config


def _widths(state: Mapping[str, Tensor]) -> tuple[int, int, int]:
    """Widths of the graph's input, of its output, and of what the classifier reads."""
    context, graph = size(state, "rnn.transformer_out.weight", 0), size(state, "gcn.bn.weight", 0)
    return context, graph, size(state, "clf.lin1.weight", 1)


def _names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Map each released name to ours: those of JOYFUL, whose code calls the graph otherwise, and a highway layer."""
    names = {}
    for released, ours in model_names(max(num_layers_of(state), 1)).items():
        names[released.replace("gcl.transform_conv.", "gcn.conv2.").replace("gcl.", "gcn.")] = ours
    if any(name.startswith("clf.highway.") for name in state):
        names |= with_weight_and_bias(_HIGHWAY)
    check_names("COGMEN", state, names, [f"{re.escape(prefix)}.*" for prefix in UNUSED])
    return names
