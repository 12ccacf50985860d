"""Data in several files: patterns such as `train-*.parquet`, and the shards that data sets on the Hub have."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from ..processing.dialogue_error import DialogueError
from .messages import counted, listed

_SHARD = re.compile(r"(?P<name>.+)-(?P<number>\d+)-of-(?P<count>\d+)(?P<suffix>\.[^-]*)")
_FOLDERS = ("", "data")
"""Where the files of a split lie in a folder: `data` is that of the Hub."""


def is_pattern(path: str | Path) -> bool:
    """Return whether a path stands for several files, as `train-*.parquet` does."""
    return glob.has_magic(str(path)) and not Path(path).exists()


def files_of_pattern(pattern: str | Path) -> list[Path]:
    """Return the files that a pattern stands for, in the order of their names.

    Raises:
        DialogueError: there is none, or one of a series of shards is missing.
    """
    files = [Path(file) for file in sorted(glob.glob(str(pattern), recursive=True)) if Path(file).is_file()]
    if not files:
        raise DialogueError(f"{pattern}: there is no such file")
    check_shards(files)
    return files


def shards_of_split(folder: Path, split: str, suffixes: Sequence[str]) -> list[Path]:
    """Return the files of a split in a folder: `<split>-00000-of-00002.parquet` and so on; none if there are none.

    Raises:
        DialogueError: one of them is missing.
    """
    for inner in _FOLDERS:
        for suffix in suffixes:
            files = sorted((folder / inner).glob(f"{glob.escape(split)}-*-of-*{suffix}"))
            files = [file for file in files if _SHARD.fullmatch(file.name)]
            if files:
                check_shards(files)
                return files
    return []


def check_shards(files: Sequence[Path]) -> None:
    """Raise a DialogueError if files are named as shards, and one of them is missing. Numbers begin with 0 or 1."""
    found: dict[tuple[str, str, int], set[int]] = {}
    for file in files:
        if shard := _SHARD.fullmatch(file.name):
            series = (str(file.parent / shard["name"]), shard["suffix"], int(shard["count"]))
            found.setdefault(series, set()).add(int(shard["number"]))
    for (name, suffix, count), numbers in found.items():
        first = 0 if 0 in numbers else 1
        missing = sorted(set(range(first, first + count)) - numbers)
        if missing:
            names = listed([shard_name(Path(name).name, number, count) + suffix for number in missing])
            raise DialogueError(f"{name}-*{suffix}: of {counted(count, 'shard')} {len(missing)} are missing: {names}")


def shard_name(stem: str, number: int, count: int) -> str:
    """Return the name of a shard, such as `found-00002-of-00008`."""
    return f"{stem}-{number:05d}-of-{count:05d}"
