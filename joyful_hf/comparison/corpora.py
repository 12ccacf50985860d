"""The corpora of a comparison, and their division into training, validation and test for each seed and fold."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset

from ..data.dialogue_files import load_dialogues
from ..io.messages import listed
from ..processing import DialogueError
from ..processing.labels import SINGLE_LABEL
from ..processing.reading import read_dialogues
from ..processing.summary import DialogueSummary, summarize_dialogues
from ..toy import corpus as toy_corpus
from ..toy import frames as toy_frames
from ..training.run_data import RunData, hold_out

TOYS = ("toy", "toy-frames")
"""Corpora that the package makes."""


@dataclass(frozen=True)
class CorpusSource:
    """Where a corpus comes from, and how it is divided: all that another process needs to read it."""

    name: str
    """The name in tables; one of `TOYS` without files is made by the package."""
    train_file: str | None = None
    validation_file: str | None = None
    """None: each seed and fold holds out its own tenth of the training dialogues."""
    test_file: str | None = None
    """None: cross-validation on the training dialogues."""
    folds: int | None = None
    """Folds of the cross-validation."""
    group_key: str | None = None
    """A key of the dialogues, such as the session: each of its values is a fold of its own."""
    columns: tuple[tuple[str, str], ...] = ()
    """Pairs of a key and its column, as in `load_dialogues`, for tables."""
    data_root: Path | None = None
    """For records of strangers, as in `load_dialogues`."""

    @property
    def is_cross_validated(self) -> bool:
        """Whether the training dialogues are divided into folds."""
        return self.test_file is None and (self.folds is not None or self.group_key is not None)


@dataclass(frozen=True)
class Split:
    """The dialogues of one training, and those that it is scored on."""

    data: RunData
    positions: np.ndarray
    """Positions of the test dialogues among the scored dialogues of the corpus."""


@dataclass(frozen=True)
class Corpus:
    """Dialogues, and how they are split."""

    train: Dataset
    validation: Dataset | None = None
    """None: each seed and fold holds out its own tenth of the training dialogues."""
    test: Dataset | None = None
    """None: cross-validation on the training dialogues."""
    folds: int | None = None
    group_key: str | None = None
    name: str = "corpus"
    best: dict[str, float] = field(default_factory=dict)
    """The scores of the best possible decisions, where they are known."""

    def __post_init__(self) -> None:
        if self.test is not None:
            if self.validation is None and len(self.train) < 2:
                raise DialogueError(f"{self.name}: too few training dialogues to hold one out; give `validation_file`")
            return
        size = len(self.train)
        if self.group_key is not None:
            if self.num_folds < 2:
                raise DialogueError(
                    f"`group_key`: all dialogues of {self.name} have the same {self.group_key!r}; there is nothing to "
                    "leave out"
                )
        elif self.folds is None:
            raise DialogueError(f"{self.name}: give `test_file`, or `folds` or `group_key` for cross-validation")
        elif not 2 <= self.folds <= size:
            raise DialogueError(f"`folds`: {self.folds} folds cannot be made of {size} training dialogues")
        if size - size // self.num_folds < 2:
            raise DialogueError(f"{self.name}: too few training dialogues to hold one out for validation")

    @property
    def scored(self) -> Dataset:
        """The dialogues whose predictions are scored, each once per seed."""
        return self.train if self.test is None else self.test

    @property
    def num_folds(self) -> int:
        """Number of trainings per seed."""
        if self.test is not None:
            return 1
        return len(set(self._groups)) if self.group_key is not None else self.folds or 1

    @cached_property
    def _groups(self) -> list[str]:
        if self.group_key not in self.train.column_names:
            raise DialogueError(
                f"`group_key`: the dialogues of {self.name} have no key {self.group_key!r}, but "
                f"{', '.join(name for name in self.train.column_names if name != 'utterances')}"
            )
        return [str(value) for value in self.train[self.group_key]]

    @cached_property
    def _summary(self) -> DialogueSummary:
        return summarize_dialogues(self.train)

    @property
    def problem_type(self) -> str:
        """Kind of labels, as in transformers."""
        return self._summary.problem_type or SINGLE_LABEL

    @property
    def label2id(self) -> dict[str, int] | None:
        """Classes of all training dialogues, so that every seed and fold numbers them alike; None for regression."""
        return self._summary.label2id

    @property
    def output_names(self) -> list[str]:
        """Names of the classes; none for regression."""
        return sorted(self.label2id, key=self.label2id.__getitem__) if self.label2id else []

    @cached_property
    def first_data(self) -> RunData:
        """The dialogues of the first seed and fold, whose training vectors are read once however many models look."""
        data = self.split(0).data
        return replace(data, train=read_dialogues(data.train))

    @cached_property
    def lengths(self) -> list[int]:
        """Number of utterances of each scored dialogue."""
        return [len(dialogue["utterances"]) for dialogue in self.scored]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the contents of all dialogues, and of how they are split."""
        digest = hashlib.sha256(f"{self.folds} {self.group_key}".encode())
        for part in (self.train, self.validation, self.test):
            digest.update(b"none" if part is None else _content(part))
        return digest.hexdigest()[:16]

    def split(self, seed: int, fold: int = 0) -> Split:
        """Return the dialogues of one seed, and of one fold in cross-validation."""
        if self.test is not None:
            parts = hold_out(self.train, seed) if self.validation is None else (self.train, self.validation)
            return Split(RunData(*parts, self.test), np.arange(len(self.scored)))
        if self.group_key is not None:
            group = sorted(set(self._groups))[fold]
            held_out = np.flatnonzero(np.array(self._groups) == group)
        else:
            held_out = np.random.default_rng(seed).permutation(len(self.train))[fold :: self.folds]
        rest = self.train.select(np.setdiff1d(np.arange(len(self.train)), held_out))
        return Split(RunData(*hold_out(rest, seed), self.train.select(held_out)), held_out)


def _content(dialogues: Dataset) -> bytes:
    """Return the rows as bytes, independent of the file they came from and of their layout in memory."""
    table = dialogues.data.table.combine_chunks().replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def corpus_source(given: str, folds: int | None = None, group_key: str | None = None) -> CorpusSource:
    """Read the word for a corpus: `toy`, `toy-frames`, or a folder as `joyful prepare` writes it, with `NAME=` or not.

    Raises:
        DialogueError: there is no such folder, or it holds no training dialogues.
    """
    if given in TOYS:
        return CorpusSource(given, folds=folds, group_key=group_key)
    name, _, place = given.rpartition("=")
    folder = Path(place)
    if not folder.is_dir():
        raise DialogueError(f"`corpus`: {place}: there is no such folder, and it is none of {', '.join(TOYS)}")
    files = {split: _file_of(folder, split) for split in ("train", "validation", "test")}
    if files["train"] is None:
        raise DialogueError(f"`corpus`: {place} holds no file train.parquet, train.jsonl or train.csv")
    cross_validated = folds is not None or group_key is not None
    return CorpusSource(
        name or folder.resolve().name,
        files["train"],
        None if cross_validated else files["validation"],
        None if cross_validated else files["test"],
        folds,
        group_key,
    )


def _file_of(folder: Path, split: str) -> str | None:
    names = (f"{split}.{suffix}" for suffix in ("parquet", "jsonl", "csv"))
    return next((str(folder / name) for name in names if (folder / name).is_file()), None)


def read_corpus(source: CorpusSource) -> Corpus:
    """Read the files, or make the toy corpus.

    Raises:
        DialogueError: a file cannot be read, there are too few dialogues, or validation or test dialogues have labels
            that the training dialogues lack.
    """
    if source.train_file is None:
        return _make_toy(source)
    columns, held_out = dict(source.columns), (source.validation_file, source.test_file)
    validation, test = (
        load_dialogues(file, split, columns, source.data_root) if file else None
        for file, split in zip(held_out, ("validation", "test"), strict=True)
    )
    train = load_dialogues(source.train_file, columns=columns, data_root=source.data_root)
    corpus = Corpus(train, validation, test, source.folds, source.group_key, source.name)
    for file, dialogues in zip(held_out, (validation, test), strict=True):
        if dialogues is not None:
            _refuse_unknown_labels(corpus, dialogues, str(file))
    return corpus


def _refuse_unknown_labels(corpus: Corpus, dialogues: Dataset, file: str) -> None:
    """Refuse labels that the training dialogues do not have, before hours of training."""
    if corpus.label2id is None:
        return
    found = summarize_dialogues(dialogues).label2id or {}
    if unknown := sorted(found.keys() - corpus.label2id.keys()):
        raise DialogueError(
            f"{file}: {'label' if len(unknown) == 1 else 'labels'} {listed(unknown)} "
            f"{'is' if len(unknown) == 1 else 'are'} not in the training dialogues, which have "
            f"{listed(list(corpus.label2id), most=12)}; rename or remove {'it' if len(unknown) == 1 else 'them'}"
        )


def _make_toy(source: CorpusSource) -> Corpus:
    if source.name not in TOYS:
        raise DialogueError(f"`corpus`: {source.name!r} has no files, and it is none of {', '.join(TOYS)}")
    is_frames = source.name == "toy-frames"
    module = toy_frames if is_frames else toy_corpus
    splits = toy_frames.make_toy_frame_corpus() if is_frames else toy_corpus.make_toy_corpus()
    cross_validated = source.folds is not None or source.group_key is not None
    held_out = (None, None) if cross_validated else (splits["validation"], splits["test"])
    scored = splits["train"] if cross_validated else splits["test"]
    best = {
        "best_possible_accuracy": module.best_possible_accuracy(scored),
        "accuracy_of_best_decisions": module.accuracy_of_best_decisions(scored),
    }
    return Corpus(splits["train"], *held_out, source.folds, source.group_key, source.name, best)
