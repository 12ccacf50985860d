"""Sequences of frames: an utterance's `audio_frames`, `video_frames` and `text_frames`, and how they are padded."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .dialogues import FEATURE_KEYS, FRAME_KEYS, DialogueError, ReadUtterance, Utterance, as_numbers, get_features


def get_frames(utterance: Utterance, modality: str, size: int | None, place: str) -> np.ndarray | None:
    """Return one modality's frames `(T, size)` float32, or None where the utterance lacks it.

    An utterance-level feature vector counts as one frame where there are no frames.

    Raises:
        DialogueError: frames of another size than `size` (where given), no list of vectors of numbers, or NaN or
            infinity in them.
    """
    key = FRAME_KEYS[modality]
    value = utterance.get(key)
    if value is None:
        vector = get_features(utterance, modality, size, place)
        return None if vector is None else vector[None]
    frames = value if isinstance(utterance, ReadUtterance) else _parse_frames(value, modality, place)
    if size is not None and frames.shape[1] != size:
        raise DialogueError(f"{place}: '{key}' has frames of size {frames.shape[1]}, expected {size}")
    return frames


def _parse_frames(value: Any, modality: str, place: str) -> np.ndarray:
    key = FRAME_KEYS[modality]
    frames = as_numbers(value, "a list of vectors of one size", f"{place}: '{key}'")
    if not frames.size:
        raise DialogueError(f"{place}: '{key}' is empty; leave the key out where the modality is missing")
    if frames.ndim != 2:
        raise DialogueError(
            f"{place}: '{key}' must be a list of vectors, (frames, size), got an array of shape {frames.shape}; "
            f"one vector per utterance is '{FEATURE_KEYS[modality]}'"
        )
    if not np.isfinite(frames).all():
        row, column = (int(where[0]) for where in np.nonzero(~np.isfinite(frames)))
        raise DialogueError(f"{place}: '{key}'[{row}][{column}] is {frames[row, column]}; leave such frames out")
    return frames


def pad_sequences(
    sequences: Sequence[np.ndarray | None], item_shape: tuple[int, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Pad sequences (T_i, *item_shape), None for an absent one, to (B, longest, *item_shape) float32.

    Returns:
        The padded sequences, at least one position long and zero where there is nothing, and a mask (B, longest) bool.
    """
    longest = max((len(sequence) for sequence in sequences if sequence is not None), default=0)
    padded = np.zeros((len(sequences), max(longest, 1), *item_shape), np.float32)
    mask = np.zeros(padded.shape[:2], bool)
    for row, sequence in enumerate(sequences):
        if sequence is not None:
            padded[row, : len(sequence)], mask[row, : len(sequence)] = sequence, True
    return padded, mask
