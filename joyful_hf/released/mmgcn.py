"""Convert weights of the authors' released MMGCN code into those of a model of this package."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..modeling import MMGCNConfig
from .convert import check_names, size, with_weight_and_bias
from .dialogue_gcn import recurrent_names

_SYSTEM = "MMGCN"
_LAYERS = {
    "linear_a": "mmgcn.projections.audio",
    "linear_v": "mmgcn.projections.visual",
    "linear_l": "mmgcn.projections.text",
    "graph_model.graph_net.fcs.0": "mmgcn.graph_network.first",
    "smax_fc": "classifier.1",
}
_SPEAKERS = "graph_model.speaker_embeddings.weight"
_MODALITIES = "graph_model.modal_embeddings.weight"
# Registered by the released code and never used by its forward pass in this form.
_UNUSED = (r"(att_model|gatedatt)\..*", r"graph_model\.([alv]_fc|feature_fc|final_fc|[alv]_spk_embs)\..*")


def convert_released_mmgcn_state_dict(state: Mapping[str, Tensor], **known: Any) -> dict[str, Tensor]:
    """Convert released weights to the state dict of `MMGCNForEmotionRecognition(released_config(state, **known))`.

    Parameters that the released forward pass never uses are left out.

    Args:
        **known: as for `released_config`.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    names = _names(state)
    check_names(_SYSTEM, state, names, _UNUSED)
    if not known.get("modality_vectors"):
        names.pop(_MODALITIES, None)
    return {ours: state[released] for released, ours in names.items()}


def released_config(state: Mapping[str, Tensor], **known: Any) -> MMGCNConfig:
    """Return the config of released weights, read from their shapes.

    Args:
        **known: fields that no shape shows, such as `modality_vectors` (`use_modal` of the released script), whose
            vectors released weights have in either case.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    check_names(_SYSTEM, state, _names(state), _UNUSED)
    sizes: dict[str, Any] = {
        "text_dim": size(state, "linear_l.weight", 1),
        "audio_dim": size(state, "linear_a.weight", 1),
        "visual_dim": size(state, "linear_v.weight", 1),
        "text_projection_size": size(state, "linear_l.weight", 0),
        "recurrent_size": size(state, "lstm_l.weight_hh_l0", 1),
        "num_hidden_layers": _count(state, "lstm_l.weight_hh_l") // 2,
        "graph_hidden_size": size(state, "graph_model.graph_net.fcs.0.weight", 0),
        "graph_num_layers": _count(state, "graph_model.graph_net.convs."),
        "speaker_modalities": "text" if _SPEAKERS in state else "none",
    }
    if _SPEAKERS in state:
        sizes["max_speakers"] = size(state, _SPEAKERS, 0)
    if not known.keys() & {"num_labels", "id2label"}:
        sizes["num_labels"] = size(state, "smax_fc.weight", 0)
    return MMGCNConfig.released(**(sizes | known))


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return sum(name.startswith(prefix) for name in state)


def _names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Map each released name to ours."""
    names = with_weight_and_bias(_LAYERS)
    if _SPEAKERS in state:
        names[_SPEAKERS] = "mmgcn.speakers.text.weight"
    if _MODALITIES in state:
        names[_MODALITIES] = "mmgcn.modality_vectors.weight"
    for number in range(max(1, _count(state, "graph_model.graph_net.convs."))):
        names[f"graph_model.graph_net.convs.{number}.weight"] = f"mmgcn.graph_network.layers.{number}.weight"
    num_layers = max(1, _count(state, "lstm_l.weight_hh_l") // 2)
    return names | recurrent_names("lstm_l", "mmgcn.text_context", num_layers)
