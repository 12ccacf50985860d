"""The base of all feature extractors."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .dialogues import DialogueError, Utterance

OPENSMILE = "opensmile:"
"""Beginning of the names of openSMILE's feature sets."""

Extracted = np.ndarray | DialogueError
"""A vector (size,) or frames (T, size) float32, or the error that says what is wrong with the medium."""


class FeatureExtractor:
    """Turns utterances that have a modality into one vector each, or into a sequence of frames."""

    example: Utterance
    """An utterance that can be read."""

    def __call__(self, utterances: Sequence[Utterance], frames: bool = False) -> Iterator[Extracted]:
        """Yield one result per utterance, in order; here each utterance is read on its own.

        Args:
            frames: whether a result is the sequence of `extract_frames` in place of the vector of `extract`.
        """
        extract = self.extract_frames if frames else self.extract
        for utterance in utterances:
            try:
                yield extract(utterance)
            except DialogueError as error:
                yield error
            except (RuntimeError, MemoryError, ValueError, ArithmeticError, LookupError, TypeError) as error:
                # Out of memory, for one: the vectors of all others are not to be lost with this one.
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                yield DialogueError(f"cannot be encoded ({reason}); `start` and `end` cut out a part of it")

    def extract(self, utterance: Utterance) -> np.ndarray:
        """Return the vector (size,) float32 of one utterance.

        Raises:
            DialogueError: its medium cannot be read.
        """
        raise NotImplementedError

    def extract_frames(self, utterance: Utterance) -> np.ndarray:
        """Return the frames (T, size) float32 of one utterance, for a model that reads sequences.

        Raises:
            DialogueError: its medium cannot be read, or the extractor makes vectors alone.
        """
        raise DialogueError("is read as one vector by this extractor, which makes no sequences of frames")


def describe_extractor(extractor: str) -> str:
    """Return the name of an extractor for people; the path of a folder on somebody's machine is not for others."""
    folder = Path(extractor)
    return f"{folder.name}, an encoder in a folder" if folder.is_absolute() else extractor
