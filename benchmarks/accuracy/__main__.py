"""Accuracy of a model, of baselines on the same features, and of its ablations, on any corpus, over several seeds.

    python -m benchmarks.accuracy --train-file train.parquet --validation-file validation.parquet \
        --test-file test.parquet --variants recommended baselines presets ablations --output meld.json --report meld
    python -m benchmarks.accuracy --train-file train.parquet --folds 5 --variants recommended bigru --output folds.json
    python -m benchmarks.accuracy --corpus toy --variants recommended no-graph text audio visual --output toy.json
    python -m benchmarks.accuracy --corpus toy --variants depth noise window views --output toy.json --report toy
    python -m benchmarks.accuracy --corpus toy --model ar-iigcn --variants ablations --output ar_iigcn.json
    python -m benchmarks.accuracy --corpus toy-frames --model foal-net --variants ablations modalities
    python -m benchmarks.accuracy --variants baselines ablations --output meld.json --table-only

Every number is the test score of the checkpoint that is best on validation; the test set is not used for any choice.
Without a validation file, each seed holds out its own tenth of the training dialogues. With --folds only the training
dialogues are used: each is tested once per seed, and scores are computed on the predictions of all folds together.

A cell (model, variant, seed) that is in the output file already is not run again unless its settings have changed.
Changes of the code are not detected: choose another file after one. The file also holds the predictions and the gold
labels, so that --table-only makes tables and figures without a corpus.

Each variant is compared with the first one by a paired bootstrap over the scored dialogues
(`benchmarks/accuracy/paired_bootstrap.py`). It accounts for the choice of these dialogues, but not of the training
dialogues.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers.utils import logging

from benchmarks.accuracy.cell import cell_of, model_modalities, run_cell, selection_metric
from benchmarks.accuracy.results import Results, measured
from benchmarks.accuracy.tables import metric_title, report
from benchmarks.accuracy.variants import (
    GROUPS,
    RECOMMENDED,
    VARIANTS,
    expand_groups,
    needs_other_corpus,
)
from joyful_hf import DialogueError, JoyfulTrainingArguments
from joyful_hf.comparison.cells import fingerprint
from joyful_hf.comparison.corpora import TOYS, Corpus, CorpusSource, read_corpus
from joyful_hf.processing.labels import SINGLE_LABEL


def main(argv: Sequence[str] | None = None) -> int:
    """Run the missing cells, print the tables, write the report, and return the exit status."""
    arguments = parse_arguments(argv)
    try:
        results = Results(Path(arguments.output))
        variants = arguments.variants
        if not arguments.table_only:
            variants = run_missing_cells(arguments, results)
        found = measured(results, arguments.model, variants, arguments.seeds)
    except DialogueError as error:
        print(f"benchmarks.accuracy: {error}", file=sys.stderr)
        return 2
    text = report(found)
    print(f"\n{text}")
    if arguments.report:
        from benchmarks.accuracy.figures import draw_figures

        folder = Path(arguments.report)
        folder.mkdir(parents=True, exist_ok=True)
        figures = "\n\n".join(f"![{name}]({name}.png)" for name in draw_figures(found, folder))
        (folder / "tables.md").write_text(f"{text}\n\n### Figures\n\n{figures}\n", encoding="utf-8")
    return 0


def run_missing_cells(arguments: argparse.Namespace, results: Results) -> list[str]:
    """Train and test the cells that the results lack; return the variants that can be run on this corpus.

    Raises:
        DialogueError: the dialogues are invalid, or the results belong to another corpus.
    """
    corpus = read_corpus(source_of(arguments))
    results.set_corpus(corpus)
    metric = selection_metric(corpus.problem_type)
    variants = fitting_variants(arguments.model, arguments.variants, corpus)
    for name in variants:
        variant = VARIANTS[arguments.model][name]
        settings = fingerprint(cell_of(corpus, arguments.model, variant, arguments.training))
        for seed in range(arguments.seeds):
            key = f"{arguments.model}/{name}/{seed}"
            if not results.is_finished(key, settings):
                cell = run_cell(corpus, arguments.model, variant, seed, arguments.training)
                results.add(key, settings, cell)
                score = f"test {metric_title(metric)} {cell['test'][metric]:.4f}"
                print(f"{key}: {score} in {cell['seconds']:.0f} s", flush=True)
    return variants


def fitting_variants(model_name: str, names: Sequence[str], corpus: Corpus) -> list[str]:
    """Return the variants that can be run on this corpus, and print why the others cannot."""
    modalities = model_modalities(corpus, model_name)
    fitting = []
    for name in names:
        reason = needs_other_corpus(VARIANTS[model_name][name], modalities, corpus.problem_type == SINGLE_LABEL)
        if reason is None:
            fitting.append(name)
        else:
            print(f"{model_name}/{name} is left out: {reason}", flush=True)
    return fitting


def source_of(arguments: argparse.Namespace) -> CorpusSource:
    """Return where the corpus comes from."""
    files = (arguments.train_file, arguments.validation_file, arguments.test_file)
    return CorpusSource(arguments.corpus or "corpus", *files, folds=arguments.folds)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line, and expand the groups of variants."""
    groups = "\n".join(
        f"  {model}/{name}: {' '.join(variants)}"
        for model, of_model in GROUPS.items()
        for name, variants in of_model.items()
        if name not in ("table-7", "views")
    )
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"groups:\n{groups}\n"
        "  joyful/table-7: the noise at depth 1, 2 and 4 (depth-2-noise-5, ...)\n"
        "  joyful/views: every pair of no, one or two augmentations (views-none-fm, views-fm-fm+gp, ...)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", choices=list(TOYS), help="a toy corpus instead of files")
    parser.add_argument("--train-file")
    parser.add_argument("--validation-file")
    parser.add_argument("--test-file")
    parser.add_argument("--folds", type=int, help="cross-validate on the training dialogues with this many folds")
    parser.add_argument("--model", default="joyful", choices=list(VARIANTS))
    parser.add_argument("--variants", nargs="+", default=[RECOMMENDED], help="variants and groups, see below")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--training-json", default="{}", help="training arguments to override, as JSON")
    parser.add_argument("--output", default="accuracy.json", help="results; finished cells in it are kept")
    parser.add_argument("--report", help="a folder for tables.md and the figures")
    parser.add_argument("--table-only", action="store_true", help="only make tables and figures from --output")
    arguments = parser.parse_args(argv)
    has_files = arguments.train_file and (arguments.test_file or arguments.folds)
    if not (arguments.table_only or arguments.corpus or has_files):
        parser.error("give --train-file and --test-file, --train-file and --folds, or --corpus")
    if arguments.folds and (arguments.validation_file or arguments.test_file):
        parser.error("--folds splits the training dialogues: leave out --validation-file and --test-file")
    if arguments.seeds < 1:
        parser.error(f"--seeds: at least 1, got {arguments.seeds}")
    if arguments.report and find_spec("matplotlib") is None:
        parser.error("--report draws figures: pip install 'matplotlib>=3.10'")
    try:
        arguments.variants = expand_groups(arguments.model, arguments.variants)
    except ValueError as error:
        parser.error(f"--variants: {error}")
    arguments.training = _training_arguments(parser, arguments.training_json)
    return arguments


def _training_arguments(parser: argparse.ArgumentParser, text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as error:
        parser.error(f"--training-json: not JSON ({error})")
    if not isinstance(given, dict):
        parser.error("--training-json: expected an object")
    unknown = set(given) - {field.name for field in fields(JoyfulTrainingArguments)}
    if unknown:
        parser.error(f"--training-json: unknown training arguments {', '.join(sorted(unknown))}")
    return given


if __name__ == "__main__":
    logging.disable_progress_bar()
    sys.exit(main())
