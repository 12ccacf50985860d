"""Dialogues as arrays, and how these are joined into one packed graph batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from .dialogues import (
    FEATURE_KEYS,
    MODALITIES,
    TOKEN_KEYS,
    WAVEFORM_KEYS,
    DialogueError,
    Utterance,
    get_features,
    utterance_name,
)
from .frames import pad_sequences
from .graph import relation_ids, window_edges
from .processor_base import EncodedExample
from .tokens import Tokens
from .votes import join_targets


@dataclass
class EncodedDialogue(EncodedExample):
    """One dialogue as arrays, ready to be packed with others. n is its number of utterances."""

    features: dict[str, np.ndarray]
    """Modality -> (n, dim) float32, standardised, zeros where absent."""
    modality_mask: np.ndarray
    """(n, 3) bool: whether text, audio and visual are present."""
    speaker_ids: np.ndarray
    """(n,) int64."""
    labels: np.ndarray | None
    """As `labels` of the batch, or None where no label was asked for."""
    label_shares: np.ndarray | None = None
    """As in the base class."""
    tokens: Tokens | None = None
    """The tokens of each utterance's text, if the processor has a tokenizer."""
    waveforms: list[np.ndarray | None] | None = None
    """The waveform of each utterance, if the processor reads waveforms."""

    def __len__(self) -> int:
        return len(self.speaker_ids)

    @property
    def present(self) -> np.ndarray:
        """As in the base class."""
        return self.modality_mask

    def keep_modalities(self, kept: np.ndarray) -> Self:
        """As in the base class; features are zeros where they are hidden, for a model that does not read the mask."""
        columns = {modality: kept[:, index, None] for index, modality in enumerate(MODALITIES)}
        features = {modality: np.where(columns[modality], rows, 0) for modality, rows in self.features.items()}
        return replace(self, features=features, modality_mask=self.modality_mask & kept)

    def with_encoded(self, encoded: Mapping[str, np.ndarray]) -> Self:
        """As in the base class."""
        return replace(
            self,
            features=self.features | dict(encoded),
            tokens=None if "text" in encoded else self.tokens,
            waveforms=None if "audio" in encoded else self.waveforms,
        )


def encode_features(
    utterances: Sequence[Utterance],
    modality: str,
    size: int,
    name: str,
    statistics: Mapping[str, Sequence[float]] | None = None,
    weight: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Gather one modality of a dialogue.

    Args:
        name: how messages call the dialogue.
        statistics: `mean` and `std` that the features are standardised with; None leaves them as they are.
        weight: factor of the standardised features.

    Returns:
        Features (n, size) float32, zero where absent, and where they are present, (n,) bool.
    """
    features = np.zeros((len(utterances), size), np.float32)
    present = np.zeros(len(utterances), bool)
    for index, utterance in enumerate(utterances):
        vector = get_features(utterance, modality, size, utterance_name(name, index))
        if vector is not None:
            features[index], present[index] = vector, True
    if statistics is not None:
        mean = np.asarray(statistics["mean"], np.float32)
        std = np.asarray(statistics["std"], np.float32)
        features[present] = (features[present] - mean) / std
    features *= weight
    return features, present


def encode_modalities(
    utterances: Sequence[Utterance],
    sizes: Mapping[str, int],
    name: str,
    statistics: Mapping[str, Mapping[str, Sequence[float]]] | None,
    weights: Mapping[str, float] | None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Gather the modalities that are read as vectors: modality -> features, and where which is present (n, 3) bool."""
    features: dict[str, np.ndarray] = {}
    mask = np.zeros((len(utterances), len(MODALITIES)), bool)
    for modality, size in sizes.items():
        learnt, weight = (statistics or {}).get(modality), (weights or {}).get(modality, 1.0)
        features[modality], present = encode_features(utterances, modality, size, name, learnt, weight)
        mask[:, MODALITIES.index(modality)] = present
    return features, mask


def encode_speakers(
    utterances: Sequence[Utterance],
    name: str,
    speakers: dict[str, int],
    speaker_to_id: Mapping[str, int] | None,
    most: int | None,
) -> np.ndarray:
    """Number the speakers of a dialogue's utterances, (n,) int64.

    Args:
        name: how messages call the dialogue.
        speakers: ids of those who have spoken before; new speakers are added.
        speaker_to_id: fixed ids; None numbers speakers in the order in which they appear.
        most: how many speakers the relation scheme can tell apart; None for any number.

    Raises:
        DialogueError: a speaker without an id, or too many of them.
    """
    speaker_ids = np.empty(len(utterances), np.int64)
    for index, utterance in enumerate(utterances):
        speaker = utterance["speaker"]
        place = utterance_name(name, index)
        if speaker_to_id is None:
            speaker_id = speakers.setdefault(speaker, len(speakers))
        elif speaker in speaker_to_id:
            speaker_id = speakers[speaker] = speaker_to_id[speaker]
        else:
            raise DialogueError(f"{place}: unknown speaker {speaker!r}; known speakers: {', '.join(speaker_to_id)}")
        if most is not None and speaker_id >= most:
            raise DialogueError(
                f"{place}: speaker {speaker!r} is number {speaker_id + 1}, and the relation scheme "
                f"'speaker_pair' holds {most} speakers; raise max_speakers or choose "
                "relation_scheme='same_or_other'"
            )
        speaker_ids[index] = speaker_id
    return speaker_ids


def join_dialogues(encoded: Sequence[EncodedDialogue]) -> EncodedDialogue:
    """Join the parts of one dialogue, which have no labels."""
    return EncodedDialogue(
        features=_joined_features(encoded),
        modality_mask=np.concatenate([part.modality_mask for part in encoded]),
        speaker_ids=np.concatenate([part.speaker_ids for part in encoded]),
        labels=None,
        tokens=_joined_tokens(encoded),
        waveforms=_joined_waveforms(encoded),
    )


def pack_dialogues(
    encoded: Sequence[EncodedDialogue],
    window_past: int,
    window_future: int,
    relation_scheme: str,
    max_speakers: int,
    padding_id: int,
) -> dict[str, np.ndarray]:
    """Pack encoded dialogues into one graph batch, with the keys in the order of the batch contract.

    Args:
        padding_id: token that texts are padded with, if the dialogues have tokens.
    """
    dialogue_lengths = np.array([len(dialogue) for dialogue in encoded], np.int64)
    speaker_ids = np.concatenate([dialogue.speaker_ids for dialogue in encoded])
    edge_index = window_edges(dialogue_lengths, window_past, window_future)
    batch = {"dialogue_lengths": dialogue_lengths}
    tokens = _joined_tokens(encoded)
    if tokens is not None:
        batch |= zip(TOKEN_KEYS, tokens.pad(padding_id), strict=True)
    waveforms = _joined_waveforms(encoded)
    if waveforms is not None:
        samples, mask = pad_sequences(waveforms)
        batch |= zip(WAVEFORM_KEYS, (samples, mask.astype(np.int64)), strict=True)
    batch |= {FEATURE_KEYS[modality]: features for modality, features in _joined_features(encoded).items()}
    batch["modality_mask"] = np.concatenate([dialogue.modality_mask for dialogue in encoded])
    batch["speaker_ids"] = speaker_ids
    batch["edge_index"] = edge_index
    batch["edge_type"] = relation_ids(edge_index, speaker_ids, relation_scheme, max_speakers)
    return batch | join_targets(encoded)


def _joined_features(encoded: Sequence[EncodedDialogue]) -> dict[str, np.ndarray]:
    return {
        modality: np.concatenate([dialogue.features[modality] for dialogue in encoded])
        for modality in encoded[0].features
    }


def _joined_tokens(encoded: Sequence[EncodedDialogue]) -> Tokens | None:
    tokens = [dialogue.tokens for dialogue in encoded if dialogue.tokens is not None]
    return Tokens.join(tokens) if tokens else None


def _joined_waveforms(encoded: Sequence[EncodedDialogue]) -> list[np.ndarray | None] | None:
    parts = [dialogue.waveforms for dialogue in encoded if dialogue.waveforms is not None]
    return [waveform for part in parts for waveform in part] if parts else None
