"""Text files as other programs write them: compressed, in UTF-8 or UTF-16, with any ends of lines."""

import gzip
import json
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..processing.dialogue_error import DialogueError


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case, that of the content where the file is compressed: `.csv` of `a.csv.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]


@contextmanager
def opened(path: Path) -> Generator[Any, None, None]:
    """Open a file for reading its bytes, which may be compressed by gzip.

    Raises:
        DialogueError: the file is called `.gz`, and cannot be decompressed.
    """
    if path.suffix.lower() != ".gz":
        with path.open("rb") as file:
            yield file
        return
    try:
        with gzip.open(path) as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DialogueError(f"{path}: cannot be decompressed, it may be truncated ({error})") from None


def utf8_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a text in UTF-8, UTF-16 or UTF-32, as UTF-8; a line may end with LF, CR LF or CR.

    Raises:
        DialogueError: UTF-16 or UTF-32 that breaks off.
    """
    with opened(path) as file:
        encoding = json.detect_encoding(file.peek(4)[:4])
        if encoding in ("utf-8", "utf-8-sig"):
            for line in file:
                yield from line.rstrip(b"\r\n").split(b"\r")
            return
        try:  # PowerShell writes UTF-16
            yield from file.read().decode(encoding).encode("utf-8", "surrogatepass").splitlines()
        except UnicodeDecodeError as error:
            raise DialogueError(f"{path}: the file is {encoding.upper()} and not whole ({error.reason})") from None


def read_any_text(path: Path) -> str:
    """Return a text in UTF-8, UTF-16 or UTF-32, or else in Windows-1252, which old spreadsheets write."""
    data = b"\n".join(utf8_lines(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
