"""The usage example of a model card: code that runs as it is printed, on made-up data of the model's sizes."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..processing import (
    EXTRACTOR_KEYS,
    FEATURE_KEYS,
    FRAME_KEYS,
    FoalNetProcessor,
)
from ..runs.recipe import RunFolder

_MADE_UP_SECONDS = 1
_MADE_UP_FRAMES = 8
_LINES = (("I never said that.", "Ross"), ("Yes, you did!", "Rachel"))


def usage_example(run: RunFolder, checkpoint: str) -> str:
    """Python that loads the checkpoint and finds the emotions of a made-up dialogue.

    Args:
        checkpoint: folder or Hub id that the code loads.
    """
    model, processor = run.family.model_class.__name__, run.family.processor_class.__name__
    fields = _fields(run)
    uses_numpy = any("np." in field or "random." in field for field in fields)
    lines = [
        *(["import numpy as np"] if uses_numpy else []),
        *_imports([run.family.model_class, run.family.processor_class]),
        "",
        f"checkpoint = {_literal(checkpoint)}",
        f"model = {model}.from_pretrained(checkpoint)",
        f"processor = {processor}.from_pretrained(checkpoint)",
        "",
        *(["random = np.random.default_rng(0)  # stands in for your data"] if uses_numpy else []),
        "dialogue = {",
        '    "utterances": [',
        "        {",
        *(f"            {field}" for field in ('"speaker": speaker,', _text(run.parameters), *fields)),
        "        }",
        f"        for speaker, text in {_speakers_and_texts(run)}",
        "    ]",
        "}",
        'for utterance in model.predict(dialogue, processor)[0]["utterances"]:',
        '    print(utterance["speaker"], utterance["label"], utterance["scores"])',
    ]
    return "\n".join(lines)


def _imports(classes: Iterable[type]) -> list[str]:
    """The lines that import these classes: from joyful_hf, or from the module of a family that was registered."""
    names: dict[str, list[str]] = {}
    for imported in classes:
        module = imported.__module__
        names.setdefault("joyful_hf" if module.startswith("joyful_hf.") else module, []).append(imported.__name__)
    return [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]


def remote_code_example(checkpoint: str) -> str:
    """Python that loads the same with the code that the folder brings."""
    return "\n".join(
        [
            "from transformers import AutoModel, AutoProcessor",
            "",
            f"checkpoint = {_literal(checkpoint)}",
            "model = AutoModel.from_pretrained(checkpoint, trust_remote_code=True)",
            "processor = AutoProcessor.from_pretrained(checkpoint, trust_remote_code=True)",
        ]
    )


def _speakers_and_texts(run: RunFolder) -> str:
    speakers = list(run.parameters.get("speaker_to_id") or {}) or [speaker for _, speaker in _LINES]
    if run.parameters.get("relation_scheme") == "speaker_pair":
        speakers = speakers[: run.parameters["max_speakers"]]
    pairs = [(speakers[index % len(speakers)], text) for index, (text, _) in enumerate(_LINES)]
    return f"[{', '.join(f'({_literal(speaker)}, {_literal(text)})' for speaker, text in pairs)}]"


def _literal(text: str) -> str:
    """A string of Python, in double quotes where it can be."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else repr(text)


def _text(parameters: Mapping[str, Any]) -> str:
    is_read = parameters.get("text_extractor") is not None or parameters.get("text_max_length") is not None
    return '"text": text,' + ("" if is_read else "  # not read, but handed on")


def _fields(run: RunFolder) -> list[str]:
    """What an utterance holds beside its speaker and its text, as lines of a Python dict."""
    if run.family.processor_class is FoalNetProcessor:
        return _fields_of_frames(run.parameters)
    return _fields_of_vectors(run.parameters)


def _fields_of_frames(parameters: Mapping[str, Any]) -> list[str]:
    streams = {"audio": "audio_dim", "visual": "video_dim", "text": "text_dim"}
    sizes = {modality: parameters[name] for modality, name in streams.items()}
    fields = [_waveform(parameters["sampling_rate"])] if sizes["audio"] is None else []
    return fields + [
        f'"{FRAME_KEYS[modality]}": random.normal(size=({_MADE_UP_FRAMES}, {size})),  # frames × size'
        for modality, size in sizes.items()
        if size
    ]


def _fields_of_vectors(parameters: Mapping[str, Any]) -> list[str]:
    fields = []
    for modality, key in FEATURE_KEYS.items():
        extractor = parameters[EXTRACTOR_KEYS[modality]]
        if not parameters[f"{modality}_dim"]:
            continue
        # OpenFace's is a CSV file, which cannot be made up in a line.
        if extractor is None or extractor == "openface":
            fields.append(f'"{key}": random.normal(size={parameters[f"{modality}_dim"]}),  # one vector an utterance')
        elif modality == "audio":
            fields.append(_waveform(16000))
        elif modality == "visual":
            pictures = f"random.integers(256, size=({_MADE_UP_FRAMES}, 64, 64, 3), dtype=np.uint8)"
            fields.append(f'"video": {pictures},  # or a path: "clip.mp4"')
    return fields


def _waveform(rate: int) -> str:
    sound = f'{{"array": random.normal(size={_MADE_UP_SECONDS * rate}), "sampling_rate": {rate}}}'
    return f'"audio": {sound},  # or a path: "clip.wav"'
