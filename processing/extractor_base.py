"""The base of all feature extractors."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .dialogues import DialogueError, Utterance
from .encoder_folders import folder_name, is_folder, is_left_behind
from .encoder_layers import Layers, split_layers

OPENSMILE = "opensmile:"
"""Beginning of the names of openSMILE's feature sets."""

Extracted = np.ndarray | DialogueError
"""A vector (size,) or frames (T, size) float32, or the error that says what is wrong with the medium."""


class FeatureExtractor:
    """Turns utterances that have a modality into one vector each, or a sequence: it reads a medium, and encodes it."""

    example: Utterance
    """An utterance that can be read."""

    def __call__(self, utterances: Sequence[Utterance], frames: bool = False) -> Iterator[Extracted]:
        """Yield one result per utterance, in order.

        Args:
            frames: whether a result is a sequence of frames in place of one vector.
        """
        for medium in self.read(utterances, frames):
            yield medium if isinstance(medium, DialogueError) else self._encoded(medium, frames)

    def read(self, utterances: Sequence[Utterance], frames: bool = False) -> Iterator[Any]:
        """Yield the medium of each utterance, or the error that says why it cannot be read.

        Args:
            frames: whether it is to become a sequence of frames.
        """
        raise NotImplementedError

    def encode(self, medium: Any, /) -> np.ndarray:
        """Return the vector (size,) float32 of a medium.

        Raises:
            DialogueError: there is nothing to encode.
        """
        raise NotImplementedError

    def encode_frames(self, medium: Any, /) -> np.ndarray:
        """Return the frames (T, size) float32 of a medium, for a model that reads sequences.

        Raises:
            DialogueError: there is nothing to encode, or the extractor makes vectors alone.
        """
        raise DialogueError("is read as one vector by this extractor, which makes no sequences of frames")

    def _encoded(self, medium: Any, frames: bool) -> Extracted:
        try:
            return self.encode_frames(medium) if frames else self.encode(medium)
        except DialogueError as error:
            return error
        except (RuntimeError, MemoryError, ValueError, ArithmeticError, LookupError, TypeError) as error:
            # Out of memory, for one: the vectors of all others are not to be lost with this one.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            return DialogueError(f"cannot be encoded ({reason}); `start` and `end` cut out a part of it")


def describe_extractor(extractor: str) -> str:
    """Return the name of an extractor for people; the path of a folder on somebody's machine is not for others."""
    name, layers = split_layers(extractor)
    if is_left_behind(extractor) or (Path(name).name != name and is_folder(extractor)):
        name = f"{folder_name(extractor)}, an encoder in a folder"
    return name if layers is None else f"{name}: {Layers.parse(layers).describe()}"
