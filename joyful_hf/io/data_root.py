"""Records of strangers: the recordings that they name lie in a folder of theirs, or are refused."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, config
from huggingface_hub import constants

from ..processing.dialogue_error import DialogueError
from ..processing.dialogues import MEDIA_KEYS, dialogue_name, utterance_name


def refuse_files_outside(folder: str | Path, data_root: str | Path | None) -> None:
    """Refuse a folder of files if one of them lies outside of `data_root`, also by way of a link.

    Args:
        folder: a file or an id of the Hub is let through: whoever names it knows where it is.
        data_root: by default, links may lead anywhere.

    Raises:
        DialogueError: a file lies outside, or `data_root` is no folder.
    """
    if data_root is None or not Path(folder).is_dir():
        return
    root = _root(data_root)
    for file in sorted(Path(folder).rglob("*")):
        if not _is_inside(file, [root]):
            raise DialogueError(f"{file}: leads out of `data_root`, {data_root}; nothing was read")


def refuse_media_outside(dataset: Dataset, data_root: str | Path | None) -> None:
    """Refuse dialogues that name a recording outside of a folder, also by way of a link.

    Args:
        data_root: the folder; by default, anything may be named.

    Raises:
        DialogueError: a recording lies outside, or `data_root` is no folder.
    """
    if data_root is None:
        return
    place = _first_outside(dataset, [_root(data_root)])
    if place is not None:
        raise DialogueError(f"{place} names a file outside of `data_root`, {data_root}; nothing was read")


def refuse_media_of_this_machine(dataset: Dataset) -> None:
    """Refuse dialogues of the Hub that name a file of this machine, other than what came from the Hub.

    Raises:
        DialogueError: one does.
    """
    caches = (constants.HF_HUB_CACHE, config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH)
    place = _first_outside(dataset, [Path(cache).resolve() for cache in caches])
    if place is not None:
        raise DialogueError(
            f"{place} names a file of this machine, which a data set of the Hub has no business with; nothing was read"
        )


def _root(data_root: str | Path) -> Path:
    if not Path(data_root).is_dir():
        raise DialogueError(f"`data_root`: {data_root} is no folder")
    return Path(data_root).resolve()


def _first_outside(dataset: Dataset, roots: Sequence[Path]) -> str | None:
    """Return the name for messages of the first key that names a file outside of the folders."""
    position = 0
    for chunk in dataset.data.column("utterances").chunks:
        for key in (MEDIA_KEYS["audio"], MEDIA_KEYS["visual"]):
            paths = _paths(chunk.flatten(), key)
            bad = {path for path in set(paths) if path is not None and not _is_harmless(path, roots)}
            if bad:
                first = next(index for index, path in enumerate(paths) if path in bad)
                return f"{_name_of(dataset, position, chunk.to_pylist(), first)}: '{key}'"
        position += len(chunk)
    return None


def _paths(utterances: pa.StructArray, key: str) -> list[str | None]:
    """Return the path that would be opened of a medium of each utterance: bytes go before it."""
    if utterances.type.get_field_index(key) < 0:
        return []
    media = utterances.field(key)
    kind = media.type
    if pa.types.is_struct(kind):
        has_bytes = kind.get_field_index("bytes") >= 0
        given = media.field("bytes").is_valid().to_pylist() if has_bytes else [False] * len(media)
        paths = media.field("path").to_pylist() if kind.get_field_index("path") >= 0 else [None] * len(media)
        return [None if is_given else path for is_given, path in zip(given, paths, strict=True)]
    return media.to_pylist() if pa.types.is_string(kind) or pa.types.is_large_string(kind) else []


def _name_of(dataset: Dataset, position: int, dialogues: Sequence[Sequence[object] | None], index: int) -> str:
    """Return how messages call an utterance, counted over the dialogues from this position on."""
    for utterances in dialogues:
        if index < len(utterances or ()):
            break
        index, position = index - len(utterances or ()), position + 1
    ids = dataset["dialogue_id"] if "dialogue_id" in dataset.column_names else None
    return utterance_name(dialogue_name({"dialogue_id": None if ids is None else ids[position]}, position), index)


def _is_harmless(path: str, roots: Sequence[Path]) -> bool:
    """Whether a path leads into one of the folders, or to nothing; a reader tries backslashes as slashes."""
    try:
        return all(
            _is_inside(given, roots) or not (given.is_absolute() or ".." in given.parts or given.exists())
            for given in (Path(path), Path(path.replace("\\", "/")))
        )
    except (OSError, ValueError):  # a name that no file can have
        return True


def _is_inside(path: Path, roots: Sequence[Path]) -> bool:
    resolved = path.resolve()
    return any(resolved.is_relative_to(root) for root in roots)
