"""Files that are written whole or not at all, and JSON that is read with a message of what is wrong with it."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..processing import DialogueError


@contextmanager
def written_whole(file: Path) -> Generator[Path, None, None]:
    """A path to write to: it becomes the file when all went well, and leaves nothing behind otherwise."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def write_json(record: Mapping[str, Any], file: Path, indent: int = 2) -> None:
    """Write an object, its keys in the order that they have."""
    with written_whole(file) as part:
        part.write_text(json.dumps(record, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(file: Path) -> dict[str, Any]:
    """Read an object.

    Raises:
        DialogueError: it cannot be read, or holds something else.
    """
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DialogueError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(record, dict):
        raise DialogueError(f"{file}: holds a {type(record).__name__}, expected an object")
    return record
