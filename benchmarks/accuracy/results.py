"""The results file of the accuracy benchmark: its contents, the cells in it that still count, and their metrics."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.cell import selection_metric
from benchmarks.accuracy.paired_bootstrap import PairedBootstrap, confusion_counts
from joyful_hf.comparison.corpora import Corpus
from joyful_hf.processing import DialogueError
from joyful_hf.processing.labels import SINGLE_LABEL


class Results:
    """The file as it is on disk: the corpus's fingerprint, labels and gold labels, and the cells.

    Args:
        path: path of the file, which need not exist.

    Raises:
        DialogueError: the file does not hold results of this benchmark.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.corpus: dict[str, Any] = {}
        self.cells: dict[str, dict[str, Any]] = {}
        if path.exists():
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                self.corpus, self.cells = content["corpus"], content["cells"]
            except (ValueError, KeyError, TypeError):
                raise DialogueError(f"{path}: holds no results of this benchmark; choose another --output") from None

    def set_corpus(self, corpus: Corpus) -> None:
        """Set the corpus that the cells belong to.

        Raises:
            DialogueError: the file has cells of another corpus.
        """
        if self.cells and self.corpus["fingerprint"] != corpus.fingerprint:
            raise DialogueError(
                f"{self.path}: its cells are of other dialogues or of another number of folds; choose another --output"
            )
        gold = self.corpus.get("gold")
        self.corpus = {
            "fingerprint": corpus.fingerprint,
            "folds": corpus.folds,
            "problem_type": corpus.problem_type,
            "labels": sorted(corpus.label2id, key=corpus.label2id.__getitem__) if corpus.label2id else [],
            **corpus.best,
            "gold": gold,
        }

    def is_finished(self, key: str, settings: str) -> bool:
        """Return whether a cell exists; if it has other settings, say that it is run again."""
        cell = self.cells.get(key)
        if cell is not None and cell["settings"] != settings:
            print(f"{key}: its settings have changed, it is run again", flush=True)
            return False
        return cell is not None

    def add(self, key: str, settings: str, cell: dict[str, Any]) -> None:
        """Add a finished cell, and write the file."""
        gold = cell.pop("gold", None)
        self.corpus["gold"] = gold
        self.cells[key] = {"settings": settings} | cell
        self._write()

    def _write(self) -> None:
        """Write one line per cell, and never half a file."""
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(cell)}" for key, cell in self.cells.items())
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        temporary.write_text(f'{{"corpus": {json.dumps(self.corpus)},\n"cells": {{\n{lines}\n}}}}\n', encoding="utf-8")
        temporary.replace(self.path)


@dataclass(frozen=True)
class Measured:
    """The variants of one model whose seeds have all been run: the content of a report."""

    corpus: dict[str, Any]
    cells: dict[str, list[dict[str, Any]]]
    """Variant -> cell of each seed."""

    @property
    def first(self) -> str:
        """The variant that the others are compared with."""
        return next(iter(self.cells))

    @property
    def labels(self) -> list[str]:
        """Names of the classes."""
        return self.corpus["labels"]

    @property
    def metric(self) -> str:
        """The validation metric by which the checkpoints were chosen."""
        return selection_metric(self.corpus["problem_type"])

    @property
    def is_single_label(self) -> bool:
        """Whether the data have one label per utterance, so that there are predictions to resample."""
        return self.corpus["problem_type"] == SINGLE_LABEL

    def values(self, variant: str, metric: str | None = None, part: str = "test") -> np.ndarray:
        """Return (seeds,) values of a metric, by default the one by which checkpoints were chosen."""
        return np.array([cell[part][metric or self.metric] for cell in self.cells[variant]])

    def mean(self, variant: str) -> float:
        """Return the mean over seeds of the metric on the test set."""
        return float(self.values(variant).mean())

    def confusions(self, variant: str) -> np.ndarray:
        """Return counts by (seed, dialogue, true class, predicted class)."""
        gold = self.corpus["gold"]
        return np.stack(
            [confusion_counts(gold, cell["predictions"], len(self.labels)) for cell in self.cells[variant]]
        )

    @cached_property
    def bootstrap(self) -> PairedBootstrap:
        """Paired bootstrap of all variants; only for single-label data."""
        return PairedBootstrap({variant: self.confusions(variant) for variant in self.cells})


def measured(results: Results, model_name: str, variants: Sequence[str], seeds: int) -> Measured:
    """Return the variants whose cells are all finished, in this order, and print which are not.

    Raises:
        DialogueError: no variant is finished.
    """
    cells = {}
    for variant in variants:
        of_variant = [results.cells.get(f"{model_name}/{variant}/{seed}") for seed in range(seeds)]
        if missing := of_variant.count(None):
            print(f"{model_name}/{variant}: {missing} of {seeds} seeds have not been run, it is left out")
        else:
            cells[variant] = [cell for cell in of_variant if cell is not None]
    if not cells:
        raise DialogueError(f"{results.path}: of {', '.join(variants)} no variant has all of its {seeds} seeds")
    return Measured(results.corpus, cells)
