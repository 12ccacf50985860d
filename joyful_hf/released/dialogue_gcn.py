"""Convert weights of the released DialogueGCN code, the authors' or Zhang's, into those of a model of this package."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..modeling import DialogueGCNConfig
from .convert import check_names, size, with_weight_and_bias
from .dialogue_rnn import joined_sizes

_SYSTEM = "DialogueGCN"
_AUTHORS = {
    "graph_net.matchatt.transform": "dialogue_gcn.nodal_attention.transform",
    "graph_net.linear": "classifier.0",
    "graph_net.smax_fc": "classifier.3",
}
_ZHANGS = {"clf.lin1": "classifier.0", "clf.lin2": "classifier.3"}
# Registered by the released code and never used by its forward pass.
_UNUSED = (r"att_model\.(att|matchatt|simpleatt)\..*", r"clf\.(emotion_att|loss|nll_loss)\..*")
# The windows of the released training script are 10 on both sides.
PROCESSOR_SETTINGS = {"window_past": 10, "window_future": 10}
_TRANSPOSED = "dialogue_gcn.neighbours.neighbours.weight"


def convert_released_dialogue_gcn_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert released weights to the state dict of `DialogueGCNForEmotionRecognition(released_config(state))`.

    Parameters that the released forward pass never uses are left out.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    names = _names(state)
    check_names(_SYSTEM, state, names, _UNUSED)
    converted = {ours: state[released] for released, ours in names.items()}
    converted[_TRANSPOSED] = converted[_TRANSPOSED].T
    return converted


def released_config(state: Mapping[str, Tensor], **known: Any) -> DialogueGCNConfig:
    """Return the config of released weights, read from their shapes.

    Args:
        **known: fields that no shape shows, such as the sizes of the modalities; by default all features are the
            text's, as in the authors' training for IEMOCAP.

    Raises:
        ValueError: a parameter is missing or unknown, or the sizes of the modalities do not fit.
    """
    check_names(_SYSTEM, state, _names(state), _UNUSED)
    recurrent, graph, is_zhangs = _recurrent(state), _graph(state), _is_zhangs(state)
    relations, bases = (size(state, f"{graph}.conv1.att", dim) for dim in (0, 1))
    sizes: dict[str, Any] = {
        "max_speakers": _speakers_of(relations),
        "context_encoder": "gru" if size(state, f"{recurrent}.weight_hh_l0", 0) == 3 * _width(state) else "lstm",
        "recurrent_size": _width(state),
        "num_hidden_layers": _num_layers(state),
        "graph_hidden_size": size(state, f"{graph}.conv1.root", 1),
        "graph_out_size": size(state, f"{graph}.conv2.weight", 1),
        "num_bases": bases,
        "edge_attention": "outgoing" if is_zhangs else "position",
        "nodal_attention": "none" if is_zhangs else "bounded",
        "classifier_hidden_size": size(state, "clf.lin1.weight" if is_zhangs else "graph_net.linear.weight", 0),
    }
    if not is_zhangs:
        sizes["max_position"] = size(state, "att_model.scalar.weight", 0)
    if not known.keys() & {"num_labels", "id2label"}:
        sizes["num_labels"] = size(state, "clf.lin2.weight" if is_zhangs else "graph_net.smax_fc.weight", 0)
    joined = joined_sizes(_SYSTEM, size(state, f"{recurrent}.weight_ih_l0", 1), known)
    return DialogueGCNConfig.released(**(sizes | known | joined))


def _is_zhangs(state: Mapping[str, Tensor]) -> bool:
    return any(name.startswith("gcn.") for name in state)


def _graph(state: Mapping[str, Tensor]) -> str:
    return "gcn" if _is_zhangs(state) else "graph_net"


def _recurrent(state: Mapping[str, Tensor]) -> str:
    if _is_zhangs(state):
        return "rnn.rnn"
    return "gru" if any(name.startswith("gru.") for name in state) else "lstm"


def _width(state: Mapping[str, Tensor]) -> int:
    return size(state, f"{_recurrent(state)}.weight_hh_l0", 1)


def _num_layers(state: Mapping[str, Tensor]) -> int:
    return max(1, sum(name.startswith(f"{_recurrent(state)}.weight_hh_l") for name in state) // 2)


def _speakers_of(num_relations: int) -> int:
    speakers = math.isqrt(num_relations // 2)
    if 2 * speakers**2 != num_relations:
        raise ValueError(f"conv1.att has {num_relations} relations, which is not 2 * speakers**2")
    return speakers


def _names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Map each released name to ours."""
    graph, is_zhangs = _graph(state), _is_zhangs(state)
    layers = dict(_ZHANGS if is_zhangs else _AUTHORS)
    layers[f"{graph}.conv2.lin"] = "dialogue_gcn.neighbours.own"
    names = with_weight_and_bias(layers)
    names["edge_att.weight" if is_zhangs else "att_model.scalar.weight"] = "dialogue_gcn.edge_weights.weight"
    names[f"{graph}.conv2.weight"] = _TRANSPOSED
    convolution = {"basis": "matrices", "att": "coefficients", "root": "root", "bias": "bias"}
    names |= {f"{graph}.conv1.{old}": f"dialogue_gcn.relational.{new}" for old, new in convolution.items()}
    return names | recurrent_names(_recurrent(state), "dialogue_gcn.context_encoder", _num_layers(state))


def recurrent_names(released: str, ours: str, num_layers: int) -> dict[str, str]:
    """Map the parameters of a GRU or an LSTM of torch, in both directions, to those of a `DialogueRecurrence`."""
    kinds = [f"{part}_{kind}" for part in ("weight", "bias") for kind in ("ih", "hh")]
    return {
        f"{released}.{kind}_l{layer}{suffix}": f"{ours}.layers.{layer}.{kind}_l0{suffix}"
        for layer in range(num_layers)
        for kind in kinds
        for suffix in ("", "_reverse")
    }
