"""Convert weights of the authors' released JOYFUL code."""

import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor

from ..io.messages import listed
from ..io.torch_checkpoint import CheckpointError, ReleasedCheckpoint, read_released_checkpoint
from ..modeling import JoyfulConfig, JoyfulForEmotionRecognition
from ..processing import JoyfulProcessor
from .convert import (
    NUMBERS_UNKNOWN,
    check_output,
    files_of,
    with_weight_and_bias,
    write_checkpoint,
)

logger = logging.getLogger(__name__)

# Released layer -> ours, each with a weight and a bias.
_FUSION_LAYERS = {
    "projectA": "projections.audio",
    "projectT": "projections.text",
    "projectV": "projections.visual",
    "fuse_inGlobal.0": "global_encoder.0",
    "fuse_inGlobal.2": "global_encoder.2",
    "fuse_outGlobal.0": "global_decoder.0",
    "fuse_outGlobal.2": "global_decoder.2",
    "fuse_inInter.0": "inter_encoder.0",
    "fuse_inInter.2": "inter_encoder.2",
    "fuse_outInter.0": "inter_decoder.0",
    "fuse_outInter.2": "inter_decoder.2",
}
_BASIS = ("projectB.0.weight", "projectB.0.bias")
_MODEL_LAYERS = {
    "rnn.transformer_out": "joyful.graph_projection",
    "gcl.transform_conv.lin_query": "joyful.graph_encoder.attention.query",
    "gcl.transform_conv.lin_key": "joyful.graph_encoder.attention.key",
    "gcl.transform_conv.lin_value": "joyful.graph_encoder.attention.value",
    "gcl.transform_conv.lin_skip": "joyful.graph_encoder.attention.skip",
    "gcl.conv1": "joyful.graph_encoder.convolutions.0",
    "gcl.bn": "joyful.graph_encoder.batch_norm",
    "clf.lin1": "classifier.graph_path.0",
    "clf.lin2": "classifier.graph_path.3",
}
_MODEL_PARAMETERS = {
    "gcl.conv1.root": "joyful.graph_encoder.convolutions.0.root",
    "gcl.bn.running_mean": "joyful.graph_encoder.batch_norm.running_mean",
    "gcl.bn.running_var": "joyful.graph_encoder.batch_norm.running_var",
    "gcl.bn.num_batches_tracked": "joyful.graph_encoder.batch_norm.num_batches_tracked",
}
_CONTEXT_LAYERS = {
    "self_attn.out_proj": "attention_output",
    "linear1": "intermediate",
    "linear2": "output",
    "norm1": "attention_norm",
    "norm2": "output_norm",
}
# Registered by the released code and never used by its forward pass; the class weights belong to its loss.
UNUSED = ("rnn.encoding_layer.", "rnn.LayerNorm.", "clf.emotion_att.", "clf.lin_7.", "clf.linear.", "clf.nll_loss.")
OTHER_FORMS = {"gcn.conv1.weight": "cogmen"}
"""A parameter that is not JOYFUL's -> the module that converts the network which has it."""
# Options of the released training script that make a network which is not converted.
_OTHER_NETWORKS = {"clf.highway.": "--use_highway", "rnn.rnn.": "--rnn lstm or gru"}

# What the released code calls the classes of its data sets, in its order, and its speakers where they have names.
_LABELS = {
    "iemocap": ["hap", "sad", "neu", "ang", "exc", "fru"],
    "iemocap_4": ["hap", "sad", "neu", "ang"],
    "meld": ["Neutral", "Surprise", "Fear", "Sadness", "Joy", "Disgust", "Angry"],
    "mosei": ["Negative", "Positive"],
}
_MULTI_LABELS = ["happiness", "sadness", "anger", "surprise", "disgust", "fear"]
_SPEAKERS = {"iemocap": {"M": 0, "F": 1}, "iemocap_4": {"M": 0, "F": 1}}


def convert_released_state_dict(
    fusion_state: Mapping[str, Tensor], model_state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Convert released weights to the state dict of `JoyfulForEmotionRecognition(released_config_of(...))`.

    Parameters that the released forward pass never uses are left out.

    Args:
        fusion_state: state dict of the released fusion network, `AutoFusion`.
        model_state: state dict of the rest, `JOYFUL`.

    Raises:
        ValueError: a parameter is missing, unknown, or has a shape that does not fit the others; the message
            names it.
    """
    config = released_config_of(fusion_state, model_state)
    renamed = _fusion_names() | model_names(config.num_hidden_layers)
    states = {**fusion_state, **model_state}
    converted = {ours: states[released] for released, ours in renamed.items()}
    _check_shapes(config, renamed, converted)
    # The released basis is a linear layer over an input of ones.
    weight, bias = (fusion_state[name] for name in _BASIS)
    size = config.projection_size
    if weight.shape != (size, size) or bias.shape != (size,):
        raise ValueError(f"{_BASIS[0]} has shape {tuple(weight.shape)}, the other parameters make it {(size, size)}")
    converted["joyful.fusion.basis"] = (weight.double().sum(-1) + bias.double()).to(weight.dtype)
    return converted


def released_config_of(
    fusion_state: Mapping[str, Tensor],
    model_state: Mapping[str, Tensor],
    num_attention_heads: int | None = None,
    **overrides: Any,
) -> JoyfulConfig:
    """Return the config of released weights, read from their shapes: a released checkpoint has none.

    Args:
        num_attention_heads: heads of the context encoder, which no shape shows. By default the released code's
            choice: the first number from 7 to 14 that divides the width, or 1.
        **overrides: fields of `JoyfulConfig` that are not sizes of the network.

    Raises:
        ValueError: a parameter is missing, unknown or of the wrong rank; the message names it.
    """
    num_layers = num_layers_of(model_state)
    _check_names("the fusion network", fusion_state, [*_fusion_names(), *_BASIS])
    _check_names("the model", model_state, model_names(max(num_layers, 1)))
    width = 2 * _size(fusion_state, "fuse_inGlobal.2.weight", 0)
    hidden = _size(model_state, "rnn.transformer_out.weight", 0)
    sizes = {
        "audio_dim": _size(fusion_state, "projectA.weight", 1),
        "text_dim": _size(fusion_state, "projectT.weight", 1),
        "visual_dim": _size(fusion_state, "projectV.weight", 1),
        "projection_size": _size(fusion_state, "projectA.weight", 0),
        "autoencoder_size": _size(fusion_state, "fuse_inGlobal.0.weight", 0),
        "bottleneck_size": width // 2,
        "num_hidden_layers": num_layers,
        "num_attention_heads": num_attention_heads or _released_heads(width),
        "intermediate_size": _size(model_state, "rnn.transformer_encoder.layers.0.linear1.weight", 0),
        "graph_hidden_size": hidden,
        "graph_num_heads": max(_size(model_state, "gcl.bn.weight", 0) // hidden, 1),
        "classifier_hidden_size": _size(model_state, "clf.lin1.weight", 0),
        "max_speakers": speakers_of(_size(model_state, "gcl.conv1.weight", 0)),
        "relation_scheme": "speaker_pair",
    }
    if width % sizes["num_attention_heads"]:
        raise ValueError(f"{sizes['num_attention_heads']} attention heads do not divide a width of {width}")
    if not overrides.keys() & {"num_labels", "id2label"}:
        overrides["num_labels"] = _size(model_state, "clf.lin2.weight", 0)
    return JoyfulConfig.released(**overrides, **sizes)


def released_processor_of(
    config: JoyfulConfig,
    released_window_past: int = 8,
    released_window_future: int = 8,
    speaker_to_id: dict[str, int] | None = None,
) -> JoyfulProcessor:
    """Return the processor that makes the released code's graphs for a converted model.

    The released code draws its edges *from* an utterance *to* its window, and a node receives along them: its past
    window reaches into what we call the future. Hence the two are swapped.

    Args:
        released_window_past, released_window_future: `--wp` and `--wf` of the released training script.
        speaker_to_id: the number of each speaker; by default the first to speak is number 0.
    """
    id2label: Any = config.id2label  # index -> name, whatever transformers' annotation says
    return JoyfulProcessor(
        text_dim=config.text_dim,
        audio_dim=config.audio_dim,
        visual_dim=config.visual_dim,
        window_past=released_window_future,
        window_future=released_window_past,
        relation_scheme=config.relation_scheme,
        max_speakers=config.max_speakers,
        speaker_to_id=speaker_to_id,
        label2id={label: index for index, label in id2label.items()},
        problem_type=config.problem_type,
    )


def convert_released_checkpoint(
    source: str | Path,
    output: str | Path,
    *,
    window_past: int | None = None,
    window_future: int | None = None,
    labels: Iterable[str] | None = None,
    speaker_to_id: dict[str, int] | None = None,
    overwrite: bool = False,
) -> None:
    """Read what the authors' code saved, and write a checkpoint of this package: model and processor.

    Nothing in the released file is imported or called. What the file records of its training (windows, data set,
    dropout) is used, unless an argument below is given.

    Args:
        source: the released file, or a folder with the fusion network in one file and the rest in another.
        output: a folder that does not exist yet, or an empty one. It appears whole or not at all.
        overwrite: replace the files of a checkpoint in `output`; other files stay.
        window_past, window_future: `--wp` and `--wf` of the released training script.
        labels: names of the classes, in their order.
        speaker_to_id: the number of each speaker.

    Raises:
        ValueError: `output` is not empty, there is no such file, it is not a checkpoint, it holds something that no
            released checkpoint needs (`UnsafeCheckpointError`), or a part of it is missing or does not fit.
    """
    source, output = Path(source), Path(output)
    check_output(output, overwrite)
    fusion_state, model_state, arguments = _read_parts(source)
    if speaker_to_id is None:
        speaker_to_id = _SPEAKERS.get(arguments.get("dataset", ""))
    try:
        config = released_config_of(fusion_state, model_state, **_settings(arguments, model_state, labels))
        model = JoyfulForEmotionRecognition(config)
        model.load_state_dict(convert_released_state_dict(fusion_state, model_state))
        processor = released_processor_of(
            config,
            arguments.get("wp", 8) if window_past is None else window_past,
            arguments.get("wf", 8) if window_future is None else window_future,
            speaker_to_id,
        )
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise CheckpointError(f"{source}: {error}") from None
    if speaker_to_id is None and config.max_speakers > 1:
        logger.warning(NUMBERS_UNKNOWN, source)
    write_checkpoint(model, processor, output)


def num_layers_of(state: Mapping[str, Tensor]) -> int:
    """Number of layers of the context transformer."""
    return len({name.split(".")[3] for name in state if name.startswith("rnn.transformer_encoder.layers.")})


def _fusion_names() -> dict[str, str]:
    return with_weight_and_bias({old: f"joyful.fusion.{new}" for old, new in _FUSION_LAYERS.items()})


def model_names(num_layers: int) -> dict[str, str]:
    """Map each released name of the network behind the fusion to ours."""
    names = with_weight_and_bias(_MODEL_LAYERS) | _MODEL_PARAMETERS
    for index in range(num_layers):
        released, ours = f"rnn.transformer_encoder.layers.{index}", f"joyful.context_encoder.layers.{index}"
        layers = {f"{released}.{old}": f"{ours}.{new}" for old, new in _CONTEXT_LAYERS.items()}
        names |= with_weight_and_bias(layers)
        for kind in ("weight", "bias"):
            names[f"{released}.self_attn.in_proj_{kind}"] = f"{ours}.query_key_value.{kind}"
    return names


def _check_names(part: str, state: Mapping[str, Tensor], expected: Iterable[str]) -> None:
    expected = set(expected)
    unknown = sorted(name for name in state if name not in expected and not name.startswith(UNUSED))
    for prefix, option in _OTHER_NETWORKS.items():
        if any(name.startswith(prefix) for name in unknown):
            raise ValueError(f"{part} was trained with {option}, whose network has no counterpart here")
    if unknown:
        raise ValueError(f"{part} has parameters that released JOYFUL does not have: {listed(unknown)}")
    missing = sorted(expected - state.keys())
    if missing:
        raise ValueError(f"{part} lacks parameters of released JOYFUL: {listed(missing)}")


def _size(state: Mapping[str, Tensor], name: str, dim: int) -> int:
    shape = state[name].shape
    if len(shape) <= dim or not shape[dim]:
        raise ValueError(f"{name} has shape {tuple(shape)}, which released JOYFUL does not have")
    return shape[dim]


def _released_heads(width: int) -> int:
    return next((heads for heads in range(7, 15) if width % heads == 0), 1)


def speakers_of(num_relations: int) -> int:
    """Return the number of speakers that make so many relations.

    Raises:
        ValueError: no number does.
    """
    speakers = math.isqrt(num_relations // 2)
    if 2 * speakers**2 != num_relations:
        raise ValueError(f"gcl.conv1.weight has {num_relations} relations, which is not 2 * speakers**2")
    return speakers


def _check_shapes(config: JoyfulConfig, renamed: Mapping[str, str], converted: Mapping[str, Tensor]) -> None:
    with torch.device("meta"):
        expected = JoyfulForEmotionRecognition(config).state_dict()
    for released, ours in renamed.items():
        if converted[ours].shape != expected[ours].shape:
            raise ValueError(
                f"{released} has shape {tuple(converted[ours].shape)}, "
                f"the other parameters make it {tuple(expected[ours].shape)}"
            )


def _read_parts(source: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """Return the fusion network's and the model's state, and the training script's arguments."""
    checkpoints = [read_released_checkpoint(file) for file in files_of(source)]
    arguments = {name: value for checkpoint in checkpoints for name, value in checkpoint.arguments.items()}
    fusion_state = _only_part(source, checkpoints, "fuse_in", "fusion network (AutoFusion)")
    model_state = _only_part(source, checkpoints, "gcl.", "model (JOYFUL)")
    return fusion_state, model_state, arguments


def _only_part(source: Path, checkpoints: list[ReleasedCheckpoint], prefix: str, part: str) -> dict[str, Tensor]:
    """Return the one state that has parameters of this prefix, whatever the file calls it."""
    states = [state for checkpoint in checkpoints for state in checkpoint.states]
    found = [state for state in states if any(name.startswith(prefix) for name in state)]
    if not found:
        raise CheckpointError(f"{source}: the {part} is missing; the file that holds it belongs in the same folder")
    if len(found) > 1:
        raise CheckpointError(f"{source}: there are {len(found)} of the {part}; give one checkpoint")
    return found[0]


def _settings(
    arguments: Mapping[str, Any], model_state: Mapping[str, Tensor], labels: Iterable[str] | None
) -> dict[str, Any]:
    """Return the fields of the config that follow from the training script's arguments."""
    settings: dict[str, Any] = {}
    if "drop_rate" in arguments:
        settings["hidden_dropout_prob"] = arguments["drop_rate"]
    if "cl_loss_weight" in arguments:
        settings["contrastive_loss_weight"] = arguments["cl_loss_weight"]
    emotion, recorded = arguments.get("emotion"), _LABELS.get(arguments.get("dataset", ""))
    if emotion == "7class":  # the network's last layer would be lin_7 instead of lin2
        raise ValueError("it was trained with --emotion 7class, whose network has no counterpart here")
    if emotion == "multilabel":
        settings["problem_type"] = "multi_label_classification"
        recorded = _MULTI_LABELS
    num_labels = len(model_state.get("clf.lin2.bias", ()))
    names = [] if labels is None else list(labels)
    if labels is not None and len(names) != num_labels:
        raise ValueError(f"{len(names)} labels were given ({', '.join(names)}), the model has {num_labels} classes")
    if labels is None and recorded and len(recorded) == num_labels:
        names = recorded
    if names:
        settings["id2label"] = dict(enumerate(names))
        settings["label2id"] = {name: index for index, name in enumerate(names)}
    return settings
