"""Records of strangers: the recordings that they name lie in a folder of theirs, or are refused."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, config
from huggingface_hub import constants

from ..processing import DialogueError
from ..processing.dialogues import dialogue_name, utterance_name
from .columns import MEDIA_FILE_KEYS


def refuse_media_outside(dataset: Dataset, data_root: str | Path | None) -> None:
    """Refuse dialogues that name a recording outside of a folder, also by way of a link.

    Args:
        data_root: the folder; by default, anything may be named.

    Raises:
        DialogueError: a recording lies outside, or there is no such folder.
    """
    if data_root is None:
        return
    root = Path(data_root)
    if not root.is_dir():
        raise DialogueError(f"`data_root`: {root} is no folder")
    place = _first_outside(dataset, [root])
    if place is not None:
        raise DialogueError(f"{place} names a file outside of `data_root`, {root}; nothing was read")


def refuse_media_of_this_machine(dataset: Dataset) -> None:
    """Refuse dialogues of the Hub that name a file of this machine, other than what came from the Hub.

    Raises:
        DialogueError: one does.
    """
    caches = (constants.HF_HUB_CACHE, config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH)
    place = _first_outside(dataset, [Path(cache) for cache in caches])
    if place is not None:
        raise DialogueError(
            f"{place} names a file of this machine, which a data set of the Hub has no business with; nothing was read"
        )


def refuse_links_out(files: Iterable[Path], data_root: str | Path | None) -> None:
    """Refuse files of a folder that are links to somewhere else.

    Raises:
        DialogueError: one leads out of `data_root`.
    """
    roots = [] if data_root is None else [Path(data_root).resolve()]
    for file in files if roots else ():
        if not _is_inside(file, roots):
            raise DialogueError(f"{file}: is a link that leads out of `data_root`, {data_root}; nothing was read")


def _first_outside(dataset: Dataset, folders: Sequence[Path]) -> str | None:
    """Return the name for messages of the first key that names a file outside of the folders."""
    roots = [folder.resolve() for folder in folders]
    fields = dataset.data.schema.field("utterances").type.value_type
    keys = [key for key in sorted(MEDIA_FILE_KEYS) if fields.get_field_index(key) >= 0]
    position = 0
    for chunk in dataset.data.column("utterances").chunks if keys else ():
        for start, end in zip(chunk.offsets[:-1].to_pylist(), chunk.offsets[1:].to_pylist(), strict=True):
            for index in range(end - start):
                for key in keys:
                    path = _path_of(chunk.values.field(key)[start + index].as_py())
                    if path is not None and not _is_harmless(path, roots):
                        name = dialogue_name(dataset.select_columns(_ids(dataset))[position], position)
                        return f"{utterance_name(name, index)}: '{key}'"
            position += 1
    return None


def _ids(dataset: Dataset) -> list[str]:
    return [name for name in dataset.column_names if name == "dialogue_id"] or dataset.column_names[:1]


def _path_of(medium: Any) -> str | None:
    """Return the path that would be opened: bytes go before it."""
    if isinstance(medium, dict):
        medium = None if medium.get("bytes") is not None else medium.get("path")
    return medium if isinstance(medium, str) and medium else None


def _is_harmless(path: str, roots: Sequence[Path]) -> bool:
    """Whether a path leads into one of the folders, or to nothing; a reader tries backslashes as slashes."""
    spellings = [Path(path), Path(path.replace("\\", "/"))]
    try:
        return all(
            _is_inside(given, roots) or not (given.is_absolute() or ".." in given.parts or given.exists())
            for given in spellings
        )
    except (OSError, ValueError):  # a name that no file can have
        return True


def _is_inside(path: Path, roots: Sequence[Path]) -> bool:
    resolved = path.resolve()
    return any(resolved.is_relative_to(root) for root in roots)
