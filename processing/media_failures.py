"""Media that could not be read, so that their utterances go without the modality."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from .dialogues import MEDIA_KEYS, DialogueError, Utterance
from .media import audio_of, get_medium, medium_name

_NAMED_FAILURES = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExtractionFailure:
    """A medium that could not be read, so that its utterance goes without the modality."""

    place: str
    """Dialogue and utterance."""
    modality: str
    medium: str
    """Path of the file, or how messages call the medium."""
    reason: str

    @classmethod
    def of(cls, error: DialogueError, utterance: Utterance, modality: str, place: str) -> Self:
        """Make the failure that an error tells of; the error's message may begin with the medium."""
        medium = "the text given" if modality == "text" else medium_name(medium_of(utterance, modality))
        return cls(place, modality, medium, str(error).removeprefix(f"{medium}: "))

    def __str__(self) -> str:
        return f"{self.place}: {self.modality}: {self.medium}: {self.reason}"


def warn_of(failures: Sequence[ExtractionFailure]) -> None:
    """Log one warning that names what could not be read, the first few with the reason."""
    if failures:
        more = f"; and {len(failures) - _NAMED_FAILURES} more" if len(failures) > _NAMED_FAILURES else ""
        listed = "; ".join(map(str, failures[:_NAMED_FAILURES]))
        media = (
            "1 medium cannot be read and is" if len(failures) == 1 else f"{len(failures)} media cannot be read and are"
        )
        logger.warning("%s masked: %s%s", media, listed, more)


def medium_of(utterance: Utterance, modality: str) -> Any | None:
    """Return what an extractor of this modality reads of an utterance, or None where there is nothing."""
    if modality == "audio":
        return audio_of(utterance)
    return get_medium(utterance, MEDIA_KEYS[modality])
