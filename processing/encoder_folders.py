"""Encoders in folders of one machine, which are nothing to another one: a processor that is shared names them apart.

`/home/ada/encoders/tiny-bert#-4:` becomes `local:tiny-bert#-4:`. Features that the encoder made are still known as its
own; to read raw media, whoever loads the processor says where the encoder is.
"""

from pathlib import Path

from .dialogue_error import DialogueError
from .encoder_layers import split_layers

LEFT_BEHIND = "local:"
"""Beginning of the names of encoders that lie on somebody else's machine."""


def is_folder(extractor: str) -> bool:
    """Whether the name of an extractor is the path of a folder, on this machine or by its form, and no Hub id."""
    encoder = split_layers(extractor)[0]
    by_form = encoder.startswith((".", "~")) or "\\" in encoder or encoder.count("/") > 1
    return by_form or Path(encoder).is_absolute() or Path(encoder).is_dir()


def is_left_behind(extractor: str | None) -> bool:
    """Whether the name of an extractor is that of a folder on somebody else's machine."""
    return extractor is not None and extractor.startswith(LEFT_BEHIND)


def without_folder(extractor: str) -> str:
    """Return the name under which an extractor is shared: the path of a folder is nobody else's business."""
    if is_left_behind(extractor) or not is_folder(extractor):
        return extractor
    layers = split_layers(extractor)[1]
    return f"{LEFT_BEHIND}{folder_name(extractor)}{'' if layers is None else f'#{layers}'}"


def folder_name(extractor: str) -> str:
    """Return the last part of an encoder's place: of the path of a folder, of a Hub id, or of a name left behind."""
    encoder = split_layers(extractor)[0].removeprefix(LEFT_BEHIND)
    place = Path(encoder) if Path(encoder).is_dir() else Path(encoder.partition("@")[0].replace("\\", "/"))
    return (place.resolve() if place.name in ("", "..") else place).name


def refuse_left_behind(key: str, extractor: str) -> None:
    """Raise a DialogueError that says how to go on without an encoder that lies on somebody else's machine.

    Args:
        key: the parameter of the processor.
    """
    if is_left_behind(extractor):
        raise DialogueError(
            f"{key}: {folder_name(extractor)!r} is an encoder in a folder of the machine that this processor comes "
            f"from, and did not come with it; load the processor with its folder or Hub id as {key}, or bring the "
            "features that it makes"
        )
