"""Convert weights of the authors' released DialogueRNN code (`BiModel`) into those of a model of this package."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from ..modeling import DialogueRNNConfig
from .convert import check_names, size

_DIRECTIONS = {"dialog_rnn_f.dialogue_cell": "forwards.cell", "dialog_rnn_r.dialogue_cell": "backwards.cell"}
_CELLS = {"g_cell": "global_cell", "p_cell": "party_cell", "l_cell": "listener_cell"}
_EMOTION_CELL = {"e_cell": "emotion_cell"}
_LAYERS = {
    "matchatt.transform": "dialogue_rnn.emotion_attention.transform",
    "linear": "classifier.0",
    "smax_fc": "classifier.3",
}
_FIRST = "dialog_rnn_f.dialogue_cell"
_SYSTEM = "DialogueRNN"


def convert_released_dialogue_rnn_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert released weights to the state dict of `DialogueRNNForEmotionRecognition(released_config(state))`.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    check_names(_SYSTEM, state, _names(state))
    converted = {}
    for name, ours in _LAYERS.items():
        for part in ("weight", "bias"):
            if f"{name}.{part}" in state:
                converted[f"{ours}.{part}"] = state[f"{name}.{part}"]
    for released, ours in _DIRECTIONS.items():
        below = {key.removeprefix(f"{released}."): value for key, value in state.items() if key.startswith(released)}
        converted |= {f"dialogue_rnn.{ours}.{name}": value for name, value in convert_cell(below)}
    return converted


def released_config(state: Mapping[str, Tensor], **known: Any) -> DialogueRNNConfig:
    """Return the config of released weights, read from their shapes.

    Args:
        **known: fields that no shape shows, such as `max_speakers` and the sizes of the modalities; by default all
            features are the text's, as in the authors' training for IEMOCAP.

    Raises:
        ValueError: a parameter is missing or unknown, or the sizes of the modalities do not fit.
    """
    check_names(_SYSTEM, state, _names(state))
    global_size, attention = size(state, f"{_FIRST}.g_cell.weight_hh", 1), _attention(state)
    sizes: dict[str, Any] = {
        "global_size": global_size,
        "party_size": size(state, f"{_FIRST}.p_cell.weight_hh", 1),
        "emotion_size": size(state, f"{_FIRST}.e_cell.weight_hh", 1),
        "classifier_hidden_size": size(state, "linear.weight", 0),
        "context_attention": attention,
        "listener_state": f"{_FIRST}.l_cell.weight_ih" in state,
        "emotion_attention": "matchatt.transform.weight" in state,
    }
    if attention == "concat":
        sizes["context_attention_size"] = size(state, f"{_FIRST}.attention.transform.weight", 0)
    if not known.keys() & {"num_labels", "id2label"}:
        sizes["num_labels"] = size(state, "smax_fc.weight", 0)
    joined = joined_sizes(_SYSTEM, size(state, f"{_FIRST}.p_cell.weight_ih", 1) - global_size, known)
    return DialogueRNNConfig.released(**(sizes | known | joined))


def joined_sizes(title: str, width: int, known: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes of the modalities whose features the released network reads side by side.

    Args:
        title: the system's name.
        width: of all features together.
        known: the sizes, if they are known; without any all features are the text's.

    Raises:
        ValueError: the known sizes are not those of the network.
    """
    dims = {name: known[name] for name in ("text_dim", "audio_dim", "visual_dim") if known.get(name)}
    if not dims:
        return {"text_dim": width}
    if sum(dims.values()) != width:
        given = ", ".join(f"{name}={dim}" for name, dim in dims.items())
        raise ValueError(f"this {title} reads {width} features, and {given} are {sum(dims.values())}")
    return dims


def _attention(state: Mapping[str, Tensor]) -> str:
    if f"{_FIRST}.attention.vector_prod.weight" in state:
        return "concat"
    if f"{_FIRST}.attention.scalar.weight" in state:
        return "simple"
    return "general" if f"{_FIRST}.attention.transform.weight" in state else "dot"


def _names(state: Mapping[str, Tensor]) -> set[str]:
    """The names of the form whose attention, listener and emotion attention this state has."""
    attention = {
        "general": ["transform"],
        "concat": ["transform", "vector_prod"],
        "simple": ["scalar"],
        "dot": [],
    }[_attention(state)]
    cells = [cell for cell in _CELLS if cell != "l_cell" or f"{_FIRST}.l_cell.weight_ih" in state] + ["e_cell"]
    layers = [layer for layer in _LAYERS if layer != "matchatt.transform" or any("matchatt" in name for name in state)]
    names = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    for direction in _DIRECTIONS:
        names |= {f"{direction}.attention.{layer}.weight" for layer in attention}
        names |= {
            f"{direction}.{cell}.{part}_{kind}"
            for cell in cells
            for part in ("weight", "bias")
            for kind in ("ih", "hh")
        }
    return names


def convert_cell(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Split the input of each GRU into the utterance's part, which comes first, and the rest."""
    in_size = state["p_cell.weight_ih"].size(1) - state["g_cell.weight_hh"].size(1)
    for released, ours in (_CELLS | _EMOTION_CELL).items():
        if f"{released}.weight_ih" not in state:
            continue
        weight, bias = (state[f"{released}.{part}_ih"] for part in ("weight", "bias"))
        if ours == "emotion_cell":
            yield f"{ours}.found.weight", weight
            yield f"{ours}.found.bias", bias
        else:
            yield f"{ours}.known.weight", weight[:, :in_size]
            yield f"{ours}.known.bias", bias
            yield f"{ours}.found.weight", weight[:, in_size:]
        for part in ("weight", "bias"):
            yield f"{ours}.state.{part}", state[f"{released}.{part}_hh"]
    ours = "context_attention"
    if "attention.vector_prod.weight" in state:
        transform, global_size = state["attention.transform.weight"], state["g_cell.weight_hh"].size(1)
        yield f"{ours}.memory_transform.weight", transform[:, :global_size]
        yield f"{ours}.transform.weight", transform[:, global_size:]
        yield f"{ours}.vector.weight", state["attention.vector_prod.weight"]
    elif "attention.scalar.weight" in state:
        yield f"{ours}.vector.weight", state["attention.scalar.weight"]
    elif "attention.transform.weight" in state:
        yield f"{ours}.transform.weight", state["attention.transform.weight"]
