"""Inputs and scores of an exported model, with numpy alone: copy this file beside the model, and import it there.

    import onnxruntime
    from exported import build_inputs, name_scores, settings_of

    session = onnxruntime.InferenceSession("model.onnx")
    settings = settings_of(session)
    inputs = build_inputs(dialogues, settings)
    (logits,) = session.run(None, {given.name: inputs[given.name] for given in session.get_inputs()})
    print(name_scores(logits, settings))

A dialogue is a dict as everywhere in this package: {"utterances": [{"speaker": "A", "text_features": [...]}, ...]}.
It has to hold the features or frames, made as those of the training data; settings["processor"] names what made them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

KEY = "joyful_hf"
"""The name of the settings in the metadata of an ONNX file; in a `.pt2` they are the extra file `joyful_hf.json`."""
MODALITIES = ("text", "audio", "visual")


def settings_of(session: Any) -> dict[str, Any]:
    """Read what an ONNX file says of itself: labels, temperature, task, and how its inputs are made.

    Args:
        session: an `onnxruntime.InferenceSession`.
    """
    return json.loads(session.get_modelmeta().custom_metadata_map[KEY])


def build_inputs(dialogues: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Make the inputs of a model from dialogues that hold features, or from frames where the model reads those.

    Raises:
        ValueError: the model reads texts or waveforms themselves, or a speaker has no id.
    """
    if settings["raw"]:
        raise ValueError(
            f"the model reads {', '.join(settings['raw'])} itself: its inputs need the package's processor"
        )
    utterances = [utterance for dialogue in dialogues for utterance in dialogue["utterances"]]
    if "dialogue_lengths" in settings["inputs"]:
        return _packed_graph(dialogues, utterances, settings["processor"], settings["sizes"])
    return _padded_frames(utterances, settings["sizes"], settings["processor"]["max_video_frames"])


def name_scores(logits: np.ndarray, settings: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return {label: probability} of each utterance, in their order; the values themselves for regression."""
    scores = np.asarray(logits, np.float64)
    if settings["problem_type"] == "multi_label_classification":
        scores = 1 / (1 + np.exp(-scores / settings["temperature"]))
    elif settings["problem_type"] == "single_label_classification":
        scores = np.exp((scores - scores.max(-1, keepdims=True)) / settings["temperature"])
        scores /= scores.sum(-1, keepdims=True)
    return [dict(zip(settings["labels"], map(float, row), strict=True)) for row in scores]


def _packed_graph(
    dialogues: Sequence[Mapping[str, Any]],
    utterances: Sequence[Mapping[str, Any]],
    processor: Mapping[str, Any],
    sizes: Mapping[str, int],
) -> dict[str, np.ndarray]:
    """All utterances one after the other, and the edges between those of a dialogue."""
    lengths = np.array([len(dialogue["utterances"]) for dialogue in dialogues], np.int64)
    present = np.zeros((len(utterances), len(MODALITIES)), bool)
    inputs: dict[str, np.ndarray] = {"dialogue_lengths": lengths, "modality_mask": present}
    for modality, size in sizes.items():
        features = np.zeros((len(utterances), size), np.float32)
        for row, utterance in enumerate(utterances):
            vector = utterance.get(f"{modality}_features")
            if vector is not None:
                features[row], present[row, MODALITIES.index(modality)] = vector, True
        rows = present[:, MODALITIES.index(modality)]
        statistics = (processor["feature_statistics"] or {}).get(modality)
        if statistics is not None:
            mean, std = (np.array(statistics[name], np.float32) for name in ("mean", "std"))
            features[rows] = (features[rows] - mean) / std
        features *= (processor["modality_weights"] or {}).get(modality, 1.0)
        inputs[f"{modality}_features"] = features
    inputs["speaker_ids"] = np.concatenate([_speaker_ids(dialogue, processor) for dialogue in dialogues])
    edges, start = [], 0
    past, future = processor["window_past"], processor["window_future"]
    for length in lengths.tolist():
        for target in range(length):
            first = 0 if past < 0 else max(0, target - past)
            last = length - 1 if future < 0 else min(length - 1, target + future)
            edges += [(start + source, start + target) for source in range(first, last + 1)]
        start += length
    source, target = inputs["edge_index"] = np.array(edges, np.int64).T
    speakers = inputs["speaker_ids"]
    if processor["relation_scheme"] == "speaker_pair":
        pair = speakers[source] * processor["max_speakers"] + speakers[target]
    else:
        pair = (speakers[source] != speakers[target]).astype(np.int64)
    inputs["edge_type"] = 2 * pair + (source >= target)
    return inputs


def _speaker_ids(dialogue: Mapping[str, Any], processor: Mapping[str, Any]) -> np.ndarray:
    """Number the speakers of a dialogue by their first appearance, unless the model knows them by name."""
    fixed = processor["speaker_to_id"]
    own: dict[str, int] = {}
    for utterance in dialogue["utterances"]:
        speaker = utterance["speaker"]
        if fixed is not None and speaker not in fixed:
            raise ValueError(f"unknown speaker {speaker!r}; the model knows {', '.join(fixed)}")
        own.setdefault(speaker, len(own) if fixed is None else fixed[speaker])
    if processor["relation_scheme"] == "speaker_pair" and max(own.values()) >= processor["max_speakers"]:
        raise ValueError(f"a dialogue has more speakers than the model holds: {processor['max_speakers']}")
    return np.array([own[utterance["speaker"]] for utterance in dialogue["utterances"]], np.int64)


def _padded_frames(
    utterances: Sequence[Mapping[str, Any]], sizes: Mapping[str, int], max_video_frames: int
) -> dict[str, np.ndarray]:
    """Each utterance by itself; shorter ones are padded with zeros, and a mask says where the frames are real."""
    inputs: dict[str, np.ndarray] = {}
    for modality, size in sizes.items():
        stream = "video" if modality == "visual" else modality
        given = []
        for utterance in utterances:
            vector, frames = utterance.get(f"{modality}_features"), utterance.get(f"{stream}_frames")
            if frames is None:  # a vector is one frame, and what is absent has none
                frames = np.zeros((0, size)) if vector is None else [vector]
            given.append(np.asarray(frames, np.float32)[: max_video_frames if stream == "video" else None])
        padded = np.zeros((len(given), max(1, *map(len, given)), size), np.float32)
        mask = np.zeros(padded.shape[:2], bool)
        for row, frames in enumerate(given):
            padded[row, : len(frames)], mask[row, : len(frames)] = frames, True
        inputs[f"{stream}_frames"], inputs[f"{stream}_frame_mask"] = padded, mask
    return inputs
