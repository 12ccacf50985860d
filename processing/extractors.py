"""The names of feature extractors, one per modality, and how the extractor of a name is loaded.

| modality | names that need no download | everything else |
|---|---|---|
| text | `hashing` | folder or Hub id of a text encoder |
| audio | `logmel`, `opensmile:eGeMAPSv02` and the like | folder or Hub id of a speech encoder |
| visual | `frame-statistics`, `openface` | folder or Hub id of an image encoder |

A Hub id may end in `@` and a revision.
"""

import difflib
import re
from functools import lru_cache
from pathlib import Path

from .dialogues import EXTRACTOR_KEYS, DialogueError
from .extractor_base import OPENSMILE, FeatureExtractor

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


def check_extractor(modality: str, extractor: str) -> None:
    """Refuse a name that no extractor can have; whether a Hub id exists turns out when it is loaded.

    Raises:
        ValueError: there is no such name; the message has the nearest ones.
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


def load_extractor(modality: str, extractor: str, device: str | None = None) -> FeatureExtractor:
    """Return the extractor of this name, which is loaded once per process.

    Args:
        device: device of an encoder; by default the machine's accelerator.

    Raises:
        DialogueError: there is no extractor of this name, and no encoder that can be loaded.
        ImportError: a library that it needs is not installed.
    """
    check_extractor(modality, extractor)
    if extractor in _NAMES[modality]:
        return _built_in(modality, extractor)
    from .devices import choose_device

    return _loaded_encoder(modality, extractor, str(choose_device(device)))


@lru_cache(maxsize=4)
def _loaded_encoder(modality: str, extractor: str, device: str) -> FeatureExtractor:
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
    """Add to an extractor the commit that its Hub id stands for today: `user/model@<commit>`.

    Folders and extractors that need no download stay as they are.

    Raises:
        DialogueError: there is no extractor of this name, and no encoder that can be loaded.
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
