"""Features from raw media: fill them in where utterances have text, audio or video and no features yet."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from .dialogues import (
    EXTRACTOR_KEYS,
    FEATURE_KEYS,
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

Watch = Callable[[Iterable[Extracted], int, str], Iterable[Extracted]]
"""Passes results on, of which there are so many, and which are those of a modality."""


def needed_extractors(named: Sequence[NamedUtterances], extractors: Mapping[str, str]) -> set[str]:
    """Return the modalities with an extractor that some utterance has as a medium, but not as features."""
    everyone = [utterance for _, utterances in named for utterance in utterances]
    return {modality for modality in extractors if any(_needs(utterance, modality) for utterance in everyone)}


def add_features(
    named: Sequence[NamedUtterances],
    extractors: Mapping[str, str],
    cache: FeatureCache | None = None,
    device: str | None = None,
    watch: Watch | None = None,
) -> tuple[list[NamedUtterances], list[ExtractionFailure]]:
    """Return copies of the utterances, with features where they have text, audio or video and no features yet.

    Args:
        named: the utterances of each dialogue, after the name that messages call it by.
        extractors: modality -> name of its extractor.
        cache: where vectors are kept and looked for.
        device: device of encoders; by default the machine's accelerator.
        watch: shows how far the extraction is.

    Returns:
        The utterances, and the media that could not be read.

    Raises:
        DialogueError: an extractor that cannot be loaded.
        ImportError: a library that one needs is not installed.
    """
    filled = [(name, [with_values(utterance, {}) for utterance in utterances]) for name, utterances in named]
    everyone = [
        (utterance_name(name, index), utterance)
        for name, utterances in filled
        for index, utterance in enumerate(utterances)
    ]
    failures = []
    for modality in MODALITIES:
        if modality not in extractors:
            continue
        todo = [(place, utterance) for place, utterance in everyone if _needs(utterance, modality)]
        vectors = _extract([utterance for _, utterance in todo], modality, extractors[modality], cache, device, watch)
        for (place, utterance), vector in zip(todo, vectors, strict=True):
            if isinstance(vector, DialogueError):
                failures.append(ExtractionFailure.of(vector, utterance, modality, place))
            else:
                utterance[FEATURE_KEYS[modality]] = vector
    return list(filled), failures


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


def _needs(utterance: Utterance, modality: str) -> bool:
    return utterance.get(FEATURE_KEYS[modality]) is None and medium_of(utterance, modality) is not None


def _extract(
    utterances: list[Utterance],
    modality: str,
    extractor: str,
    cache: FeatureCache | None,
    device: str | None,
    watch: Watch | None,
) -> list[Extracted]:
    keys = [cache.key(utterance, modality, extractor) if cache else None for utterance in utterances]
    found: list[Extracted | None] = [cache.get(key) if cache and key else None for key in keys]
    missing = [index for index, vector in enumerate(found) if vector is None]
    if missing:
        extracted = load_extractor(modality, extractor, device)([utterances[index] for index in missing])
        extracted = extracted if watch is None else watch(extracted, len(missing), modality)
        for index, vector in zip(missing, extracted, strict=True):
            if not isinstance(vector, DialogueError) and not np.isfinite(vector).all():
                vector = DialogueError(f"{extractor} gives numbers that are not finite")
            found[index] = vector
            key = keys[index]
            if cache and key and not isinstance(vector, DialogueError):
                cache.put(key, vector)
    return [vector for vector in found if vector is not None]
