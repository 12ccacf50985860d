"""The finished cells of a comparison on disk, and what they add up to for each model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from safetensors.numpy import load_file, save_file

from ..evaluation.task import Task, task_of
from ..io.files import read_json, write_json, written_whole
from ..processing import DialogueError
from .cells import ALL, Cell, Outcome, fingerprint, metrics_of
from .corpora import Corpus
from .entrants import Entrant
from .significance import Difference, dialogue_counts, difference, holm
from .trials import Search

CELLS = "cells"
_ROWS = ("logits", "labels", "positions")


class FinishedCells:
    """The folder of finished cells: a JSON file for each, and its predictions beside it."""

    def __init__(self, output_dir: Path) -> None:
        self.folder = output_dir / CELLS

    def load(self, cell: Cell, corpus: Corpus) -> Outcome | None:
        """Return a finished cell; None if it has not been run, or if dialogues or settings have changed since."""
        record = self._record(cell.key, cell, corpus)
        if record is None:
            return None
        predictions = self._file(cell.key, "safetensors")
        try:
            rows = load_file(predictions)
        except Exception as error:  # safetensors has an error of its own
            raise DialogueError(f"{predictions}: cannot be read ({error}); remove it to run the cell again") from None
        return Outcome(**record["outcome"], **{name: rows[name] for name in _ROWS})

    def save(self, cell: Cell, corpus: Corpus, outcome: Outcome) -> None:
        """Write a finished cell; its JSON file comes last, and marks it as finished."""
        predictions = self._file(cell.key, "safetensors")
        with written_whole(predictions) as part:
            save_file({name: np.ascontiguousarray(getattr(outcome, name)) for name in _ROWS}, part)
        plain = {name: value for name, value in asdict(outcome).items() if name not in _ROWS}
        self._write(cell.key, cell, corpus, {"outcome": plain})

    def load_trial(self, number: int, cell: Cell, corpus: Corpus) -> float | None:
        """Return the validation score of a finished trial."""
        record = self._record(self._trial(number, cell), cell, corpus)
        return None if record is None else float(record["score"])

    def save_trial(self, number: int, cell: Cell, corpus: Corpus, score: float) -> None:
        """Write the validation score of a trial, and with which settings it was reached."""
        entrant = cell.entrant
        tried = {"settings": dict(entrant.settings), "training": entrant.training_arguments()}
        self._write(self._trial(number, cell), cell, corpus, {"score": score} | tried)

    @staticmethod
    def _trial(number: int, cell: Cell) -> str:
        return f"{cell.key}-trial-{number}"

    def _file(self, key: str, suffix: str) -> Path:
        *folders, name = (quote(part, safe="+ ") for part in key.split("/"))
        return self.folder.joinpath(*folders) / f"{name}.{suffix}"

    def _record(self, key: str, cell: Cell, corpus: Corpus) -> dict[str, Any] | None:
        file = self._file(key, "json")
        if not file.is_file():
            return None
        record = read_json(file)
        same = record.get("fingerprint") == fingerprint(cell) and record.get("dialogues") == corpus.fingerprint
        return record if same else None

    def _write(self, key: str, cell: Cell, corpus: Corpus, content: Mapping[str, Any]) -> None:
        marks = {"fingerprint": fingerprint(cell), "dialogues": corpus.fingerprint}
        write_json(marks | dict(content), self._file(key, "json"))


@dataclass(frozen=True)
class Row:
    """The results of all seeds of one model on one corpus."""

    name: str
    modalities: str
    outcomes: list[list[Outcome]]
    """For each seed, the outcome of each fold."""
    validation: dict[str, np.ndarray]
    """Metric -> (seeds,) mean over the folds."""
    test: dict[str, np.ndarray]
    """Metric -> (seeds,), of the predictions of all folds together."""
    counts: np.ndarray
    """(seeds, dialogues, ...) as `dialogue_counts` makes them."""
    entrant: Entrant
    """With the settings that it came with."""
    searches: dict[str, Search] = field(default_factory=dict)
    """Division of the dialogues, such as "fold 1" ("" outside of cross-validation) -> its trials."""

    @property
    def title(self) -> str:
        """The model, with its modalities where they are not all."""
        return self.name if self.modalities == ALL else f"{self.name} ({self.modalities})"

    @property
    def parameters(self) -> int:
        """Parameters of the model."""
        return round(np.mean([outcome.parameters for outcomes in self.outcomes for outcome in outcomes]))

    def cost(self, name: str) -> float:
        """The median over all trainings of `seconds_per_epoch`, `peak_memory` or `test_selected`; NaN if unknown."""
        values = [getattr(outcome, name) for outcomes in self.outcomes for outcome in outcomes]
        known = [value for value in values if value is not None]
        return float(np.median(known)) if known else math.nan


@dataclass(frozen=True)
class CorpusResult:
    """All models on one corpus."""

    name: str
    problem_type: str
    output_names: list[str]
    num_dialogues: int
    num_utterances: int
    rows: list[Row]
    best: dict[str, float]
    """The scores of the best possible decisions, where they are known."""
    num_trials: int = 0
    """Trials of each model besides the one with its own settings."""
    sampler: str = ""
    """Who drew their settings."""

    @property
    def task(self) -> Task:
        """The kind of labels."""
        return task_of(self.problem_type)

    @property
    def metric(self) -> str:
        """The metric by which checkpoints were chosen, and models are compared."""
        return self.task.main_metric

    @property
    def num_seeds(self) -> int:
        """Number of seeds."""
        return len(self.rows[0].outcomes)

    def mean(self, row: Row) -> float:
        """The mean over seeds of the main metric on the test dialogues."""
        return float(row.test[self.metric].mean())

    @cached_property
    def ranked(self) -> list[Row]:
        """The models, best first."""
        return sorted(self.rows, key=self.mean, reverse=bool(self.task.greater_is_better(self.metric)))

    @cached_property
    def differences(self) -> dict[str, Difference]:
        """Title of each model but the best -> its difference from the best, with an uncorrected p-value."""
        best, *others = self.ranked
        return {row.title: difference(self.problem_type, row.counts, best.counts) for row in others}

    @cached_property
    def corrected_p(self) -> dict[str, float]:
        """The p-values of `differences`, corrected for their number."""
        return holm({title: found.p for title, found in self.differences.items()})


def collect(
    corpus: Corpus,
    cells: Sequence[Cell],
    outcomes: Mapping[str, Outcome],
    searches: Mapping[str, Search],
) -> CorpusResult | None:
    """Put together the models all of whose cells are finished; None if there is none.

    Args:
        cells: all cells of this corpus.
        outcomes: key -> outcome of the finished ones.
        searches: key of the searched cell -> its trials.
    """
    groups: dict[tuple[str, str, str], dict[int, list[Cell]]] = {}
    for cell in cells:
        groups.setdefault(cell.group, {}).setdefault(cell.seed, []).append(cell)
    rows = []
    for of_seed in groups.values():
        if all(cell.key in outcomes for of_one in of_seed.values() for cell in of_one):
            found = [[outcomes[cell.key] for cell in of_one] for of_one in of_seed.values()]
            own = [cell for of_one in of_seed.values() for cell in of_one]
            rows.append(_row(corpus, own, found, searches))
    if not rows:
        return None
    return CorpusResult(
        name=corpus.name,
        problem_type=corpus.problem_type,
        output_names=corpus.output_names,
        num_dialogues=len(corpus.lengths),
        num_utterances=sum(corpus.lengths),
        rows=rows,
        best=corpus.best,
        num_trials=max((len(search.scores) - 1 for row in rows for search in row.searches.values()), default=0),
        sampler=next((search.sampler for row in rows for search in row.searches.values()), ""),
    )


def _row(corpus: Corpus, cells: Sequence[Cell], outcomes: list[list[Outcome]], searches: Mapping[str, Search]) -> Row:
    """Join the folds of each seed, in the order of the corpus's dialogues."""
    test, counts = [], []
    for folds in outcomes:
        positions = np.concatenate([outcome.positions for outcome in folds])
        lengths = [corpus.lengths[position] for position in positions]
        logits, labels = (
            np.concatenate([getattr(outcome, name) for outcome in folds]) for name in ("logits", "labels")
        )
        scored = metrics_of(corpus, logits, labels)
        has_scores = all("ece" in outcome.validation for outcome in folds)  # a plain classifier gives none
        test.append({name: value for name, value in scored.items() if has_scores or not name.startswith("ece")})
        of_dialogue = dialogue_counts(corpus.problem_type, logits, labels, lengths, logits.shape[-1])
        ordered = np.empty_like(of_dialogue)
        ordered[positions] = of_dialogue
        counts.append(ordered)
    validation = [_mean([outcome.validation for outcome in folds]) for folds in outcomes]
    if not all(test):
        raise DialogueError(f"{corpus.name}: not one utterance of the test dialogues has a label")
    searched = {cell.searched.key: cell.searched for cell in cells if cell.searched.key in searches}
    return Row(
        *cells[0].group[1:],
        outcomes,
        _stacked(validation),
        _stacked(test),
        counts=np.stack(counts),
        entrant=cells[0].entrant if not searched else searches[cells[0].searched.key].entrant,
        searches={_division(cell): searches[key] for key, cell in searched.items()},
    )


def _division(cell: Cell) -> str:
    """Name a division of the dialogues that has a search of its own."""
    if not cell.corpus.is_cross_validated:
        return ""
    return f"fold {cell.fold}" if cell.corpus.group_key is not None else f"seed {cell.seed}, fold {cell.fold}"


def _mean(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    common = [name for name in metrics[0] if all(name in other for other in metrics)]
    return {name: float(np.mean([other[name] for other in metrics])) for name in common}


def _stacked(metrics: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    common = [name for name in metrics[0] if all(name in other for other in metrics)]
    return {name: np.array([other[name] for other in metrics]) for name in common}
