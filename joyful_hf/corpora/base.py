"""The records that describe a corpus, shared by the modules that build them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ..processing.labels import SINGLE_LABEL

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

# The papers hold out one dialogue in ten for validation where a corpus has no validation set.
VALIDATION_STEP = 10
VALIDATION_RULE = f"every {VALIDATION_STEP}th dialogue of the others, in the order of their names, is for validation"

Item = TypeVar("Item")


@dataclass(frozen=True)
class LabelScheme:
    """The labels of a corpus under one of its schemes."""

    meaning: str
    labels: tuple[str, ...] = ()
    """Class names in the papers' order; empty for regression."""
    problem_type: str = SINGLE_LABEL
    """As in transformers."""


@dataclass(frozen=True)
class PublishedCounts:
    """Counts that a paper prints for a corpus. Keys are splits; `"train+validation"` stands for the two together."""

    source: str
    dialogues: Mapping[str, int] = field(default_factory=dict)
    utterances: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    remark: str = ""
    """The reason why the corpus itself may differ."""


def counts_by_label(labels: Sequence[str], *counts: Sequence[int]) -> dict[str, dict[str, int]]:
    """Return split -> label -> its count, from the counts of all labels in each of `SPLITS`."""
    return {split: dict(zip(labels, row, strict=True)) for split, row in zip(SPLITS, counts, strict=True)}


def join_splits(counts: PublishedCounts, splits: Sequence[str]) -> PublishedCounts:
    """Return the same counts with some splits added up."""

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
    """Items that a builder could not use, by name, with the reason. Each is noted once, however often it is met."""

    missing_files: dict[str, str] = field(default_factory=dict)
    """Files and parts that are missing or unusable; the utterance lacks that modality."""
    known_bad: dict[str, str] = field(default_factory=dict)
    """Parts of the release that are known to be broken; they are masked or left out."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Utterances and dialogues that are not in the output."""


@dataclass
class BuiltCorpus:
    """A corpus, ready to be written."""

    files: Mapping[str, Callable[[], Iterator[dict[str, Any]]]]
    """Output file, such as `train` or `fold1/train` -> a function that yields its dialogues."""
    label_scheme_name: str
    label_scheme: LabelScheme
    speaker_scheme: str
    split: str
    """Sentence on how the dialogues are divided."""
    contents: Mapping[str, str]
    """Key of an utterance, except speaker and label -> what it holds."""
    notes: Notes
    published: PublishedCounts | None = None


@dataclass(frozen=True)
class Corpus:
    """A corpus that `joyful prepare` knows."""

    label_schemes: Mapping[str, LabelScheme]
    splits: tuple[str, ...]
    """The first is the default."""
    build: Callable[[Path, str | None, str], BuiltCorpus]
    """Builds the corpus from its source, a label scheme (None for the default) and a split."""


def hold_out(names: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Divide dialogues into training and validation by `VALIDATION_RULE`; of two to nine, the last is held out."""
    held_out = names[VALIDATION_STEP - 1 :: VALIDATION_STEP]
    if not held_out and len(names) > 1:
        held_out = names[-1:]
    kept_back = set(held_out)
    return [name for name in names if name not in kept_back], list(held_out)
