"""The usage example of a model card: code that runs as it is printed, on a dialogue that the processor makes up."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..processing import FEATURE_KEYS, FRAME_KEYS
from ..runs.recipe import RunFolder

_COMMENTS = {
    **dict.fromkeys(FEATURE_KEYS.values(), "one vector per utterance"),
    **dict.fromkeys(FRAME_KEYS.values(), "frames × size"),
    "audio": 'or a path: "clip.wav"',
    "video": 'or a path: "clip.mp4"',
}


def usage_example(run: RunFolder, checkpoint: str) -> str:
    """Write Python that loads the checkpoint and finds the emotions of a made-up dialogue.

    Args:
        checkpoint: folder or Hub id that the code loads.
    """
    model, processor = run.family.model_class.__name__, run.family.processor_class.__name__
    utterances = run.processor.example_dialogue()["utterances"]
    inputs = {key: value for key, value in utterances[0].items() if key not in ("speaker", "text")}
    reads_text = any("text" in given.keys for given in run.processor.describe_inputs(run.config))
    fields = [_field(key, value) for key, value in inputs.items()]
    lines = [
        *(["import numpy as np"] if inputs else []),
        *_imports([run.family.model_class, run.family.processor_class]),
        "",
        f"checkpoint = {_literal(checkpoint)}",
        f"model = {model}.from_pretrained(checkpoint)",
        f"processor = {processor}.from_pretrained(checkpoint)",
        "",
        *(["random = np.random.default_rng(0)  # stands in for your data"] if inputs else []),
        "dialogue = {",
        '    "utterances": [',
        "        {",
        '            "speaker": speaker,',
        '            "text": text,' + ("" if reads_text else "  # not read, but handed on"),
        *(f"            {field}" for field in fields),
        "        }",
        f"        for speaker, text in {_speakers_and_texts(utterances)}",
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
    """Write Python that loads the checkpoint with the code in its folder."""
    return "\n".join(
        [
            "from transformers import AutoModel, AutoProcessor",
            "",
            f"checkpoint = {_literal(checkpoint)}",
            "model = AutoModel.from_pretrained(checkpoint, trust_remote_code=True)",
            "processor = AutoProcessor.from_pretrained(checkpoint, trust_remote_code=True)",
        ]
    )


def _speakers_and_texts(utterances: list[Mapping[str, Any]]) -> str:
    pairs = [f"({_literal(utterance['speaker'])}, {_literal(utterance['text'])})" for utterance in utterances]
    return f"[{', '.join(pairs)}]"


def _literal(text: str) -> str:
    """Write a string of Python, in double quotes where it can be."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else repr(text)


def _field(key: str, value: Any) -> str:
    """Write a line of a Python dict whose value is like this one, with a comment that says what it is."""
    comment = f"  # {_COMMENTS[key]}" if key in _COMMENTS else ""
    return f'"{key}": {_code(value)},{comment}'


def _code(value: Any) -> str:
    """Write an expression whose value is like this one: random numbers of the same shape."""
    if isinstance(value, np.ndarray):
        shape = str(value.shape[0] if value.ndim == 1 else value.shape)
        if value.dtype == np.uint8:
            return f"random.integers(256, size={shape}, dtype=np.uint8)"
        return f"random.normal(size={shape})"
    if isinstance(value, Mapping) and "sampling_rate" in value:
        sound = f"random.normal(scale=0.1, size={len(value['array'])})"  # samples are between -1 and 1
        return f'{{"array": {sound}, "sampling_rate": {value["sampling_rate"]}}}'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(key)}: {_code(part)}" for key, part in value.items()) + "}"
    return repr(value)
