"""Find and read the files of a corpus as its makers give it."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..processing import DialogueError


def find_folder_with(source: Path, name: str) -> Path | None:
    """Return the folder that holds `name`: `source` itself, or one up to two levels below it."""
    for pattern in ("", "*/", "*/*/"):
        for folder in [source] if not pattern else sorted(source.glob(pattern)):
            if not folder.name.startswith(".") and (folder / name).exists():
                return folder
    return None


def require_folder(folder: Path, part: str) -> Path:
    """Return the folder itself.

    Raises:
        DialogueError: it is missing; the message names the part of the corpus that it should hold.
    """
    if not folder.is_dir():
        raise DialogueError(f"{folder}: there is no such folder; it should hold {part}")
    return folder


@contextmanager
def refuse_other_forms(path: Path) -> Generator[None, None, None]:
    """Treat an unforeseen value in a file as bad input, not as a mistake of this package.

    Raises:
        DialogueError: in place of the error to which such a value leads.
    """
    try:
        yield
    except DialogueError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError) as error:  # h5py raises the last one
        reason = f"{type(error).__name__}: {error}"[:100]
        raise DialogueError(
            f"{path}: the file holds a value that its format does not have there ({reason})"
        ) from error


def files_of(folder: Path, suffix: str) -> list[Path]:
    """Return the files of a folder with this suffix, by name, without the `._name` files of macOS archives."""
    return sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or else in Windows-1252; quotes that were decoded wrongly are mended.

    Raises:
        DialogueError: the file is empty or holds no text.
    """
    data = path.read_bytes()
    if b"\0" in data or not data.strip():
        raise DialogueError(f"{path}: the file is {'no text' if data.strip() else 'empty'}; copy it again")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    return mend_quotes(text.replace("\r\n", "\n"))


_CONTROLS = {code: bytes([code]).decode("cp1252", errors="ignore") for code in range(0x80, 0xA0)}
# General punctuation (quotes, dashes, dots) is three bytes of UTF-8, of which the first is E2 and the second 80.
_MISREAD = re.compile("â€(.)")


def _windows_byte(character: str) -> bytes:
    """Return the byte that a character was read from; five bytes have no character in Windows-1252."""
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")


def mend_quotes(text: str) -> str:
    """Undo the two usual mistakes with Windows-1252: `â€™` and the control character 0x92, both meant as `’`."""

    def mend(found: re.Match[str]) -> str:
        try:
            return b"".join(map(_windows_byte, found[0])).decode("utf-8")
        except UnicodeError:  # not a misreading after all
            return found[0]

    return _MISREAD.sub(mend, text).translate(_CONTROLS)


def finite_mean(frames: np.ndarray) -> np.ndarray | None:
    """Return the mean (size,) float32 of frames (frames, size), over finite values only; None if there are none."""
    frames = frames.astype(np.float64)
    finite = np.isfinite(frames)
    if not finite.any():
        return None
    return (np.where(finite, frames, 0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)).astype(np.float32)
