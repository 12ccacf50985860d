"""Keys of an utterance that nobody reads, and that look like keys that are read."""

import difflib
import logging
from collections.abc import Iterable
from functools import lru_cache

from .dialogues import FEATURE_KEYS, FRAME_KEYS, MEDIA_KEYS, TOKEN_KEYS, Utterance, utterance_name

KNOWN_KEYS = frozenset(
    {
        *("speaker", "label", "start", "end", "channel", "face", "utterance_id", "scores", "true_label"),
        *(*MEDIA_KEYS.values(), *FEATURE_KEYS.values(), *FRAME_KEYS.values(), *TOKEN_KEYS),
    }
)
"""The keys that a processor reads, and those that this package writes."""

OTHER_NAMES = {
    "speaker": ("speaker_name", "spk"),
    "text": ("txt", "utterance", "sentence", "transcript", "transcription", "utt"),
    "label": ("emotion", "emo"),
    "start": ("begin", "start_time", "starttime", "onset", "begin_time"),
    "end": ("stop", "end_time", "endtime", "offset"),
    "audio": ("wav", "sound", "audio_path", "audio_file", "wav_path", "speech"),
    "video": ("mp4", "clip", "visual", "vision", "video_path", "video_file"),
    "visual_features": ("video_features", "vision_features", "image_features"),
    "audio_features": ("acoustic_features", "speech_features"),
    "text_features": ("textual_features", "language_features"),
    "video_frames": ("visual_frames", "vision_frames"),
}
"""Key -> what other data sets call the same thing."""

_KEY_OF = {other: key for key, others in OTHER_NAMES.items() for other in others}
# `text_feature`, `labels` and `vidio` are nearer than this to what is meant, `text_id` and `label_id` are not.
_LEAST_LIKENESS = 0.8

logger = logging.getLogger(__name__)


_warned: set[str] = set()


def warn_of_unknown_keys(name: str, utterances: Iterable[Utterance]) -> None:
    """Warn of unknown keys in a dialogue that resemble known ones, where the utterance lacks the known one.

    Of each key it is said once in a process.

    Args:
        name: how messages call the dialogue.
    """
    for index, utterance in enumerate(utterances):
        for key in utterance.keys() - KNOWN_KEYS - _warned:
            meant = known_key_of(key) if isinstance(key, str) and utterance[key] is not None else None
            if meant is not None and utterance.get(meant) is None:
                _warned.add(key)
                place = utterance_name(name, index)
                logger.warning("%s: the key %r is not read; did you mean %r?", place, key, meant)


@lru_cache(maxsize=1024)
def known_key_of(key: str) -> str | None:
    """Return the known key that an unknown one is likely to stand for, or None."""
    plain = key.strip().lower().replace("-", "_").replace(" ", "_")
    if plain in KNOWN_KEYS or plain in _KEY_OF:
        return _KEY_OF.get(plain, plain)
    return next(iter(difflib.get_close_matches(plain, KNOWN_KEYS, n=1, cutoff=_LEAST_LIKENESS)), None)
