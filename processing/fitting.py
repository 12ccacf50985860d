"""Fit a `JoyfulProcessor` to its training dialogues: sizes, labels, statistics, and weights of modalities.

Everything here starts from vectors that were read before (`read_dialogues`), and parses none of them again.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .dialogues import EXTRACTOR_KEYS, DialogueError, NamedUtterances, get_features, utterance_name
from .labels import IGNORED_LABEL, REGRESSION, get_label, label_values, majority_index
from .modality_weights import measure_modality_weights
from .packing_dialogues import encode_features
from .standardization import RunningStatistics
from .summary import DialogueSummary
from .usual_inputs import USUAL, distances


def infer_parameters(summary: DialogueSummary, given: Mapping[str, Any]) -> dict[str, Any]:
    """Infer the parameters of a processor for the training dialogues; parameters that are given stay as they are.

    Raises:
        DialogueError: the dialogues have nothing that such a processor reads.
    """
    reads_text = given.get("tokenizer") is not None
    if reads_text and given.get("text_extractor") is not None:
        raise DialogueError(
            f"text_extractor is {given['text_extractor']!r}, and with a tokenizer the model reads text itself; "
            "leave one of the two out"
        )
    if reads_text and not summary.num_texts:
        raise DialogueError("no utterance has 'text', which a processor with a tokenizer reads")
    hears = given.get("audio_dim", 0) is None
    if not (reads_text or hears) and not any(summary.feature_sizes.values()):
        raise DialogueError(
            "no utterance has text_features, audio_features or visual_features; "
            f"raw media are read with {', '.join(EXTRACTOR_KEYS.values())}"
        )
    inferred: dict[str, Any] = {f"{modality}_dim": size for modality, size in summary.feature_sizes.items()}
    if reads_text:
        inferred["text_dim"] = 0
    inferred |= {
        "relation_scheme": "same_or_other",
        "max_speakers": max(2, summary.max_speakers),
        "label2id": summary.label2id,
        "problem_type": summary.problem_type,
    }
    return inferred | dict(given)


def learn_statistics(named: Sequence[NamedUtterances], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Learn mean and standard deviation of the features of each modality.

    Args:
        sizes: modality -> size of its vectors.
    """
    statistics = {modality: RunningStatistics(size) for modality, size in sizes.items()}
    for modality, vector in _vectors(named, sizes):
        statistics[modality].add(vector)
    return {modality: of_modality.result() for modality, of_modality in statistics.items()}


def _vectors(named: Sequence[NamedUtterances], sizes: Mapping[str, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the vectors of all utterances, each after its modality."""
    for name, utterances in named:
        for index, utterance in enumerate(utterances):
            place = utterance_name(name, index)
            for modality, size in sizes.items():
                vector = get_features(utterance, modality, size, place)
                if vector is not None:
                    yield modality, vector


def learn_usual_inputs(
    named: Sequence[NamedUtterances], dims: Mapping[str, int | None], statistics: Mapping[str, Any] | None
) -> dict[str, dict[str, float]]:
    """Learn how many utterances have each modality, and how far their vectors usually lie from the mean.

    Args:
        dims: modality -> size of its vectors; None for text that is read as tokens, and for waveforms.
        statistics: as from `learn_statistics`; without them, distances mean nothing.
    """
    scales = {}
    for modality, of_modality in (statistics or {}).items():
        if of_modality["mean"]:
            scales[modality] = np.asarray(of_modality["mean"]), np.asarray(of_modality["std"])
    counts = dict.fromkeys(dims, 0)
    found = {modality: array("d") for modality in scales}
    for modality, vector in _vectors(named, {name: size for name, size in dims.items() if size is not None}):
        counts[modality] += 1
        if modality in scales:
            mean, std = scales[modality]
            found[modality].append(float(distances((vector - mean) / std)))
    if None in dims.values():
        texts = sum(bool(utterance.get("text")) for _, utterances in named for utterance in utterances)
        counts |= {modality: texts for modality, size in dims.items() if size is None}
    total = sum(len(utterances) for _, utterances in named)
    learnt = {modality: {"share": count / total} for modality, count in counts.items()}
    for modality, values in found.items():
        if values:
            learnt[modality]["distance"] = float(np.quantile(np.asarray(values), USUAL))
    return learnt


def learn_weights(
    named: Sequence[NamedUtterances],
    sizes: Mapping[str, int],
    statistics: Mapping[str, Any],
    problem_type: str | None = None,
    label2id: Mapping[str, int] | None = None,
) -> dict[str, float]:
    """Learn how much each modality is to weigh, from features standardised with these statistics.

    Args:
        sizes: modality -> size of its vectors.
        problem_type, label2id: of the processor; they tell values from classes.
    """

    def standardised(name: str, utterances: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {
            modality: encode_features(utterances, modality, size, name, statistics[modality])
            for modality, size in sizes.items()
        }

    def label_of(utterance: Any, place: str) -> Any:
        label = get_label(utterance)
        if label is not None and problem_type != REGRESSION and isinstance(label, Mapping):
            majority = majority_index(label, label2id, place)
            return None if majority == IGNORED_LABEL else majority
        if label is None or problem_type != REGRESSION:
            return label
        values = label_values(label, label2id, place)
        return None if np.isnan(values).any() else values

    known: dict[Any, Any] = {}
    """One object per class, whatever the number of utterances."""

    def kept(label: Any) -> Any:
        return known.setdefault(label, label) if isinstance(label, str) else label

    labels = [
        [kept(label_of(utterance, utterance_name(name, index))) for index, utterance in enumerate(utterances)]
        for name, utterances in named
    ]
    return measure_modality_weights((standardised(*dialogue) for dialogue in named), labels)
