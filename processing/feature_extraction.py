"""Fill in the features of utterances that have raw media."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .dialogues import (
    FEATURE_KEYS,
    MEDIA_KEYS,
    MODALITIES,
    DialogueError,
    Utterance,
    utterance_name,
)
from .extractor_base import Extracted
from .extractors import load_extractor, logger
from .feature_cache import FeatureCache
from .media import audio_of, medium_name
from .processor_base import NamedUtterances

_NAMED_FAILURES = 10


@dataclass(frozen=True)
class ExtractionFailure:
    """A medium that could not be read, so that its utterance goes without the modality."""

    place: str
    """Dialogue and utterance."""
    modality: str
    medium: str
    """Path of the file, or what messages call it."""
    reason: str

    @classmethod
    def of(cls, error: DialogueError, utterance: Utterance, modality: str, place: str) -> Self:
        """The failure that an error tells of; its message may begin with the medium."""
        medium = "the text given" if modality == "text" else medium_name(medium_of(utterance, modality))
        return cls(place, modality, medium, str(error).removeprefix(f"{medium}: "))

    def __str__(self) -> str:
        return f"{self.place}: {self.modality}: {self.medium}: {self.reason}"


def warn_of(failures: Sequence[ExtractionFailure]) -> None:
    """Log one warning that names what could not be read, the first few with the reason."""
    if failures:
        more = f"; and {len(failures) - _NAMED_FAILURES} more" if len(failures) > _NAMED_FAILURES else ""
        listed = "; ".join(map(str, failures[:_NAMED_FAILURES]))
        logger.warning("%d media cannot be read and are masked: %s%s", len(failures), listed, more)


def needed_extractors(named: Sequence[NamedUtterances], extractors: Mapping[str, str]) -> set[str]:
    """The modalities that some utterance has as a medium, with an extractor, but not as features."""
    everyone = [utterance for _, utterances in named for utterance in utterances]
    return {modality for modality in extractors if any(_needs(one, modality) for one in everyone)}


def add_features(
    named: Sequence[NamedUtterances],
    extractors: Mapping[str, str],
    cache: FeatureCache | None = None,
    device: str | None = None,
) -> tuple[list[NamedUtterances], list[ExtractionFailure]]:
    """The same utterances, with features where they have text, audio or video and no features yet.

    Args:
        named: the utterances of each dialogue, after what messages call it.
        extractors: modality -> name of its extractor.
        cache: where vectors are kept and looked for.
        device: of encoders; by default a GPU if there is one.

    Raises:
        DialogueError: an extractor that cannot be loaded.
        ImportError: a library that one needs is not installed.
    """
    filled = [(name, [dict(utterance) for utterance in utterances]) for name, utterances in named]
    everyone = [
        (utterance_name(name, index), utterance)
        for name, utterances in filled
        for index, utterance in enumerate(utterances)
    ]
    failures = []
    for modality in MODALITIES:
        if modality not in extractors:
            continue
        todo = [(place, one) for place, one in everyone if _needs(one, modality)]
        vectors = _extract([one for _, one in todo], modality, extractors[modality], cache, device)
        for (place, utterance), vector in zip(todo, vectors, strict=True):
            if isinstance(vector, DialogueError):
                failures.append(ExtractionFailure.of(vector, utterance, modality, place))
            else:
                utterance[FEATURE_KEYS[modality]] = vector
    return list(filled), failures


def _needs(utterance: Utterance, modality: str) -> bool:
    return utterance.get(FEATURE_KEYS[modality]) is None and medium_of(utterance, modality) is not None


def medium_of(utterance: Utterance, modality: str) -> Any | None:
    """What an extractor of this modality reads of an utterance, or None where there is nothing."""
    if modality == "audio":
        return audio_of(utterance)
    medium = utterance.get(MEDIA_KEYS[modality])
    return None if isinstance(medium, str) and not medium.strip() else medium


def _extract(
    utterances: list[Utterance], modality: str, extractor: str, cache: FeatureCache | None, device: str | None
) -> list[Extracted]:
    keys = [cache.key(utterance, modality, extractor) if cache else None for utterance in utterances]
    found: list[Extracted | None] = [cache.get(key) if cache and key else None for key in keys]
    missing = [index for index, vector in enumerate(found) if vector is None]
    if missing:
        extracted = load_extractor(modality, extractor, device)([utterances[index] for index in missing])
        for index, vector in zip(missing, extracted, strict=True):
            if not isinstance(vector, DialogueError) and not np.isfinite(vector).all():
                vector = DialogueError(f"{extractor} gives numbers that are not finite")
            found[index] = vector
            key = keys[index]
            if cache and key and not isinstance(vector, DialogueError):
                cache.put(key, vector)
    return [vector for vector in found if vector is not None]
