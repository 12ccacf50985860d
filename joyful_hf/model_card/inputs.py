"""What a model reads, in the words of its card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..processing import (
    EXTRACTOR_KEYS,
    FEATURE_KEYS,
    FRAME_KEYS,
    JoyfulProcessor,
)
from ..processing.dialogues import MEDIA_KEYS
from ..runs.recipe import RunFolder
from .markdown import plain, table

MODALITY_NAMES = {"text": "text", "audio": "audio", "visual": "video"}

_BY_HAND = "you bring it"


def describe_inputs(run: RunFolder) -> dict[str, Any]:
    """What the template says of the input: a table of modalities, the sentences below it, what to install for it."""
    rows = {modality: _form(run, modality, size) for modality, size in run.config.modality_dims.items()}
    return {
        "inputs": table(
            ["Modality", "Read from", "Size", "Made by"],
            [[MODALITY_NAMES[modality], *row] for modality, row in rows.items()],
            numbers=False,
        ),
        "own_features": [MODALITY_NAMES[modality] for modality, row in rows.items() if row[-1] == _BY_HAND],
        "context": _context(run),
        "extras": _extras(run.parameters),
    }


def _extras(parameters: Mapping[str, Any]) -> str:
    audio, video = parameters.get("audio_extractor"), parameters.get("video_extractor")
    media = (audio or video) is not None or ("sampling_rate" in parameters and parameters["audio_dim"] is None)
    extras = [*(["media"] if media else []), *(["opensmile"] if str(audio).startswith("opensmile:") else [])]
    return f"[{','.join(extras)}]" if extras else ""


def _form(run: RunFolder, modality: str, size: int) -> list[str]:
    """Where the modality is read from, its size, and who makes it so."""
    parameters = run.parameters
    medium = MEDIA_KEYS[modality]
    if run.family.processor_class is not JoyfulProcessor:
        if modality == "audio" and parameters["audio_dim"] is None:
            length = f"at most {parameters['max_audio_seconds']:g} s at {parameters['sampling_rate']} Hz"
            return [f"`{medium}`", length, _encoder_name(run.config.audio_config)]
        return [f"`{FRAME_KEYS[modality]}`", f"frames × {size}", _BY_HAND]
    if modality == "text" and parameters.get("text_max_length") is not None:
        trained = "trained with the rest" if run.config.unfreeze_text_encoder else "left as it was"
        length = f"at most {parameters['text_max_length']} tokens"
        return [f"`{medium}`", length, f"{_encoder_name(run.config.text_config)}, {trained}"]
    extractor = parameters[EXTRACTOR_KEYS[modality]]
    features = f"`{FEATURE_KEYS[modality]}`"
    if extractor is None:
        return [features, str(size), _BY_HAND]
    return [f"`{medium}` or {features}", str(size), _extractor_name(extractor)]


def _encoder_name(config: Any) -> str:
    return f"{plain(config.model_type)}, an encoder inside the model"


def _extractor_name(extractor: str) -> str:
    """The name or Hub id; of a folder on somebody's machine its last part."""
    if Path(extractor).is_absolute():
        return f"{plain(Path(extractor).name)}, an encoder in a folder"
    return plain(extractor)


def _context(run: RunFolder) -> str:
    parameters = run.parameters
    if run.family.processor_class is not JoyfulProcessor:
        return f"Videos are read up to {parameters['max_video_frames']} frames." if run.config.video_dim else ""
    scheme = {
        "same_or_other": "whether two utterances have the same speaker, of any number of speakers",
        "speaker_pair": f"which of up to {parameters['max_speakers']} speakers speaks to which",
    }[parameters["relation_scheme"]]
    past, future = (_window(parameters[name]) for name in ("window_past", "window_future"))
    sentences = []
    if run.config.graph_num_layers:
        sentences.append(
            f"In the graph an utterance sees itself, {past} before it and {future} after it; "
            f"the relations tell {scheme} (`{parameters['relation_scheme']}`), and which was first."
        )
    if parameters.get("feature_statistics"):
        sentences.append("The processor standardises features by the mean and deviation of the training set.")
    weights = parameters.get("modality_weights")
    if weights:
        names = {modality: name for modality, name in MODALITY_NAMES.items() if modality in weights}
        listed = ", ".join(f"{name} {weights[modality]:.2f}" for modality, name in names.items())
        sentences.append(f"It weighs them by what they told of the training labels: {listed}.")
    return " ".join(sentences)


def _window(size: int) -> str:
    return "all utterances" if size < 0 else f"{size} utterance{'' if size == 1 else 's'}"
