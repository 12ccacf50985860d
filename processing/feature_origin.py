"""Which extractor made the features of an utterance, and whether it is the one that the processor names."""

from collections.abc import Mapping, Sequence

from .dialogues import (
    FEATURE_KEYS,
    MODALITIES,
    Dialogue,
    DialogueError,
    dialogue_name,
)


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
