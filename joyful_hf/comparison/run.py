"""A whole comparison: everything is checked, each cell is trained once and kept, and the reports are written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from ..evaluation.task import task_of
from ..io.messages import counted, listed
from ..processing import MODALITIES, DialogueError
from .cells import Cell, Outcome, check_cell, run_cell, validate
from .corpora import Corpus, CorpusSource, read_corpus
from .entrants import Entrant
from .reports import write_reports
from .results import CorpusResult, FinishedCells, collect
from .tables import metric_title
from .trials import SAMPLERS, Search
from .workers import Progress, Workers


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
    """Trials of other settings on validation for each model, besides one of the settings that it comes with."""
    sampler: str = SAMPLERS[0]
    num_proc: int = 1
    """Trials or cells that run at the same time, each in a process of its own."""
    watch_test: bool = False
    """Whether to show, under its name, what a choice by the test score would have given."""

    def groups(self) -> Iterator[Cell]:
        """Yield the first cell of each corpus, model and set of modalities."""
        for source in self.sources:
            for entrant in self.entrants:
                for subset in self.modalities:
                    yield Cell(source, entrant, subset, watch_test=self.watch_test)

    def cells(self, corpora: Mapping[CorpusSource, Corpus]) -> Iterator[Cell]:
        """Yield all cells, with the settings that the models come with."""
        for cell in self.groups():
            for seed in range(self.num_seeds):
                for fold in range(corpora[cell.corpus].num_folds):
                    yield replace(cell, seed=seed, fold=fold)


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
    for entrant in plan.entrants:
        if recipe := entrant.training_arguments():
            report(f"{entrant.name}: {', '.join(f'{name} {value}' for name, value in recipe.items())}")
    failures: dict[str, str] = {}
    with Workers(plan.num_proc) as workers:
        searches = _search_all(plan, corpora, workers, failures, report)
        cells = [
            _with_chosen_settings(cell, searches) for cell in plan.cells(corpora) if cell.searched.key not in failures
        ]
        outcomes = _run_all(plan, corpora, cells, workers, failures, report)

    results = []
    for source, corpus in corpora.items():
        own = [cell for cell in cells if cell.corpus == source]
        result = collect(corpus, own, outcomes, searches)
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


def _search_all(
    plan: Plan,
    corpora: Mapping[CorpusSource, Corpus],
    workers: Workers,
    failures: dict[str, str],
    report: Callable[[str], None],
) -> dict[str, Search]:
    """Run all trials that have not been run yet; return the search of each cell that has one, by its key."""
    if not plan.num_trials:
        return {}
    searched = {cell.searched.key: cell.searched for cell in plan.cells(corpora) if cell.entrant.classifier is None}
    searches = {}
    for key, cell in searched.items():
        task = task_of(corpora[cell.corpus].problem_type)
        searches[key] = Search(cell.entrant, bool(task.greater_is_better(task.main_metric)), plan.sampler)
    numbers = range(plan.num_trials + 1)
    progress = Progress(len(searches) * len(numbers), "trial", report)
    # Random draws need no scores of earlier trials; Optuna's do.
    for together in [[number] for number in numbers] if plan.sampler == "optuna" else [list(numbers)]:
        _run_trials(plan, corpora, searched, searches, together, workers, failures, progress)
    return {key: search for key, search in searches.items() if key not in failures}


def _run_trials(
    plan: Plan,
    corpora: Mapping[CorpusSource, Corpus],
    searched: Mapping[str, Cell],
    searches: Mapping[str, Search],
    numbers: Sequence[int],
    workers: Workers,
    failures: dict[str, str],
    progress: Progress,
) -> None:
    """Run the trials of these numbers of each search that has not failed, and let it learn their scores."""
    finished, waiting = FinishedCells(plan.output_dir), []
    for key, cell in searched.items():
        for number in numbers if key not in failures else ():
            trial = replace(cell, entrant=searches[key].propose(number), watch_test=False)
            score = finished.load_trial(number, trial, corpora[cell.corpus])
            if score is None:
                waiting.append((key, number, trial))
            else:
                searches[key].learn(number, score)
                progress.skip()
    tasks = [partial(_run_trial, plan.output_dir, number, trial) for _, number, trial in waiting]
    for place, score, error in workers.run(tasks):
        key, number, trial = waiting[place]
        if error is None:
            searches[key].learn(number, score)
            metric = metric_title(task_of(corpora[trial.corpus].problem_type).main_metric)
            progress.step(f"{key}, trial {number}: validation {metric} {score:.3f}")
        else:
            failures.setdefault(key, error)
            progress.step(f"{key}, trial {number}: failed ({error})")


def _run_trial(output_dir: Path, number: int, trial: Cell) -> float:
    corpus = _corpus(trial.corpus)
    score = validate(corpus, trial)
    FinishedCells(output_dir).save_trial(number, trial, corpus, score)
    return score


def _with_chosen_settings(cell: Cell, searches: Mapping[str, Search]) -> Cell:
    search = searches.get(cell.searched.key)
    return cell if search is None else replace(cell, entrant=search.tried[search.best])


def _run_all(
    plan: Plan,
    corpora: Mapping[CorpusSource, Corpus],
    cells: Sequence[Cell],
    workers: Workers,
    failures: dict[str, str],
    report: Callable[[str], None],
) -> dict[str, Outcome]:
    """Run all cells that have not been run yet; return the outcome of each finished one, by its key."""
    finished = FinishedCells(plan.output_dir)
    outcomes = {cell.key: found for cell in cells if (found := finished.load(cell, corpora[cell.corpus])) is not None}
    progress = Progress(len(cells), "cell", report)
    progress.skip(len(outcomes))
    waiting = [cell for cell in cells if cell.key not in outcomes]
    for place, outcome, error in workers.run([partial(_run_one, plan.output_dir, cell) for cell in waiting]):
        cell = waiting[place]
        if error is None:
            outcomes[cell.key] = outcome
            metric = task_of(corpora[cell.corpus].problem_type).main_metric
            progress.step(f"{cell.key}: validation {metric_title(metric)} {outcome.validation[metric]:.3f}")
        else:
            failures[cell.key] = error
            progress.step(f"{cell.key}: failed ({error})")
    return outcomes


def _run_one(output_dir: Path, cell: Cell) -> Outcome:
    corpus = _corpus(cell.corpus)
    outcome = run_cell(corpus, cell)
    FinishedCells(output_dir).save(cell, corpus, outcome)
    return outcome
