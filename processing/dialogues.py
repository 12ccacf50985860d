"""The dialogue record: its keys and its checks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from .dialogue_error import DialogueError
from .stored_dialogues import StoredDialogues, is_stored

MODALITIES = ("text", "audio", "visual")
FEATURE_KEYS = {modality: f"{modality}_features" for modality in MODALITIES}
FRAME_KEYS = {"text": "text_frames", "audio": "audio_frames", "visual": "video_frames"}
TOKEN_KEYS = ("text_input_ids", "text_attention_mask")
WAVEFORM_KEYS = ("audio_input_values", "audio_attention_mask")
MEDIA_KEYS = {"text": "text", "audio": "audio", "visual": "video"}
EXTRACTOR_KEYS = {"text": "text_extractor", "audio": "audio_extractor", "visual": "video_extractor"}
"""Modality -> the name of the processor's parameter."""

Utterance = Mapping[str, Any]
Dialogue = Mapping[str, Any]
NamedUtterances = tuple[str, Sequence[Utterance]]
"""The name that messages call a dialogue by, and its utterances."""


class ReadUtterance(dict[str, Any]):
    """An utterance whose vectors and frames are checked float32 arrays; `read_dialogues` makes it."""


def with_values(utterance: Utterance, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of an utterance with other values of some keys; an utterance that was read stays so."""
    changed = {**utterance, **values}
    return ReadUtterance(changed) if isinstance(utterance, ReadUtterance) else changed


def iterate_dialogues(dialogues: Dialogue | Iterable[Dialogue]) -> Iterator[Dialogue]:
    """Go through one dialogue or any iterable of dialogues.

    Raises:
        DialogueError: `dialogues` is empty, or holds utterances instead of dialogues.
    """
    if isinstance(dialogues, Mapping):
        dialogues = [cast("Dialogue", dialogues)]
    if isinstance(dialogues, (str, bytes)) or not isinstance(dialogues, Iterable):
        raise DialogueError(
            f"expected a dialogue or a list of dialogues, got {type(dialogues).__name__}; "
            "read a file with `load_dialogues(path)` first"
        )
    if is_stored(dialogues):
        dialogues = StoredDialogues(dialogues)
    elif (with_format := getattr(dialogues, "with_format", None)) is not None:
        dialogues = with_format(None)  # a data set's numpy and torch formats turn ints beside a None into floats
    is_empty = True
    for dialogue in dialogues:
        looks_like_utterance = isinstance(dialogue, Mapping) and ("speaker" in dialogue or "text" in dialogue)
        if is_empty and looks_like_utterance and "utterances" not in dialogue:
            raise DialogueError(
                'got utterances where dialogues are expected; wrap them: {"dialogue_id": "...", "utterances": [...]}'
            )
        is_empty = False
        yield dialogue
    if is_empty:
        raise DialogueError("there are no dialogues: the list is empty")


def as_dialogue_list(dialogues: Dialogue | Iterable[Dialogue]) -> Sequence[Dialogue]:
    """Turn one dialogue or any iterable of dialogues into a list of dialogues.

    The dialogues of a data set are no list in memory: each is made when it is asked for.

    Raises:
        DialogueError: `dialogues` is empty, or holds utterances instead of dialogues.
    """
    if is_stored(dialogues):
        dialogues = StoredDialogues(dialogues)
    if isinstance(dialogues, StoredDialogues):
        next(iterate_dialogues(dialogues))
        return dialogues
    return list(iterate_dialogues(dialogues))


def dialogue_name(dialogue: Dialogue, position: int) -> str:
    """Return the name that messages call a dialogue by: its id where it has one, its position otherwise."""
    dialogue_id = dialogue.get("dialogue_id") if isinstance(dialogue, Mapping) else None
    return f"dialogue {str(dialogue_id)!r}" if dialogue_id not in (None, "") else f"dialogues[{position}]"


def utterance_name(name: str, index: int) -> str:
    """Return the name of an utterance in messages: `dialogue 'd1', utterances[3]`, counted from 0 as in Python."""
    return f"{name}, utterances[{index}]"


def name_utterances(dialogues: Iterable[Dialogue], first_position: int = 0) -> Sequence[NamedUtterances]:
    """Check the utterances of each dialogue, and say how messages call the dialogue.

    Those of a data set are no list in memory: each is made and checked when it is asked for.

    Args:
        first_position: position of the first dialogue, where these are part of a longer list.
    """
    if isinstance(dialogues, StoredDialogues):
        return _NamedLater(dialogues, first_position)
    return [_named(dialogue, position) for position, dialogue in enumerate(dialogues, first_position)]


def _named(dialogue: Dialogue, position: int) -> NamedUtterances:
    name = dialogue_name(dialogue, position)
    return name, get_utterances(dialogue, name)


class _NamedLater(Sequence[NamedUtterances]):
    def __init__(self, dialogues: StoredDialogues, first_position: int) -> None:
        self._dialogues = dialogues
        self._first = first_position

    def __len__(self) -> int:
        return len(self._dialogues)

    def __getitem__(self, index: Any) -> Any:
        return _named(self._dialogues[index], self._first + range(len(self))[index])

    def __iter__(self) -> Iterator[NamedUtterances]:
        for position, dialogue in enumerate(self._dialogues, self._first):
            yield _named(dialogue, position)


def most_speakers(dialogues: Dialogue | Iterable[Dialogue]) -> int:
    """Count the speakers of the dialogue that has the most."""
    return max(
        len({utterance["speaker"] for utterance in get_utterances(dialogue, dialogue_name(dialogue, position))})
        for position, dialogue in enumerate(iterate_dialogues(dialogues))
    )


def get_utterances(dialogue: Dialogue, name: str) -> Sequence[Utterance]:
    """Return the utterances of a dialogue, checked to be a non-empty list of mappings with a speaker each.

    Raises:
        DialogueError: no `utterances`, an empty dialogue, an utterance that is no mapping or has no speaker.
    """
    if not isinstance(dialogue, Mapping):
        raise DialogueError(f"{name}: expected a mapping with 'utterances', got {type(dialogue).__name__}")
    utterances = dialogue.get("utterances")
    if utterances is None:
        keys = ", ".join(str(key) for key, value in dialogue.items() if value is not None) or "none"
        raise DialogueError(f"{name}: the key 'utterances' is missing (keys found: {keys})")
    if isinstance(utterances, np.ndarray):  # a row of a data set in numpy format
        utterances = utterances.tolist()
    if not isinstance(utterances, Sequence) or isinstance(utterances, (str, bytes)):
        raise DialogueError(f"{name}: 'utterances' must be a list, got {type(utterances).__name__}")
    if not utterances:
        raise DialogueError(f"{name}: the dialogue is empty; leave it out or give it utterances")
    for index, utterance in enumerate(utterances):
        place = utterance_name(name, index)
        if not isinstance(utterance, Mapping):
            hint = "; a slice of a data set holds columns, `dataset.select(...)` holds dialogues"
            raise DialogueError(
                f"{place}: expected a mapping with 'speaker', got {type(utterance).__name__}"
                f"{hint if isinstance(utterance, list) else ''}"
            )
        speaker = utterance.get("speaker")
        if speaker is None or speaker == "":
            raise DialogueError(f"{place}: no speaker; give 'speaker' a name (a monologue has one name throughout)")
        if not isinstance(speaker, str):
            raise DialogueError(f"{place}: 'speaker' must be a string, got {type(speaker).__name__} {speaker!r}")
    dialogue_id = dialogue.get("dialogue_id")
    if dialogue_id is not None and not isinstance(dialogue_id, str | int | float | np.integer):
        raise DialogueError(
            f"{name}: 'dialogue_id' must be a string or a number, got {type(dialogue_id).__name__}; convert it, as in "
            "str(dialogue_id)"
        )
    return utterances


def as_numbers(value: Any, kind: str, place: str) -> np.ndarray:
    """Turn a value of a record into a float32 array of any shape; numbers beyond float32 become infinite.

    Raises:
        DialogueError: no numbers, or lists of different lengths in one; the message asks for `kind`.
    """
    try:
        numbers = np.asarray(value)
        if numbers.dtype == object and all(isinstance(part, int | float) for part in numbers.flat):
            numbers = numbers.astype(np.float64)  # ints beyond 64 bits
    except OverflowError:
        raise DialogueError(f"{place} holds a number that is too large for a float, got {value!r:.60}") from None
    except (TypeError, ValueError, RuntimeError):  # ragged lists, tensors that numpy cannot see
        numbers = None
    if numbers is None or numbers.dtype.kind not in "biuf":
        raise DialogueError(f"{place} must be {kind}, got {value!r:.60}")
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)


def get_features(utterance: Utterance, modality: str, size: int | None, place: str) -> np.ndarray | None:
    """Return one modality's feature vector `(size,)` float32, or None where the utterance lacks it.

    Raises:
        DialogueError: the vector has another size than `size` (where given), is no vector of numbers, or
            holds NaN or infinity.
    """
    key = FEATURE_KEYS[modality]
    value = utterance.get(key)
    if value is None:
        return None
    features = value if isinstance(utterance, ReadUtterance) else parse_features(value, key, place)
    if size is not None and len(features) != size:
        raise DialogueError(f"{place}: '{key}' has size {len(features)}, expected {size}")
    return features


def parse_features(value: Any, key: str, place: str) -> np.ndarray:
    """Turn the value of a key into a vector (size,) float32 of finite numbers, or raise a DialogueError."""
    features = as_numbers(value, "a list of numbers", f"{place}: '{key}'")
    if features.ndim != 1:
        raise DialogueError(
            f"{place}: '{key}' must be one vector per utterance, got an array of shape {features.shape}"
        )
    if not np.isfinite(features).all():
        where = int(np.flatnonzero(~np.isfinite(features))[0])
        raise DialogueError(
            f"{place}: '{key}'[{where}] is {features[where]}; leave the key out where the modality is missing"
        )
    return features
