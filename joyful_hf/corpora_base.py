"""What the builders of corpora share: the words that describe a corpus, and the notes that a builder takes."""

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .processing import DialogueError
from .processing.labels import SINGLE_LABEL

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

# One dialogue in ten: what the papers hold out for validation where a corpus does not say.
VALIDATION_STEP = 10
VALIDATION_RULE = f"every {VALIDATION_STEP}th dialogue of the others, in the order of their names, is for validation"

Item = TypeVar("Item")


@dataclass(frozen=True)
class LabelScheme:
    """Which labels a corpus has under one of its schemes."""

    meaning: str
    labels: tuple[str, ...] = ()
    """Class names in the papers' order; none for numbers."""
    problem_type: str = SINGLE_LABEL
    """As in transformers."""


@dataclass(frozen=True)
class PublishedCounts:
    """What a paper prints of a corpus. Keys are splits; `"train+validation"` stands for the two together."""

    source: str
    dialogues: Mapping[str, int] = field(default_factory=dict)
    utterances: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    remark: str = ""
    """Why the corpus itself may differ."""


def join_splits(counts: PublishedCounts, splits: Sequence[str]) -> PublishedCounts:
    """The same counts with some splits added up."""

    def renamed(split: str) -> str:
        return "+".join(splits) if split in splits else split

    dialogues, utterances = Counter[str](), Counter[str]()
    labels: dict[str, Counter[str]] = {}
    for split, count in counts.dialogues.items():
        dialogues[renamed(split)] += count
    for split, count in counts.utterances.items():
        utterances[renamed(split)] += count
    for split, of_split in counts.labels.items():
        labels.setdefault(renamed(split), Counter()).update(of_split)
    return replace(counts, dialogues=dialogues, utterances=utterances, labels=labels)


@dataclass
class Notes:
    """What a builder could not use, by name, with the reason. Each is told once, however often it is met."""

    missing_files: dict[str, str] = field(default_factory=dict)
    """Files and parts that are not there or cannot be used; the utterance lacks that modality."""
    known_bad: dict[str, str] = field(default_factory=dict)
    """What is known to be broken in the release, masked or left out."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Utterances and dialogues that are not in the output."""


@dataclass
class BuiltCorpus:
    """A corpus, ready to be written."""

    files: Mapping[str, Callable[[], Iterator[dict[str, Any]]]]
    """For each output file, such as `train` or `fold1/train`, what makes its dialogues one after the other."""
    label_scheme_name: str
    label_scheme: LabelScheme
    speaker_scheme: str
    split: str
    """How the dialogues are divided."""
    contents: Mapping[str, str]
    """For each key of an utterance beside speaker and label, what it holds."""
    notes: Notes
    published: PublishedCounts | None = None


@dataclass(frozen=True)
class Corpus:
    """A corpus that `joyful prepare` knows."""

    label_schemes: Mapping[str, LabelScheme]
    splits: tuple[str, ...]
    """The first is the default."""
    build: Callable[[Path, str | None, str], BuiltCorpus]
    """Source, label scheme (None for the default) and split -> the corpus."""


def hold_out(names: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Training and validation dialogues, by `VALIDATION_RULE`. Of fewer than 10, but two, the last is held out."""
    held_out = names[VALIDATION_STEP - 1 :: VALIDATION_STEP]
    if not held_out and len(names) > 1:
        held_out = names[-1:]
    kept_back = set(held_out)
    return [name for name in names if name not in kept_back], list(held_out)


def find_folder_with(source: Path, name: str) -> Path | None:
    """The folder that holds `name`: `source` itself, or one up to two levels below it."""
    for pattern in ("", "*/", "*/*/"):
        for folder in [source] if not pattern else sorted(source.glob(pattern)):
            if not folder.name.startswith(".") and (folder / name).exists():
                return folder
    return None


def require_folder(folder: Path, part: str) -> Path:
    """The folder itself.

    Raises:
        DialogueError: it is not there; the message names the part of the corpus that it would hold.
    """
    if not folder.is_dir():
        raise DialogueError(f"{folder}: there is no such folder; it should hold {part}")
    return folder


@contextmanager
def refuse_other_forms(path: Path) -> Generator[None, None, None]:
    """A value of an unforeseen kind in somebody else's file is bad input, not a mistake of ours.

    Raises:
        DialogueError: in place of the error that such a value leads to.
    """
    try:
        yield
    except DialogueError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"[:100]
        raise DialogueError(f"{path}: the file holds something else than its form has there ({reason})") from error


def files_of(folder: Path, suffix: str) -> list[Path]:
    """The files of a folder with this suffix, by name. Leaves out the `._name` files of macOS archives."""
    return sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))


def read_text(path: Path) -> str:
    """A text file in UTF-8, or in Windows-1252 where it is not that; quotes that were decoded wrongly are mended.

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
    """A character as the one byte that it was read from; five bytes have no character in Windows-1252."""
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
    """Mean (size,) float32 over the frames (frames, size), each size over its finite values; None without any."""
    frames = frames.astype(np.float64)
    finite = np.isfinite(frames)
    if not finite.any():
        return None
    return (np.where(finite, frames, 0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)).astype(np.float32)
