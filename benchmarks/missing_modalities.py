"""The gain of training with modality dropout where modalities are missing, on the toy corpus, over several seeds.

    python -m benchmarks.missing_modalities --seeds 3 --output missing.json --report missing
    python -m benchmarks.missing_modalities --variants with learnt --part validation --output missing.json

Each variant is trained with each seed, and the checkpoint that scores best on complete validation dialogues is scored
with modalities hidden at each rate (`joyful_hf.evaluation.missing_modalities`). The loss at a rate is the fall of
weighted F1 from the score of the same model with nothing hidden.

A cell (variant, seed) that is in the output file already is not run again unless its settings have changed. Changes of
the code are not detected: choose another file after one.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers.utils import logging

from benchmarks.accuracy.cell import cell_of
from benchmarks.accuracy.results import Results
from benchmarks.accuracy.tables import deviation, markdown_table, spread
from benchmarks.accuracy.variants import Variant
from joyful_hf import DialogueError, JoyfulTrainer
from joyful_hf.comparison.cells import fingerprint, train
from joyful_hf.comparison.corpora import Corpus, CorpusSource, read_corpus
from joyful_hf.evaluation.missing_modalities import DRAWS, score_missing

MODEL = "joyful"
METRIC = "weighted_f1"
TRAINING: dict[str, Any] = {}  # the defaults
RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_ONE = {"num_members": 1}  # a quarter of the time; the comparison is of how a network is trained
VARIANTS = {
    "with": Variant(_ONE | {"modality_dropout_prob": 0.3}),
    "without": Variant(_ONE | {"modality_dropout_prob": 0}),
    "learnt": Variant(_ONE | {"modality_dropout_prob": 0.3, "absent_modality": "learnt"}),
}
TITLES = {
    "with": "with modality dropout",
    "without": "without modality dropout",
    "learnt": "with modality dropout and learnt vectors",
}

Cells = Mapping[str, Sequence[Mapping[str, Any]]]
"""Variant -> cell of each seed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the missing cells, print the tables, write the report, and return the exit status."""
    arguments = parse_arguments(argv)
    try:
        cells = run_missing_cells(Path(arguments.output), arguments.variants, arguments.seeds)
    except DialogueError as error:
        print(f"benchmarks.missing_modalities: {error}", file=sys.stderr)
        return 2
    text = report(cells, arguments.part)
    print(f"\n{text}")
    if arguments.report:
        folder = Path(arguments.report)
        folder.mkdir(parents=True, exist_ok=True)
        figures = "\n\n".join(f"![{name}]({name}.png)" for name in draw_figures(cells, arguments.part, folder))
        (folder / "tables.md").write_text(f"{text}\n\n### Figures\n\n{figures}\n", encoding="utf-8")
    return 0


def run_missing_cells(output: Path, variants: Sequence[str], seeds: int) -> Cells:
    """Train and score the cells that the results lack.

    Raises:
        DialogueError: the results belong to another corpus.
    """
    corpus = read_corpus(CorpusSource("toy"))
    results = Results(output)
    results.set_corpus(corpus)
    cells: dict[str, list[dict[str, Any]]] = {}
    for name in variants:
        settings = fingerprint(cell_of(corpus, MODEL, VARIANTS[name], TRAINING))
        for seed in range(seeds):
            key = f"{MODEL}/{name}/{seed}"
            if not results.is_finished(key, settings):
                results.add(key, settings, run_cell(corpus, VARIANTS[name], seed))
                print(f"{key}: {results.cells[key]['seconds']:.0f} s", flush=True)
            cells.setdefault(name, []).append(results.cells[key])
    return cells


def run_cell(corpus: Corpus, variant: Variant, seed: int) -> dict[str, Any]:
    """Train one variant with one seed; return the scores of `validation` and `test`, and `seconds`."""
    start = time.perf_counter()
    split = corpus.split(seed)
    trainer = train(corpus, cell_of(corpus, MODEL, variant, TRAINING, seed), split)
    cell: dict[str, Any] = {
        "validation": _scores(trainer, split.data.validation),
        "test": _scores(trainer, split.data.test),
    }
    return cell | {"seconds": round(time.perf_counter() - start, 1)}


def _scores(trainer: JoyfulTrainer, dialogues: Dataset | None) -> dict[str, dict[str, float]]:
    """Return kind of absence -> rate or modality -> weighted F1."""
    found = score_missing(trainer.model, trainer.processing_class, dialogues or [], RATES)
    of_kinds = {"rates": found.rates, "alone": found.alone, "without": found.without}
    return {
        kind: {str(what): scores[METRIC] for what, scores in by_what.items()} for kind, by_what in of_kinds.items()
    }


def report(cells: Cells, part: str) -> str:
    """Format the scores by rate, the losses by rate, and the scores by modality."""
    seeds = len(next(iter(cells.values())))
    header = [TITLES[name] for name in cells]
    by_rate = [[f"{rate:g}", *(spread(values_at(cells, name, part, rate)) for name in cells)] for rate in RATES]
    costs = [[f"{rate:g}", *(spread(losses_at(cells, name, part, rate)) for name in cells)] for rate in RATES[1:]]
    by_modality = []
    for kind, title in (("alone", "{} alone"), ("without", "without {}")):
        for modality in next(iter(cells.values()))[0][part][kind]:
            values = (np.array([cell[part][kind][modality] for cell in of_seeds]) for of_seeds in cells.values())
            by_modality.append([title.format(modality), *map(spread, values)])
    parts = [
        f"### Weighted F1 by missing rate, {part}",
        markdown_table(["missing rate", *header], by_rate),
        "### Loss compared with nothing missing",
        markdown_table(["missing rate", *header], costs),
        "### Weighted F1 by modality",
        markdown_table(["left", *header], by_modality),
        f"Mean ± standard deviation of {seeds} seeds; at each rate a seed's score is the mean of {DRAWS} draws.",
    ]
    if {"with", "without"} <= cells.keys():
        parts.append(verdict(cells, part))
    return "\n\n".join(parts)


def verdict(cells: Cells, part: str) -> str:
    """State whether training with modality dropout loses less at every rate."""
    saved = {
        rate: losses_at(cells, "without", part, rate).mean() - losses_at(cells, "with", part, rate).mean()
        for rate in RATES[1:]
    }
    wrong = [f"{rate:g}" for rate, saving in saved.items() if saving <= 0]
    claim = "Training with modality dropout loses less at every rate above 0"
    return f"{claim}: **{'does not hold at ' + ', '.join(wrong) if wrong else 'holds'}**."


def values_at(cells: Cells, name: str, part: str, rate: float) -> np.ndarray:
    """(seeds,) weighted F1."""
    return np.array([cell[part]["rates"][str(rate)] for cell in cells[name]])


def losses_at(cells: Cells, name: str, part: str, rate: float) -> np.ndarray:
    """(seeds,) fall of weighted F1 from nothing missing to this rate."""
    return values_at(cells, name, part, 0.0) - values_at(cells, name, part, rate)


def draw_figures(cells: Cells, part: str, folder: Path) -> list[str]:
    """Draw scores and losses by rate, one line per variant, as PNG and SVG; return the names of both figures."""
    drawn: dict[str, tuple[str, Callable[[Cells, str, str, float], np.ndarray]]] = {
        "scores": (f"{part} weighted F1", values_at),
        "losses": (f"fall of {part} weighted F1", losses_at),
    }
    for name, (label, values_of) in drawn.items():
        _draw_curves(cells, part, label, values_of, folder / name)
    return list(drawn)


def _draw_curves(
    cells: Cells, part: str, label: str, values_of: Callable[[Cells, str, str, float], np.ndarray], path: Path
) -> None:
    from joyful_hf.pictures.style import (
        COLOURS,
        LINES,
        MARKERS,
        new_figure,
        save_figure,
    )

    figure, axes = new_figure(5.5, 3.8)
    for index, name in enumerate(cells):
        values = [values_of(cells, name, part, rate) for rate in RATES]
        # Side by side, so that error bars do not hide each other.
        places = np.array(RATES) + 0.006 * (index - (len(cells) - 1) / 2)
        axes.errorbar(
            places,
            [scores.mean() for scores in values],
            yerr=[deviation(scores) for scores in values],
            fmt=LINES[index] + MARKERS[index],
            color=COLOURS[index],
            markerfacecolor="white",
            capsize=3,
            label=TITLES[name],
        )
    axes.set_xlabel("probability that a modality of an utterance is missing")
    axes.set_ylabel(label)
    axes.grid(axis="y", linewidth=0.4)
    seeds = len(next(iter(cells.values())))
    axes.set_title(f"toy corpus, mean ± deviation of {seeds} seeds", size="medium")
    figure.legend(loc="outside upper center", frameon=False)
    save_figure(figure, path)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=["with", "without"], choices=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--part", default="test", choices=["validation", "test"], help="the dialogues reported on")
    parser.add_argument("--output", default="missing.json", help="results; finished cells in it are kept")
    parser.add_argument("--report", help="a folder for tables.md and the figures")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1:
        parser.error(f"--seeds: at least 1, got {arguments.seeds}")
    if arguments.report and find_spec("matplotlib") is None:
        parser.error("--report draws figures: pip install 'matplotlib>=3.10'")
    return arguments


if __name__ == "__main__":
    logging.disable_progress_bar()
    sys.exit(main())
