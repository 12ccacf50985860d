"""Convert weights of the authors' released GBAN code (Keras) into the state dict and the config of a model here."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..modeling import GBANConfig
from ..processing.words import NUM_SPECIAL
from .convert import check_names, size

# Group of the fusion -> what text and speech are multiplied with, and the gate.
_GROUPS = {"aligned_gate": ("Wv", "Wt", "Wz_xv"), "last_gate": ("Wfv", "Wft", "Wz_fv")}
_ALIGNMENTS = {"audio_to_text": "attention_audio_query", "text_to_audio": "attention_text_query"}
_DIRECTIONS = ("forward", "backward")
# Who speaks does not matter: single utterances are read.
READS_SPEAKERS = False


def convert_released_gban_state_dict(state: Mapping[str, Tensor], alignment: str = "additive") -> dict[str, Tensor]:
    """Convert released weights to the state dict of `GBANForEmotionRecognition(released_config(state, ...))`.

    Args:
        state: arrays by the names of their layers, such as `audio_conv0.kernel`, `text_lstm.forward.bias`, `ggf.Wv`,
            in Keras' layout: kernels (in, out), convolutions (steps, in, out).
        alignment: as in the config; the paper's, `"dot"`, has no weights.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    check_names("GBAN", state, _names(state))
    converted = {"gban.word_vectors.weight": state["embedding"]}
    for modality, kernels in (("audio", _audio(state)), ("text", _text(state))):
        encoder = f"gban.encoders.{modality}"
        for number, name in enumerate(kernels):
            converted[f"{encoder}.convolutions.{number}.weight"] = (
                state[f"{name}.kernel"].permute(2, 1, 0).contiguous()
            )
            converted[f"{encoder}.convolutions.{number}.bias"] = state[f"{name}.bias"]
        parts = [{kind: state[f"{modality}_lstm.{way}.{kind}"] for kind in _LSTM} for way in _DIRECTIONS]
        converted[f"{encoder}.lstm.input.weight"] = torch.cat([part["kernel"] for part in parts], dim=1).T.contiguous()
        converted[f"{encoder}.lstm.input.bias"] = torch.cat([part["bias"] for part in parts])
        converted[f"{encoder}.lstm.recurrent_weight"] = torch.stack([part["recurrent_kernel"] for part in parts])
    if alignment == "additive":
        converted |= {f"gban.alignments.{pair}.scale": state[f"{name}.scale"] for pair, name in _ALIGNMENTS.items()}
    for group, (text, audio, gate) in _GROUPS.items():
        converted[f"gban.{group}.values.text.weight"] = state[f"ggf.{text}"].T.contiguous()
        converted[f"gban.{group}.values.audio.weight"] = state[f"ggf.{audio}"].T.contiguous()
        # sigmoid(a) is the first share of softmax(a, 0).
        of_text = state[f"ggf.{gate}"].T
        converted[f"gban.{group}.gate.weight"] = torch.cat([of_text, torch.zeros_like(of_text)])
    for name, ours in (("dense", "classifier.0"), ("output", "classifier.3")):
        converted[f"{ours}.weight"] = state[f"{name}.kernel"].T.contiguous()
        converted[f"{ours}.bias"] = state[f"{name}.bias"]
    return converted


def released_config(state: Mapping[str, Tensor], **known: Any) -> GBANConfig:
    """Return the config of released weights, read from their shapes.

    Args:
        **known: fields that weights do not show, such as `alignment` ("additive" by default).

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    check_names("GBAN", state, _names(state))
    audio, text = _audio(state), _text(state)
    sizes: dict[str, Any] = {
        "audio_dim": size(state, "audio_conv0.kernel", 1),
        "text_dim": size(state, "embedding", 1),
        "vocab_size": size(state, "embedding", 0),
        "frame_filters": [size(state, f"{name}.kernel", 2) for name in audio],
        "frame_kernel": size(state, "audio_conv0.kernel", 0),
        "text_filters": size(state, f"{text[0]}.kernel", 2),
        "text_kernels": [size(state, f"{name}.kernel", 0) for name in text],
        "lstm_size": size(state, "audio_lstm.forward.recurrent_kernel", 0),
        "gate_size": size(state, "ggf.Wv", 1),
        "classifier_hidden_size": size(state, "dense.kernel", 1),
    }
    if not known.keys() & {"num_labels", "id2label"}:
        sizes["num_labels"] = size(state, "output.kernel", 1)
    return GBANConfig.released(**(sizes | known))


def check_processor(processor: Any, config: Any) -> None:
    """Check that the processor has a word for each vector.

    Raises:
        ValueError: it does not; the message says how many are missing.
    """
    wanted, found = config.vocab_size - NUM_SPECIAL, len(processor.vocabulary or ())
    if found != wanted:
        raise ValueError(
            f"the weights have vectors of {wanted} words, and `vocabulary` has {found}: give the words in the order "
            "of their numbers, without padding and the unknown word, as `vocabulary`"
        )


_LSTM = ("kernel", "recurrent_kernel", "bias")


def _audio(state: Mapping[str, Tensor]) -> list[str]:
    return _numbered(state, "audio_conv") or ["audio_conv0"]


def _text(state: Mapping[str, Tensor]) -> list[str]:
    return _numbered(state, "text_conv") or ["text_conv2"]


def _numbered(state: Mapping[str, Tensor], prefix: str) -> list[str]:
    numbers = {int(found[1]) for name in state if (found := re.fullmatch(rf"{prefix}(\d+)\.kernel", name))}
    return [f"{prefix}{number}" for number in sorted(numbers)]


def _names(state: Mapping[str, Tensor]) -> set[str]:
    """Every name that the released network has."""
    layers = [*_audio(state), *_text(state), "dense", "output"]
    names = {f"{layer}.{kind}" for layer in layers for kind in ("kernel", "bias")}
    names |= {
        f"{modality}_lstm.{way}.{kind}" for modality in ("audio", "text") for way in _DIRECTIONS for kind in _LSTM
    }
    names |= {f"ggf.{name}" for group in _GROUPS.values() for name in group}
    return names | {"embedding"} | {f"{name}.scale" for name in _ALIGNMENTS.values()}
