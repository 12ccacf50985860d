"""Read the vectors of dialogues once, so that whatever comes next starts from the same arrays."""

from collections.abc import Iterable, Sequence

from .dialogues import (
    FEATURE_KEYS,
    FRAME_KEYS,
    Dialogue,
    ReadUtterance,
    Utterance,
    as_dialogue_list,
    dialogue_name,
    get_features,
    get_utterances,
    utterance_name,
)
from .frames import get_frames
from .stored_dialogues import StoredDialogues


def read_dialogues(dialogues: Dialogue | Iterable[Dialogue]) -> Sequence[Dialogue]:
    """Read dialogues that are used more than once: to count them, to fit a processor and to be encoded.

    The result can be given wherever dialogues can, and no vector in it is parsed and checked again. Vectors and
    frames are float32 arrays; everything else is as it was. A data set that is too large to be kept in memory beside
    itself is read anew each time it is gone through.

    Raises:
        DialogueError: anything that `get_utterances`, `get_features` or `get_frames` refuses.
    """
    given = as_dialogue_list(dialogues)
    if isinstance(given, StoredDialogues) and given.is_large:
        return given
    return [_read(dialogue, position) for position, dialogue in enumerate(given)]


def _read(dialogue: Dialogue, position: int) -> Dialogue:
    name = dialogue_name(dialogue, position)
    utterances = get_utterances(dialogue, name)
    if all(isinstance(utterance, ReadUtterance) for utterance in utterances):
        return dialogue
    places = (utterance_name(name, index) for index in range(len(utterances)))
    read = [_read_utterance(utterance, place) for utterance, place in zip(utterances, places, strict=True)]
    return {**dialogue, "utterances": read}


def _read_utterance(utterance: Utterance, place: str) -> ReadUtterance:
    read = ReadUtterance(utterance)
    for modality, key in FEATURE_KEYS.items():
        if utterance.get(key) is not None:
            read[key] = get_features(utterance, modality, None, place)
    for modality, key in FRAME_KEYS.items():
        if utterance.get(key) is not None:  # else `get_frames` would give the feature vector
            read[key] = get_frames(utterance, modality, None, place)
    return read
