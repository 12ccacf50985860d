"""Features from raw media: fill them in where utterances have text, audio or video and no features yet."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .dialogues import (
    EXTRACTOR_KEYS,
    FEATURE_KEYS,
    FRAME_KEYS,
    MEDIA_KEYS,
    MODALITIES,
    DialogueError,
    NamedUtterances,
    Utterance,
    utterance_name,
    with_values,
)
from .extractor_base import Extracted
from .extractors import load_extractor
from .feature_cache import FeatureCache
from .media import get_medium
from .media_failures import ExtractionFailure, medium_of

_BATCH = 256
"""Utterances that are read together: texts in one rectangle, a recording of many in one pass."""

Place = tuple[str, Utterance]
"""The name of an utterance in messages, and the utterance."""


def keys_of(frames: bool) -> dict[str, str]:
    """Return modality -> the key of an utterance under which extracted vectors, or sequences of frames, are kept."""
    return FRAME_KEYS if frames else FEATURE_KEYS


def needed_extractors(
    named: Sequence[NamedUtterances], extractors: Mapping[str, str], frames: bool = False
) -> set[str]:
    """Return the modalities with an extractor that some utterance has as a medium, but not as features."""
    everyone = [utterance for _, utterances in named for utterance in utterances]
    return {modality for modality in extractors if any(_needs(utterance, modality, frames) for utterance in everyone)}


def add_features(
    named: Sequence[NamedUtterances],
    extractors: Mapping[str, str],
    cache: FeatureCache | None = None,
    device: str | None = None,
    frames: bool = False,
) -> tuple[list[NamedUtterances], list[ExtractionFailure]]:
    """Return copies of the utterances, with features where they have text, audio or video and no features yet.

    Args:
        named: the utterances of each dialogue, after the name that messages call it by.
        extractors, cache, device, frames: as in `read_utterances`.

    Returns:
        The utterances, and the media that could not be read.

    Raises:
        DialogueError: an extractor that cannot be loaded.
        ImportError: a library that one needs is not installed.
    """
    everyone = [
        (utterance_name(name, index), utterance)
        for name, utterances in named
        for index, utterance in enumerate(utterances)
    ]
    read = list(read_utterances(everyone, extractors, cache, device, frames))
    values = iter(read)
    filled = [
        (name, [with_values(utterance, next(values)[0]) for utterance in utterances]) for name, utterances in named
    ]
    return list(filled), [failure for _, failures in read for failure in failures]


def read_utterances(
    places: Sequence[Place],
    extractors: Mapping[str, str],
    cache: FeatureCache | None = None,
    device: str | None = None,
    frames: bool = False,
) -> Iterator[tuple[dict[str, np.ndarray], list[ExtractionFailure]]]:
    """Yield the new features of each utterance by key, and what of it could not be read, as soon as it is read.

    Args:
        extractors: modality -> name of its extractor.
        cache: where vectors are kept and looked for.
        device: device of encoders; by default the machine's accelerator.
        frames: whether media become sequences of frames in place of vectors.

    Raises:
        DialogueError: an extractor that cannot be loaded.
        ImportError: a library that one needs is not installed.
    """
    for first in range(0, len(places), _BATCH):
        batch = places[first : first + _BATCH]
        made: dict[str, Iterator[Extracted]] = {}
        for modality in (modality for modality in MODALITIES if modality in extractors):
            todo = [utterance for _, utterance in batch if _needs(utterance, modality, frames)]
            made[modality] = _extract(todo, modality, extractors[modality], cache, device, frames)
        for place, utterance in batch:
            features, failures = {}, []
            for modality in made:
                if _needs(utterance, modality, frames):
                    extracted = next(made[modality])
                    if isinstance(extracted, DialogueError):
                        failures.append(ExtractionFailure.of(extracted, utterance, modality, place))
                    else:
                        features[keys_of(frames)[modality]] = extracted
            yield features, failures


def refuse_raw_media(
    named: Sequence[NamedUtterances], sizes: Mapping[str, int], extractors: Mapping[str, str]
) -> None:
    """Raise a DialogueError if an utterance has a medium in place of features, and there is no extractor for it.

    Args:
        sizes: modality -> size of the features that are read.
        extractors: modality -> name of its extractor.
    """
    for name, utterances in named:
        for index, utterance in enumerate(utterances):
            for modality, size in sizes.items():
                if get_medium(utterance, MEDIA_KEYS[modality]) is not None and modality not in extractors:
                    raise DialogueError(
                        f"{utterance_name(name, index)}: there is '{MEDIA_KEYS[modality]}' but no "
                        f"'{FEATURE_KEYS[modality]}', and this processor reads features of size {size} only: "
                        f"it has no {EXTRACTOR_KEYS[modality]}"
                    )


def _needs(utterance: Utterance, modality: str, frames: bool) -> bool:
    has_features = utterance.get(FEATURE_KEYS[modality]) is not None
    has_frames = frames and utterance.get(FRAME_KEYS[modality]) is not None
    return not has_features and not has_frames and medium_of(utterance, modality) is not None


def _extract(
    utterances: list[Utterance],
    modality: str,
    extractor: str,
    cache: FeatureCache | None,
    device: str | None,
    frames: bool,
) -> Iterator[Extracted]:
    """Yield what an extractor makes of each utterance, or what the cache has of it."""
    keys = [cache.key(utterance, modality, extractor, frames) if cache else None for utterance in utterances]
    found = [cache.get(key) if cache and key else None for key in keys]
    missing = [utterance for utterance, vector in zip(utterances, found, strict=True) if vector is None]
    extracted = iter(load_extractor(modality, extractor, device)(missing, frames)) if missing else iter(())
    for key, kept in zip(keys, found, strict=True):
        if kept is not None:
            yield kept
            continue
        vector = next(extracted)
        if not isinstance(vector, DialogueError) and not np.isfinite(vector).all():
            vector = DialogueError(f"{extractor} gives numbers that are not finite")
        if cache and key and not isinstance(vector, DialogueError):
            cache.put(key, vector)
        yield vector
