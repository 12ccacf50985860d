"""Disks that are full or cannot be written: found before the work where possible, and named where not."""

import errno
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from ..processing.dialogue_error import DialogueError

_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
# torch, safetensors and numpy raise errors of their own, without the number of the operating system's.
_WORDS = (
    "PytorchStreamWriter",
    "inline_container",
    "file write failed",
    "I/O error",
    "IoError",
    "os error",
    " requested and ",
)
_PROBE = 1 << 16


@contextmanager
def clear_write_errors(place: Path) -> Generator[None, None, None]:
    """Turn the errors of a disk that is full or cannot be written into one line that names the file.

    Args:
        place: the file that is written, or the folder whose newest file was.

    Raises:
        DialogueError: a file could not be written.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if (reason := _write_fault(error, place)) is None:
            raise
        raise DialogueError(f"{_unwritten(error, place)}: cannot be written ({reason})") from None


def _write_fault(error: Exception, place: Path) -> str | None:
    """The reason why a file could not be written; None if the error is another one."""
    if isinstance(error, OSError) and error.errno is not None:
        named = error.filename is None or Path(os.fsdecode(error.filename)).absolute().is_relative_to(_existing(place))
        return os.strerror(error.errno) if error.errno in _FAULTS and named else None
    message = str(error)
    if not any(words in message for words in _WORDS):
        return None
    for number in _FAULTS:
        if f"os error {number})" in message or os.strerror(number) in message:
            return os.strerror(number)
    return _tried(_existing(place)) or "the disk may be full, or a limit on the size of files reached"


def check_writable(folder: Path, needed: int = 0) -> None:
    """Refuse a folder that cannot be written, or whose disk has not enough room, by writing a probe beside it.

    Args:
        folder: need not exist.
        needed: bytes.

    Raises:
        DialogueError: it cannot be written, or there is less room.
    """
    place = _existing(folder)
    if reason := _tried(place):
        raise DialogueError(f"`output_dir`: {folder} cannot be written ({reason})")
    if (free := shutil.disk_usage(place).free) < needed:
        raise DialogueError(
            f"`output_dir`: the disk of {folder} has {_size(free)} free, and the checkpoints of this run take up to "
            f"{_size(needed)}; make room, or choose another folder"
        )


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder; 0 if there is none."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _tried(place: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(bytes(_PROBE))
            probe.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    path = path.absolute()
    return next(parent for parent in (path, *path.parents) if parent.is_dir())


def _unwritten(error: Exception, place: Path) -> Path:
    """The file that could not be written: in a folder the one that the error names, or else the newest one."""
    if not place.is_dir():
        return place
    name = getattr(error, "filename", None)
    if isinstance(name, str | bytes):
        return Path(os.fsdecode(name))
    if isinstance(error, SafetensorError):  # it leaves nothing of the file; models are saved under this name
        return place / "model.safetensors"
    files = [file for file in place.rglob("*") if file.is_file()]
    return max(files, key=lambda file: file.stat().st_mtime_ns, default=place)


def _size(count: int) -> str:
    amount, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:.0f} {unit}"
