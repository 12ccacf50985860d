"""The names of feature extractors, one per modality, and how the extractor of a name is loaded.

| modality | names that need no download | everything else |
|---|---|---|
| text | `hashing` | folder or Hub id of a text encoder |
| audio | `logmel`, `opensmile:eGeMAPSv02` and the like | folder or Hub id of a speech encoder |
| visual | `frame-statistics`, `openface` | folder or Hub id of an image encoder |

A Hub id may end in `@` and a revision, and an encoder in `#` and its layers (`encoder_layers.py`).
"""

import difflib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .dialogues import EXTRACTOR_KEYS, DialogueError
from .encoder_folders import is_left_behind, refuse_left_behind, without_folder
from .encoder_layers import POOLED, WEIGHTED, Layers, layers_of, split_layers, with_layers
from .extractor_base import OPENSMILE, FeatureExtractor

if TYPE_CHECKING:
    from .encoders import PretrainedExtractor

_COMMIT = re.compile("[0-9a-f]{40}")

OPENSMILE_FEATURE_SETS = (
    *("eGeMAPSv02", "GeMAPSv01b", "ComParE_2016", "emobase"),
    *("IS09", "IS10", "IS11", "IS12", "IS13"),
)

_NAMES = {
    "text": ("hashing",),
    "audio": ("logmel", *(OPENSMILE + name for name in OPENSMILE_FEATURE_SETS)),
    "visual": ("frame-statistics", "openface"),
}


def check_extractor(modality: str, extractor: str, frames: bool = False) -> None:
    """Refuse a name that no extractor can have; whether a Hub id exists turns out when it is loaded.

    Args:
        frames: whether it is to make sequences of frames, not one vector per utterance.

    Raises:
        ValueError: there is no such name, and the message has the nearest ones; or layers that there cannot be.
    """
    key, names = EXTRACTOR_KEYS[modality], _NAMES[modality]
    if not isinstance(extractor, str) or not extractor:
        raise ValueError(f"{key} must be a name or None, got {extractor!r}")
    extractor, layers = split_layers(extractor)
    if layers is not None and is_built_in(modality, extractor):
        raise ValueError(f"{key}: {extractor!r} is no encoder and has no layers; leave out #{layers}")
    if layers is not None:
        try:
            is_weighted = Layers.parse(layers).mix == WEIGHTED
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
        if frames and is_weighted:
            raise ValueError(f"{key}: #{layers} is for models of one vector per utterance; choose layers or a mean")
    if extractor in names or "/" in extractor or Path(extractor).is_dir() or is_left_behind(extractor):
        return
    nearest = difflib.get_close_matches(extractor.lower(), {name.lower(): name for name in names}, n=2, cutoff=0.5)
    nearest = [name for name in names if name.lower() in nearest]
    if extractor.partition(":")[0] + ":" == OPENSMILE:
        nearest = nearest or list(names[1:])
    if nearest:
        raise ValueError(f"{key}: unknown extractor {extractor!r}, did you mean {' or '.join(nearest)}?")


def is_built_in(modality: str, extractor: str) -> bool:
    """Whether an extractor of this name needs no encoder."""
    return extractor in _NAMES[modality]


def names_for_others(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the processor's parameters that name a folder of this machine, each with the name that others are told.

    Args:
        parameters: of a processor.
    """
    names = {}
    for modality, key in EXTRACTOR_KEYS.items():
        extractor = parameters.get(key)
        if isinstance(extractor, str) and not is_built_in(modality, extractor):
            name = without_folder(extractor)
            if name != extractor:
                names[key] = name
    return names


def load_extractor(modality: str, extractor: str, device: str | None = None) -> FeatureExtractor:
    """Return the extractor of this name, which is loaded once per process.

    Args:
        device: device of an encoder; by default the machine's accelerator.

    Raises:
        DialogueError: there is no extractor of this name, and no encoder that can be loaded.
        ImportError: a library that it needs is not installed.
    """
    check_extractor(modality, extractor)
    refuse_left_behind(EXTRACTOR_KEYS[modality], extractor)
    if is_built_in(modality, extractor):
        return _built_in(modality, extractor)
    return _load_encoder(modality, extractor, device)


def _load_encoder(modality: str, extractor: str, device: str | None) -> "PretrainedExtractor":
    from .devices import choose_device

    encoder = _loaded_encoder(modality, split_layers(extractor)[0], str(choose_device(device)))
    try:
        return encoder.with_layers(layers_of(extractor))
    except ValueError as error:
        raise DialogueError(f"{EXTRACTOR_KEYS[modality]}: {extractor!r}: {error}") from None


@lru_cache(maxsize=4)
def _loaded_encoder(modality: str, extractor: str, device: str) -> "PretrainedExtractor":
    from .encoders import split_revision

    where = split_revision(extractor)
    try:
        encoder = _encoder(modality, *where, device)
        # An encoder of another modality may fail only when it runs.
        for vector in encoder([encoder.example]):
            if isinstance(vector, DialogueError):
                raise ValueError(str(vector).removeprefix("cannot be encoded ("))
    except DialogueError:
        raise
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, AttributeError) as error:
        raise _unloadable(modality, extractor, error) from None
    return encoder


@lru_cache(maxsize=4)
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
        from .openface_extractor import OpenFaceStatistics

        return OpenFaceStatistics()
    from .video_extractors import FrameStatistics

    return FrameStatistics()


def _encoder(modality: str, name: str, revision: str | None, device: str) -> "PretrainedExtractor":
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


def pinned(modality: str, extractor: str, device: str | None = None, frames: bool = False) -> str:
    """Add to an extractor the commit that its Hub id stands for today, and its layers: `user/model@<commit>#-4:`.

    A folder has no commit, and extractors that are no encoders stay as they are. The layers are the default ones
    where the name does not say, and those of this encoder where an end is left open (`weighted` is `weighted:0:7`).

    Args:
        device: as in `load_extractor`.
        frames: whether sequences of frames are extracted, not one vector per utterance.

    Raises:
        DialogueError: there is no extractor of this name, no encoder that can be loaded, or no such layer in it.
    """
    check_extractor(modality, extractor)
    refuse_left_behind(EXTRACTOR_KEYS[modality], extractor)
    if is_built_in(modality, extractor):
        return extractor
    name = _pinned_encoder(modality, *split_layers(extractor))
    layers = layers_of(name)
    if layers is None or (layers.number is None and layers.mix != POOLED):
        layers = _load_encoder(modality, name, device).layers(frames)
    return with_layers(name, layers)


def _pinned_encoder(modality: str, encoder: str, layers: str | None) -> str:
    """Return an encoder at the commit that it stands for today, with its layers as they are written."""
    from .encoders import commit_of, split_revision

    ending = "" if layers is None else f"#{layers}"
    if Path(encoder).is_dir():
        return encoder + ending
    name, revision = split_revision(encoder)
    if not _COMMIT.fullmatch(revision or ""):
        try:
            revision = commit_of(name, revision)
        except (OSError, ValueError) as error:
            raise _unloadable(modality, encoder, error) from None
    return (f"{name}@{revision}" if revision else name) + ending
