"""Feature extractors: the text, sound or pictures of an utterance -> one vector. Chosen by a string a modality.

| modality | names that need no download | everything else |
|---|---|---|
| text | `hashing` | folder or Hub id of a text encoder |
| audio | `logmel`, `opensmile:eGeMAPSv02` and the like | folder or Hub id of a speech encoder |
| visual | `frame-statistics`, `openface` | folder or Hub id of an image encoder |

A Hub id may end in `@` and a revision.
"""

import difflib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from .dialogues import (
    FEATURE_KEYS,
    MEDIA_KEYS,
    MODALITIES,
    Dialogue,
    DialogueError,
    Utterance,
    dialogue_name,
    utterance_name,
)
from .feature_cache import FeatureCache
from .media import audio_of, medium_name
from .processor_base import NamedUtterances

EXTRACTOR_KEYS = {"text": "text_extractor", "audio": "audio_extractor", "visual": "video_extractor"}
"""Modality -> what the processor's parameter is called."""

_COMMIT = re.compile("[0-9a-f]{40}")

OPENSMILE = "opensmile:"
OPENSMILE_FEATURE_SETS = (
    *("eGeMAPSv02", "GeMAPSv01b", "ComParE_2016", "emobase"),
    *("IS09", "IS10", "IS11", "IS12", "IS13"),
)

_NAMES = {
    "text": ("hashing",),
    "audio": ("logmel", *(OPENSMILE + name for name in OPENSMILE_FEATURE_SETS)),
    "visual": ("frame-statistics", "openface"),
}

logger = logging.getLogger(__name__)

_NAMED_FAILURES = 10

Extracted = np.ndarray | DialogueError
"""A vector (size,) float32, or what is wrong with the medium."""


class FeatureExtractor:
    """Utterances that have a modality -> one vector each."""

    example: Utterance
    """An utterance that can be read."""

    def __call__(self, utterances: Sequence[Utterance]) -> Iterator[Extracted]:
        """One result after the other, in order; here each utterance is read on its own."""
        for utterance in utterances:
            try:
                yield self.extract(utterance)
            except DialogueError as error:
                yield error

    def extract(self, utterance: Utterance) -> np.ndarray:
        """The vector (size,) float32 of one utterance.

        Raises:
            DialogueError: its medium cannot be read.
        """
        raise NotImplementedError


def check_extractor(modality: str, extractor: str) -> None:
    """Refuse what cannot be the name of an extractor; whether a Hub id exists is found out when it is loaded.

    Raises:
        ValueError: no such name, with the nearest.
    """
    key, names = EXTRACTOR_KEYS[modality], _NAMES[modality]
    if not isinstance(extractor, str) or not extractor:
        raise ValueError(f"{key} must be a name or None, got {extractor!r}")
    if extractor in names or "/" in extractor or Path(extractor).is_dir():
        return
    nearest = difflib.get_close_matches(extractor.lower(), {name.lower(): name for name in names}, n=2, cutoff=0.5)
    nearest = [name for name in names if name.lower() in nearest]
    if extractor.partition(":")[0] + ":" == OPENSMILE:
        nearest = nearest or list(names[1:])
    if nearest:
        raise ValueError(f"{key}: unknown extractor {extractor!r}, did you mean {' or '.join(nearest)}?")


@lru_cache(maxsize=4)
def load_extractor(modality: str, extractor: str, device: str | None = None) -> FeatureExtractor:
    """The extractor of this name, loaded once in a process.

    Args:
        device: of an encoder; by default a GPU if there is one.

    Raises:
        DialogueError: no extractor of this name, and no encoder that can be loaded.
        ImportError: a library that it needs is not installed.
    """
    check_extractor(modality, extractor)
    if extractor in _NAMES[modality]:
        return _built_in(modality, extractor)
    from .encoders import best_device, split_revision

    where = split_revision(extractor)
    try:
        encoder = _encoder(modality, *where, device or best_device())
        list(encoder([encoder.example]))  # an encoder of another modality may fail only when it runs
    except DialogueError:
        raise
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, AttributeError) as error:
        raise _unloadable(modality, extractor, error) from None
    return encoder


def _built_in(modality: str, extractor: str) -> FeatureExtractor:
    if modality == "text":
        from .text_extractors import HashedWords

        return HashedWords()
    if modality == "audio":
        from .audio_extractors import LogMelStatistics, OpenSmileFunctionals

        if extractor.startswith(OPENSMILE):
            return OpenSmileFunctionals(extractor.removeprefix(OPENSMILE))
        return LogMelStatistics()
    if extractor == "openface":
        from .openface import OpenFaceStatistics

        return OpenFaceStatistics()
    from .video_extractors import FrameStatistics

    return FrameStatistics()


def _encoder(modality: str, name: str, revision: str | None, device: str) -> FeatureExtractor:
    if modality == "text":
        from .text_extractors import TextEncoder

        return TextEncoder(name, revision, device)
    if modality == "audio":
        from .audio_extractors import SpeechEncoder

        return SpeechEncoder(name, revision, device)
    from .video_extractors import ImageEncoder

    return ImageEncoder(name, revision, device)


def _unloadable(modality: str, extractor: str, error: Exception) -> DialogueError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return DialogueError(
        f"{EXTRACTOR_KEYS[modality]}: {extractor!r} is none of {', '.join(_NAMES[modality])}, and no encoder of this "
        f"folder or Hub id can be loaded ({reason})"
    )


def pinned(modality: str, extractor: str) -> str:
    """The extractor with the revision that its Hub id stands for today: `user/model@<commit>`.

    Folders and what needs no download stay as they are.

    Raises:
        DialogueError: no extractor of this name, and no encoder that can be loaded.
    """
    check_extractor(modality, extractor)
    if extractor in _NAMES[modality] or Path(extractor).is_dir():
        return extractor
    from .encoders import commit_of, split_revision

    name, revision = split_revision(extractor)
    if _COMMIT.fullmatch(revision or ""):
        return extractor
    try:
        commit = commit_of(name, revision)
    except (OSError, ValueError) as error:
        raise _unloadable(modality, extractor, error) from None
    return f"{name}@{commit}" if commit else extractor


def same_extractor(one: str, other: str) -> bool:
    """Whether two names can stand for the same extractor: a name without a revision stands for any."""
    if "@" in one and "@" in other:
        return one == other
    return one.partition("@")[0] == other.partition("@")[0]


def extractors_of(dialogues: Sequence[Dialogue]) -> dict[str, str]:
    """Modality -> the extractor that made the dialogues' features, where `extract_features` has left its name.

    Raises:
        DialogueError: the dialogues name different ones.
    """
    found: dict[str, str] = {}
    for position, dialogue in enumerate(dialogues):
        made_by = _made_by(dialogue)
        _refuse_others(made_by, found, dialogue_name(dialogue, position), "other dialogues")
        found = made_by | found
    return found


def check_origin(dialogues: Sequence[Dialogue], extractors: Mapping[str, str], first_position: int = 0) -> None:
    """Refuse features that another extractor has made than a processor's own.

    Raises:
        DialogueError: such a dialogue.
    """
    for position, dialogue in enumerate(dialogues, first_position):
        _refuse_others(_made_by(dialogue), extractors, dialogue_name(dialogue, position), "this processor")


def _made_by(dialogue: Dialogue) -> dict[str, str]:
    named = dialogue.get("extractors") if isinstance(dialogue, Mapping) else None
    if not isinstance(named, Mapping):
        return {}
    return {modality: str(named[modality]) for modality in MODALITIES if named.get(modality) is not None}


def _refuse_others(made_by: dict[str, str], extractors: Mapping[str, str], name: str, whose: str) -> None:
    for modality, extractor in made_by.items():
        other = extractors.get(modality, extractor)
        if not same_extractor(extractor, other):
            raise DialogueError(
                f"{name}: its {FEATURE_KEYS[modality]} were extracted by {extractor!r}, "
                f"and those of {whose} by {other!r}; extract all dialogues with the same one"
            )


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
