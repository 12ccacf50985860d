"""The extractor that made a dialogue's features, and whether it is the one that the processor names."""

from collections.abc import Iterable, Mapping, Sequence

from .dialogues import FEATURE_KEYS, MODALITIES, Dialogue, DialogueError, dialogue_name
from .encoder_folders import folder_name, is_left_behind
from .encoder_layers import Layers, split_layers
from .stored_dialogues import StoredDialogues


def same_extractor(name: str, other: str) -> bool:
    """Whether two names can stand for the same extractor.

    One without a revision, or without layers, stands for any, and an encoder that lies on somebody else's machine for
    any of its name.
    """
    (encoder, layers), (other_encoder, other_layers) = split_layers(name), split_layers(other)
    if is_left_behind(encoder) or is_left_behind(other_encoder):
        is_same = folder_name(encoder) == folder_name(other_encoder)
    elif "@" in encoder and "@" in other_encoder:
        is_same = encoder == other_encoder
    else:
        is_same = encoder.partition("@")[0] == other_encoder.partition("@")[0]
    if None in (layers, other_layers) or layers == other_layers:
        return is_same
    try:
        return is_same and Layers.parse(str(layers)).fits(Layers.parse(str(other_layers)))
    except ValueError:  # names of somebody else's extractors
        return False


def extractors_of(dialogues: Sequence[Dialogue]) -> dict[str, str]:
    """Return modality -> the extractor that made the dialogues' features, where `extract_features` left its name.

    Raises:
        DialogueError: the dialogues name different ones.
    """
    found: dict[str, str] = {}
    for position, dialogue in enumerate(_heads_of(dialogues)):
        made_by = _made_by(dialogue)
        _refuse_others(made_by, found, dialogue_name(dialogue, position), "other dialogues")
        found = made_by | found
    return found


def check_origin(dialogues: Iterable[Dialogue], extractors: Mapping[str, str], first_position: int = 0) -> None:
    """Refuse dialogues whose features were made by another extractor than a processor's own.

    Args:
        extractors: modality -> the processor's extractor.
        first_position: position of the first dialogue, where these are part of a longer list.

    Raises:
        DialogueError: there is such a dialogue.
    """
    for position, dialogue in enumerate(_heads_of(dialogues), first_position):
        _refuse_others(_made_by(dialogue), extractors, dialogue_name(dialogue, position), "this processor")


def _heads_of(dialogues: Iterable[Dialogue]) -> Iterable[Dialogue]:
    """Return the dialogues, without their utterances where that is less work."""
    return dialogues.heads() if isinstance(dialogues, StoredDialogues) else dialogues


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
