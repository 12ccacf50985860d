"""Convert weights of the authors' released LMAM code into the state dict and the config of a model of this package."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..modeling import LMAMConfig
from .convert import check_names, size, with_weight_and_bias
from .dialogue_rnn import convert_cell

_NORMS = ("normBNa", "normBNb", "normBNc", "normBNd")
_NORM_PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_LSTM = "lstm2"
_CELL = "dialogue_cell"
_COMMON = {
    "fc1": "lmam.projections.audio",
    "fc2": "lmam.projections.visual",
    "matchatt.transform": "lmam.matching.transform",
}
_BC_LSTM = {"linear": "classifier.0", "smax_fc": "classifier.2"}
_DIALOGUE_RNN = {"fc3": "lmam.memory", "fc4": "lmam.emotion_projection", "smax_fc": "classifier"}
# The LSTM of another attention, which this one never uses.
_UNUSED = (r"lstm\..*",)


def convert_released_lmam_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert released weights to the state dict of `LMAMForEmotionRecognition(released_config(state))`.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    names = _names(state)
    check_names("LMAM", state, [*names, *_cell_names(state)], _UNUSED)
    converted = {ours: state[released] for released, ours in names.items()}
    if not _is_lstm(state):
        cell = {name.removeprefix(f"{_CELL}."): value for name, value in state.items() if name.startswith(f"{_CELL}.")}
        converted |= {f"lmam.recurrence.cell.{name}": value for name, value in convert_cell(cell)}
    return converted


def released_config(state: Mapping[str, Tensor], **known: Any) -> LMAMConfig:
    """Return the config of released weights, read from their shapes.

    Args:
        **known: fields that weights do not show, such as `max_speakers`.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    check_names("LMAM", state, [*_names(state), *_cell_names(state)], _UNUSED)
    sizes: dict[str, Any] = {
        "text_layers": len(_NORMS),
        "text_dim": len(_NORMS) * size(state, f"{_NORMS[0]}.weight", 0),
        "audio_dim": size(state, "fc1.weight", 1),
        "visual_dim": size(state, "fc2.weight", 1),
        "projection_size": size(state, "fc1.weight", 0),
    }
    if _is_lstm(state):
        sizes |= {
            "host": "bc_lstm",
            "num_hidden_layers": _num_layers(state),
            "classifier_hidden_size": size(state, "linear.weight", 0),
        }
    else:
        sizes |= {"host": "dialogue_rnn"}
        for name, cell in (("global_size", "g_cell"), ("party_size", "p_cell"), ("emotion_size", "e_cell")):
            sizes[name] = size(state, f"{_CELL}.{cell}.weight_hh", 1)
    if not known.keys() & {"num_labels", "id2label"}:
        sizes["num_labels"] = size(state, "smax_fc.weight", 0)
    return LMAMConfig.released(**(sizes | known))


def _is_lstm(state: Mapping[str, Tensor]) -> bool:
    return not any(name.startswith(f"{_CELL}.") for name in state)


def _num_layers(state: Mapping[str, Tensor]) -> int:
    return max(1, sum(name.startswith(f"{_LSTM}.weight_hh_l") and "reverse" not in name for name in state))


def _names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Map each released name to ours, without the recurrence of DialogueRNN."""
    names = {
        f"{norm}.{part}": f"lmam.norms.{index}.{part}" for index, norm in enumerate(_NORMS) for part in _NORM_PARTS
    }
    if not _is_lstm(state):
        return names | with_weight_and_bias(_COMMON | _DIALOGUE_RNN)
    for index in range(_num_layers(state)):
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            for way in ("", "_reverse"):
                names[f"{_LSTM}.{part}_l{index}{way}"] = f"lmam.memory.layers.{index}.{part}_l0{way}"
    return names | with_weight_and_bias(_COMMON | _BC_LSTM)


def _cell_names(state: Mapping[str, Tensor]) -> list[str]:
    if _is_lstm(state):
        return []
    parts = [f"{part}_{kind}" for part in ("weight", "bias") for kind in ("ih", "hh")]
    cells = [f"{_CELL}.{cell}.{part}" for cell in ("g_cell", "p_cell", "e_cell") for part in parts]
    return [*cells, f"{_CELL}.attention.scalar.weight"]
