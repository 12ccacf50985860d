"""Write files whole or not at all, and read JSON with an error that says what is wrong with it."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..processing.dialogue_error import DialogueError
from .disk import clear_write_errors


@contextmanager
def written_whole(file: Path) -> Generator[Path, None, None]:
    """Give a path to write to, which becomes the file if all goes well, and leaves nothing behind otherwise.

    Raises:
        DialogueError: the disk is full, or cannot be written.
    """
    part = file.with_name(file.name + ".part")
    with clear_write_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


def write_json(record: Mapping[str, Any], file: Path, indent: int = 2) -> None:
    """Write an object as JSON, its keys in their own order."""
    with written_whole(file) as part:
        part.write_text(json.dumps(record, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object.

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
