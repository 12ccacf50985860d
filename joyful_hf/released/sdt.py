"""Convert weights of the authors' released SDT code into the state dict and the config of a model of this package."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import torch
from torch import Tensor

from ..modeling import SDTConfig
from .convert import check_names, size, with_weight_and_bias

_MODALITIES = {"t": "text", "a": "audio", "v": "visual"}
_PROJECTIONS = {"t": "textf_input", "a": "acouf_input", "v": "visuf_input"}
_ENCODER_LAYERS = {
    "self_attn.linear_q": "query",
    "self_attn.linear_k": "key",
    "self_attn.linear_v": "value",
    "self_attn.linear": "attention_output",
    "feed_forward.layer_norm": "norm",
    "feed_forward.w_1": "intermediate",
    "feed_forward.w_2": "output",
}
# A norm that only a second layer would use, and a table of constants.
_UNUSED = (r"\w+\.transformer_inter\.0\.layer_norm\.(weight|bias)", r"\w+\.pos_emb\.pe")


def convert_released_sdt_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert released weights to the state dict of `SDTForEmotionRecognition(released_config(state))`.

    Frozen identities in place of gates, as for MELD, and the vector of padding are left out.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    names = _names()
    check_names("SDT", state, names, _UNUSED)
    converted = {ours: state[released] for released, ours in names.items()}
    for name in _PROJECTIONS.values():
        ours = names[f"{name}.weight"]
        converted[ours] = converted[ours].squeeze(-1)  # a convolution over one utterance
    converted["sdt.speakers.weight"] = converted["sdt.speakers.weight"][:-1]
    if _has_identities(state):
        converted = {name: tensor for name, tensor in converted.items() if "unimodal_gates" not in name}
    return converted


def released_config(state: Mapping[str, Tensor], **known: Any) -> SDTConfig:
    """Return the config of released weights, read from their shapes.

    Args:
        **known: fields that weights do not show, such as `num_attention_heads` (8 by default) and
            `distillation_temperature` (1, as for IEMOCAP).

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    check_names("SDT", state, _names(), _UNUSED)
    sizes: dict[str, Any] = {
        f"{_MODALITIES[short]}_dim": size(state, f"{name}.weight", 1) for short, name in _PROJECTIONS.items()
    }
    sizes |= {
        "projection_size": size(state, "textf_input.weight", 0),
        "max_speakers": size(state, "speaker_embeddings.weight", 0) - 1,
        "unimodal_gate": "identity" if _has_identities(state) else "learned",
    }
    if not known.keys() & {"num_labels", "id2label"}:
        sizes["num_labels"] = size(state, "all_output_layer.weight", 0)
    return SDTConfig.released(**(sizes | known))


def _has_identities(state: Mapping[str, Tensor]) -> bool:
    gates = [tensor for name, tensor in state.items() if name.endswith("_gate.fc.weight") and name[0] != "l"]
    return all(torch.equal(gate, torch.eye(len(gate), dtype=gate.dtype)) for gate in gates)


def _names() -> dict[str, str]:
    """Map each released name to ours."""
    layers = {"all_output_layer": "classifier"}
    names = {
        "speaker_embeddings.weight": "sdt.speakers.weight",
        "last_gate.fc.weight": "sdt.multimodal_gate.weight",
    }
    for source, target in product(_MODALITIES, _MODALITIES):
        pair = f"{_MODALITIES[source]}_to_{_MODALITIES[target]}"
        names[f"{source}_{target}_gate.fc.weight"] = f"sdt.unimodal_gates.{pair}.gate.weight"
        for released, ours in _ENCODER_LAYERS.items():
            layers[f"{source}_{target}.transformer_inter.0.{released}"] = f"sdt.encoders.{pair}.{ours}"
    for short, name in _MODALITIES.items():
        names[f"{_PROJECTIONS[short]}.weight"] = f"sdt.projections.{name}.weight"
        layers[f"features_reduce_{short}"] = f"sdt.reductions.{name}"
        layers[f"{short}_output_layer.2"] = f"students.{name}.classifier"
    return names | with_weight_and_bias(layers)
