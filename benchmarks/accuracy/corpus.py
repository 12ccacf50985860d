"""The corpus of the accuracy benchmark, and its division into training and test for each seed and fold."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from datasets import Dataset

from joyful_hf import (
    load_dialogues,
    make_toy_corpus,
    make_toy_frame_corpus,
    summarize_dialogues,
)
from joyful_hf.processing import DialogueError
from joyful_hf.processing.labels import SINGLE_LABEL
from joyful_hf.processing.summary import DialogueSummary
from joyful_hf.toy import corpus as toy_corpus
from joyful_hf.toy import frames as toy_frames
from joyful_hf.training.run_data import RunData, hold_out


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
    validation: Dataset | None
    """None: each seed and fold holds out its own tenth of the training dialogues."""
    test: Dataset | None
    """None: cross-validation on the training dialogues."""
    folds: int | None = None

    def __post_init__(self) -> None:
        size = len(self.train)
        if self.folds is not None and not 2 <= self.folds <= size:
            raise DialogueError(f"--folds: {self.folds} folds cannot be made of {size} training dialogues")
        left = size - -(-size // self.folds) if self.folds else size
        if self.validation is None and left < 2:
            raise DialogueError("too few training dialogues to hold one out for validation; give --validation-file")

    @property
    def scored(self) -> Dataset:
        """The dialogues whose predictions are scored, each once per seed."""
        return self.train if self.test is None else self.test

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

    @cached_property
    def lengths(self) -> list[int]:
        """Number of utterances of each scored dialogue."""
        return [len(dialogue["utterances"]) for dialogue in self.scored]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the contents of all dialogues, and of the number of folds."""
        digest = hashlib.sha256(str(self.folds).encode())
        for part in (self.train, self.validation, self.test):
            digest.update(b"none" if part is None else _content(part))
        return digest.hexdigest()[:16]

    def splits(self, seed: int) -> Iterator[Split]:
        """Yield the splits of one seed: a single one, or one per fold."""
        if self.folds:
            order = np.random.default_rng(seed).permutation(len(self.train))
            for fold in range(self.folds):
                held_out = order[fold :: self.folds]
                rest = self.train.select(np.setdiff1d(order, held_out))
                yield Split(RunData(*hold_out(rest, seed), self.train.select(held_out)), held_out)
        else:
            parts = hold_out(self.train, seed) if self.validation is None else (self.train, self.validation)
            yield Split(RunData(*parts, self.test), np.arange(len(self.scored)))


def _content(dialogues: Dataset) -> bytes:
    """Return the rows as bytes, independent of the file they came from and of their layout in memory."""
    table = dialogues.data.table.combine_chunks().replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def load_corpus(train_file: str, validation_file: str | None, test_file: str | None, folds: int | None) -> Corpus:
    """Read the files.

    Raises:
        DialogueError: a file cannot be read, or there are too few dialogues.
    """
    validation = load_dialogues(validation_file, split="validation") if validation_file else None
    test = load_dialogues(test_file, split="test") if test_file else None
    return Corpus(load_dialogues(train_file), validation, test, folds)


def load_toy_corpus(name: str, folds: int | None) -> tuple[Corpus, dict[str, float]]:
    """Return a toy corpus, and the accuracy of the best possible decisions on the scored dialogues."""
    module = toy_frames if name == "toy-frames" else toy_corpus
    splits = make_toy_frame_corpus() if name == "toy-frames" else make_toy_corpus()
    corpus = Corpus(splits["train"], None if folds else splits["validation"], None if folds else splits["test"], folds)
    best = {
        "best_possible_accuracy": module.best_possible_accuracy(corpus.scored),
        "accuracy_of_best_decisions": module.accuracy_of_best_decisions(corpus.scored),
    }
    return corpus, best
