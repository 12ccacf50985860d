"""A whole comparison: everything is checked, each cell is trained once and kept, and the reports are written."""

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from ..evaluation.task import task_of
from ..io.files import write_json, written_whole
from ..io.messages import counted, listed
from ..processing import MODALITIES, DialogueError
from .cells import Cell, Outcome, check_cell, run_cell, validate
from .conclusions import conclude
from .corpora import Corpus, CorpusSource, read_corpus
from .entrants import Entrant
from .results import CorpusResult, FinishedCells, collect
from .tables import (
    as_csv,
    as_latex,
    as_markdown,
    as_record,
    class_table,
    corpus_table,
    metric_title,
    notes,
    overview_table,
)
from .trials import SAMPLERS, chosen_settings, tune

REPORT = "comparison"
"""The name of the reports, before their endings."""


@dataclass(frozen=True)
class Plan:
    """The parts of a comparison."""

    sources: Sequence[CorpusSource]
    entrants: Sequence[Entrant]
    output_dir: Path
    num_seeds: int = 5
    modalities: Sequence[tuple[str, ...]] = ((),)
    """Subsets of the modalities; () is all that a corpus has."""
    num_trials: int = 0
    """Trials on validation for each model; 0 takes the settings that it comes with."""
    sampler: str = SAMPLERS[0]
    num_proc: int = 1
    """Cells that run at the same time, each in a process of its own."""
    watch_test: bool = False
    """Whether to show, under its name, what a choice by the test score would have given."""

    def groups(self) -> Iterator[Cell]:
        """Yield the first cell of each corpus, model and set of modalities."""
        for source in self.sources:
            for entrant in self.entrants:
                for subset in self.modalities:
                    yield Cell(source, entrant, subset, watch_test=self.watch_test)


def compare(plan: Plan, report: Callable[[str], None] = print) -> list[CorpusResult]:
    """Run what has not been run yet, write the reports, and return the results of each corpus.

    Args:
        report: takes the lines that say how far the comparison has come.

    Raises:
        DialogueError: bad input, before anything is trained; or, after the reports of the others, cells that failed.
    """
    _check(plan)
    corpora = {source: _corpus(source) for source in plan.sources}
    for cell in plan.groups():
        check_cell(corpora[cell.corpus], cell)
    finished = FinishedCells(plan.output_dir)
    failures: dict[str, str] = {}
    tuned = _tune_all(plan, failures, report)
    cells = [
        replace(cell, entrant=tuned[cell.group], seed=seed, fold=fold)
        for cell in plan.groups()
        if cell.group in tuned
        for seed in range(plan.num_seeds)
        for fold in range(corpora[cell.corpus].num_folds)
    ]
    outcomes = {cell.key: found for cell in cells if (found := finished.load(cell, corpora[cell.corpus])) is not None}
    if outcomes:
        report(f"{counted(len(outcomes), 'cell')} of {len(cells)} finished already")
    waiting = [cell for cell in cells if cell.key not in outcomes]
    progress = _Progress(len(waiting), "cell", report)
    for cell, outcome, error in _run_all(
        [partial(_run_one, plan.output_dir, cell) for cell in waiting], waiting, plan
    ):
        if error is None:
            outcomes[cell.key] = outcome
            metric = task_of(corpora[cell.corpus].problem_type).main_metric
            progress.step(f"{cell.key}: validation {metric_title(metric)} {outcome.validation[metric]:.3f}")
        else:
            failures[cell.key] = error
            progress.step(f"{cell.key}: failed ({error})")

    chosen = {
        cell.group: chosen_settings(cell.entrant, tuned[cell.group]) for cell in plan.groups() if cell.group in tuned
    }
    results = []
    for source, corpus in corpora.items():
        own = [cell for cell in cells if cell.corpus == source]
        result = collect(corpus, own, outcomes, plan.num_trials, chosen)
        if result is not None:
            results.append(result)
    if results:
        write_reports(results, plan.output_dir)
    if failures:
        first, why = next(iter(failures.items()))
        raise DialogueError(
            f"{counted(len(failures), 'cell')} failed ({listed(list(failures))}), the first with: {why}. What is "
            f"finished is kept, and the same command tries them again ({first})"
        )
    return results


def _check(plan: Plan) -> None:
    if plan.num_seeds < 1:
        raise DialogueError(f"`seeds`: at least 1, got {plan.num_seeds}")
    if plan.sampler not in SAMPLERS:
        raise DialogueError(f"`search`: choose from {', '.join(SAMPLERS)}, not {plan.sampler!r}")
    for subset in plan.modalities:
        if unknown := [name for name in subset if name not in MODALITIES]:
            raise DialogueError(f"`modalities`: unknown {listed(unknown)}; choose from {', '.join(MODALITIES)}")
    names = [source.name for source in plan.sources]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DialogueError(f"`corpus`: {listed(sorted(twice))} is there twice; give one a name, as in NAME=FOLDER")
    if not plan.sources:
        raise DialogueError("`train_file`: give the files of a corpus, or `corpus`")


@cache
def _corpus(source: CorpusSource) -> Corpus:
    """Read a corpus once per process."""
    return read_corpus(source)


def _tune_all(
    plan: Plan, failures: dict[str, str], report: Callable[[str], None]
) -> dict[tuple[str, str, str], Entrant]:
    """Return the entrant of each group, with the settings that its trials have chosen."""
    groups = list(plan.groups())
    tuned = {cell.group: cell.entrant for cell in groups}
    searched = [cell for cell in groups if plan.num_trials > 1 and cell.entrant.classifier is None]
    progress = _Progress(len(searched), "search", report)
    tasks = [partial(_tune_one, plan.output_dir, cell, plan.num_trials, plan.sampler) for cell in searched]
    for cell, entrant, error in _run_all(tasks, searched, plan):
        if error is None:
            tuned[cell.group] = entrant
            progress.step(f"{'/'.join(cell.group)}: {plan.num_trials} trials")
        else:
            del tuned[cell.group]
            failures["/".join(cell.group)] = error
            progress.step(f"{'/'.join(cell.group)}: failed ({error})")
    return tuned


def _tune_one(output_dir: Path, cell: Cell, num_trials: int, sampler: str) -> Entrant:
    corpus, finished = _corpus(cell.corpus), FinishedCells(output_dir)

    def score(number: int, entrant: Entrant) -> float:
        trial = replace(cell, entrant=entrant, watch_test=False)
        found = finished.load_trial(number, trial, corpus)
        if found is None:
            found = validate(corpus, trial)
            finished.save_trial(number, trial, corpus, found)
        return found

    return tune(cell, corpus, num_trials, sampler, score)


def _run_one(output_dir: Path, cell: Cell) -> Outcome:
    corpus = _corpus(cell.corpus)
    outcome = run_cell(corpus, cell)
    FinishedCells(output_dir).save(cell, corpus, outcome)
    return outcome


def _run_all(
    tasks: Sequence[Callable[[], Any]], cells: Sequence[Cell], plan: Plan
) -> Iterator[tuple[Cell, Any, str | None]]:
    """Run tasks here or in processes; yield the cell of each with its result, or with why it failed."""
    if plan.num_proc == 1:
        for cell, task in zip(cells, tasks, strict=True):
            yield cell, *_guarded(task)
        return
    threads = max(1, (os.cpu_count() or 1) // plan.num_proc)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(plan.num_proc, context, torch.set_num_threads, (threads,)) as pool:
        futures: dict[Future, Cell] = {
            pool.submit(_guarded, task): cell for task, cell in zip(tasks, cells, strict=True)
        }
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield futures[future], *future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _guarded(task: Callable[[], Any]) -> tuple[Any, str | None]:
    """Run a task; one that fails must not cost the others what they have computed."""
    try:
        return task(), None
    except DialogueError as error:
        return None, str(error)
    except Exception as error:  # a fault of the model's code, of the machine, ...
        place = traceback.extract_tb(error.__traceback__)[-1]
        return None, f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"


class _Progress:
    """Count what is finished, and say how long the rest may take."""

    def __init__(self, number: int, what: str, report: Callable[[str], None]) -> None:
        self._number, self._what, self._report = number, what, report
        self._done, self._start = 0, time.monotonic()

    def step(self, line: str) -> None:
        """Report one more."""
        self._done += 1
        left = (time.monotonic() - self._start) / self._done * (self._number - self._done)
        rest = f"; about {_duration(left)} left" if self._done < self._number else ""
        self._report(f"{self._what} {self._done} of {self._number}: {line}{rest}")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def write_reports(results: Sequence[CorpusResult], output_dir: Path) -> None:
    """Write the comparison as Markdown, CSV, LaTeX and JSON, and draw each corpus where matplotlib is installed."""
    conclusions = {result.name: conclude(result) for result in results}
    markdown, latex = ["# Comparison"], []
    if len(results) > 1:
        markdown += ["## All corpora", as_markdown(*overview_table(results))]
        latex.append(as_latex(*overview_table(results), caption="All corpora."))
    for result in results:
        header, rows = corpus_table(result)
        said = notes(result, conclusions[result.name])
        markdown += [f"## {result.name}", as_markdown(header, rows), *said]
        latex.append(as_latex(header, rows, caption=f"{result.name}. {said[0]}"))
        if result.problem_type != "regression":
            markdown += ["F1 of each class:", as_markdown(*class_table(result))]
        if any(row.settings for row in result.rows):
            settings = [
                [row.title, ", ".join(f"{k} {_short(v)}" for k, v in row.settings.items())] for row in result.ranked
            ]
            markdown += ["Settings that the trials chose:", as_markdown(["model", "settings"], settings)]
        markdown += [f"![{result.name}]({name})" for name in _draw(result, output_dir)]
    output_dir.mkdir(parents=True, exist_ok=True)
    _write(output_dir / f"{REPORT}.md", "\n\n".join(markdown) + "\n")
    _write(output_dir / f"{REPORT}.tex", "\n".join(latex))
    _write(output_dir / f"{REPORT}.csv", as_csv(results))
    record = {"corpora": [as_record(result, conclusions[result.name]) for result in results]}
    write_json(record, output_dir / f"{REPORT}.json")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _draw(result: CorpusResult, output_dir: Path) -> list[str]:
    """Draw the picture of a corpus, and return the name of its file; none without matplotlib."""
    try:
        from ..pictures.style import save_figure
        from .picture import plot_comparison
    except ImportError:
        return []
    name = f"{REPORT}_{''.join(letter if letter.isalnum() or letter in '-_' else '_' for letter in result.name)}"
    output_dir.mkdir(parents=True, exist_ok=True)
    save_figure(plot_comparison(result), output_dir / name)
    return [f"{name}.png"]


def _write(file: Path, text: str) -> None:
    with written_whole(file) as part:
        part.write_text(text, encoding="utf-8", newline="")
