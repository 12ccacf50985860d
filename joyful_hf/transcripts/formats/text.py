"""Text files in any common encoding, and the XML and JSON in them."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ...processing.dialogues import DialogueError

_BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_BINARY_STARTS = {
    b"PK\x03\x04": "a ZIP archive, such as .docx or .xlsx; export it as text, WebVTT or CSV",
    b"%PDF": "a PDF; export the transcript as text, WebVTT or CSV",
    b"ooBinaryFile": "a binary file of Praat; in Praat use 'Save as text file...'",
    b"RIFF": "a recording, not its transcript",
    b"OggS": "a recording, not its transcript",
    b"fLaC": "a recording, not its transcript",
    b"ID3": "a recording, not its transcript",
    b"\x1a\x45\xdf\xa3": "a recording, not its transcript",
    b"\x1f\x8b": "compressed; unpack it first",
}
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def read_text(path: Path, encoding: str | None = None) -> tuple[str, list[str]]:
    """Read a text file in UTF-8, UTF-16 or UTF-32; lines in none of these are read as Windows-1252.

    Args:
        encoding: the encoding to use instead of detecting it.

    Returns:
        The text, with `\\n` at the end of each line, and what was guessed.

    Raises:
        DialogueError: the file is missing, empty, binary, or in another encoding.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DialogueError(f"{path}: {_reason(error)}") from None
    if not data.strip():
        raise DialogueError(f"{path}: the file is empty; copy or export it again")
    for start, what in _BINARY_STARTS.items():
        if data.startswith(start):
            raise DialogueError(f"{path}: the file is {what}")
    if data[4:8] == b"ftyp":
        raise DialogueError(f"{path}: the file is a recording, not its transcript")
    text, notes = _decoded(data, path, encoding)
    return text.replace("\r\n", "\n").replace("\r", "\n"), notes


def _reason(error: OSError) -> str:
    return "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"


def _decoded(data: bytes, path: Path, encoding: str | None) -> tuple[str, list[str]]:
    marked = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
    unmarked = _utf_16_of(data) if marked is None else None
    chosen = encoding or marked or unmarked
    if chosen is None and _CONTROLS.search(data):
        raise DialogueError(f"{path}: the file is binary, and no text; give the transcript that your tool exports")
    try:
        text = data.decode(chosen or "utf-8")
    except LookupError:
        raise DialogueError(f"{path}: there is no encoding {encoding!r}; utf-8, utf-16 and cp1252 are some") from None
    except UnicodeDecodeError as error:
        if chosen is not None and chosen != "utf-8-sig":
            raise DialogueError(
                f"{path}: not {chosen} (byte {error.start} of {len(data)}); the file may be truncated"
            ) from None
        return _decoded_by_line(data.removeprefix(b"\xef\xbb\xbf"), path)
    if chosen == unmarked is not None:
        return text, [f"no byte order mark: read as {unmarked}"]
    return text, []


def _utf_16_of(data: bytes) -> str | None:
    """Detect UTF-16 without a byte order mark: in files of most languages, most characters have a zero byte."""
    even, odd = data[:2000:2].count(0), data[1:2000:2].count(0)
    half = min(len(data), 2000) // 2
    if len(data) % 2 or max(even, odd) < 0.4 * half or min(even, odd) > 0.05 * half:
        return None
    return "utf-16-be" if even > odd else "utf-16-le"


def _decoded_by_line(data: bytes, path: Path) -> tuple[str, list[str]]:
    """Lines that are UTF-8, and others, which are taken for Windows-1252."""
    lines, others = [], []
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            others.append(number)
            try:
                lines.append(line.decode("cp1252"))
            except UnicodeDecodeError:
                raise DialogueError(
                    f"{path}, line {number}: neither UTF-8 nor Windows-1252; name the file's `encoding`"
                ) from None
    where = f"line {others[0]}" if len(others) == 1 else f"{len(others)} lines, the first of them line {others[0]},"
    return "\n".join(lines), [f"{where} not in UTF-8: read as Windows-1252; if letters are wrong, name the `encoding`"]


def parse_json(text: str, path: Path) -> Any:
    """Parse JSON. Raises a `DialogueError` with the line and column if it is invalid."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        hint = "; the file is truncated, export it again" if is_cut else ""
        raise DialogueError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg}){hint}"
        ) from None
    except (RecursionError, ValueError) as error:
        raise DialogueError(f"{path}: not JSON ({error})") from None


class _RefusingBuilder(ElementTree.TreeBuilder):
    """Refuses a document type, which can define entities that expand endlessly or that name other files."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DialogueError("the file has a document type (DTD), which ELAN does not write; remove it")


def parse_xml(text: str, path: Path) -> ElementTree.Element:
    """Parse XML without a document type. Raises a `DialogueError` with the line if it is invalid."""
    parser = ElementTree.XMLParser(target=_RefusingBuilder())
    try:
        # As text, whose encoding is known: the declaration may name another.
        return ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text), parser)
    except ElementTree.ParseError as error:
        line, column = error.position
        raise DialogueError(f"{path}, line {line}, column {column + 1}: not XML ({error}); export it again") from None
    except DialogueError as error:
        raise DialogueError(f"{path}: {error}") from None
