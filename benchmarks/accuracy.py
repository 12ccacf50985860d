"""Accuracy of the recommended model and of its ablations, on any corpus: mean and deviation over seeds.

    python benchmarks/accuracy.py --train-file train.parquet --validation-file validation.parquet \
        --test-file test.parquet --output meld.json
    python benchmarks/accuracy.py --corpus toy --variants recommended no-graph text audio visual --output toy.json
    python benchmarks/accuracy.py --corpus toy --model ar-iigcn --variants recommended no-adversary no-contrast
    python benchmarks/accuracy.py --corpus toy-frames --model foal-net --variants recommended no-alignment audio video
    python benchmarks/accuracy.py --train-file train.parquet --folds 5 --variants recommended bigru --output folds.json

Every number is of the test set, of the checkpoint that scored best on validation; the test set chooses nothing.
Without a validation file each seed holds out its own tenth of the training dialogues. With --folds the training
dialogues alone are used: each fold is the test set once, and a cell is the mean over the folds. A cell (model,
variant, seed) that is in the output file is not run again.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import set_seed
from transformers.utils import logging

from joyful_hf import (
    JoyfulTrainer,
    JoyfulTrainingArguments,
    load_dialogues,
    make_toy_corpus,
    make_toy_frame_corpus,
    toy_corpus,
    toy_frames,
)
from joyful_hf.families import FAMILIES
from joyful_hf.progress import print_nothing
from joyful_hf.training_run import RunData, hold_out, make_model_and_processor

# Model -> name -> preset and settings, as `joyful train --preset ... --config-json ...` takes them.
VARIANTS: dict[str, dict[str, tuple[str | None, dict[str, Any]]]] = {
    "joyful": {
        "recommended": (None, {}),
        "no-graph": (None, {"graph_num_layers": 0}),
        "no-contrast": (None, {"contrastive_loss_weight": 0}),
        "no-fusion": (None, {"fusion_branches": []}),
        "contextual-only": (None, {"fusion_branches": ["contextual"]}),
        "specific-only": (None, {"fusion_branches": ["specific"]}),
        "text": (None, {"audio_dim": 0, "visual_dim": 0}),
        "audio": (None, {"text_dim": 0, "visual_dim": 0}),
        "visual": (None, {"text_dim": 0, "audio_dim": 0}),
        # The context encoder alone: what a user could pick instead, trained in the same way.
        "bigru": (
            None,
            {
                "fusion_branches": ["contextual"],
                "contextual_size": 128,
                "num_hidden_layers": 2,
                "hidden_dropout_prob": 0.5,
                "graph_num_layers": 0,
                "fusion_loss_weight": 0,
                "plain_path_size": 0,
                "classifier_residual": False,
                "modality_dropout_prob": 0,
            },
        ),
        "no-plain-path": (None, {"plain_path_size": 0}),
        "paper": ("paper", {}),
        "released": ("released", {}),
    },
    "ar-iigcn": {
        "recommended": (None, {}),
        "no-adversary": (None, {"adversarial_loss_weight": 0}),
        "no-contrast": (None, {"intra_modal_loss_weight": 0, "inter_modal_loss_weight": 0}),
        "no-adversary-no-contrast": (
            None,
            {"adversarial_loss_weight": 0, "intra_modal_loss_weight": 0, "inter_modal_loss_weight": 0},
        ),
        "no-graph": (None, {"graph_num_layers": 0}),
        "text": (None, {"audio_dim": 0, "visual_dim": 0}),
        "audio": (None, {"text_dim": 0, "visual_dim": 0}),
        "visual": (None, {"text_dim": 0, "audio_dim": 0}),
        "paper": ("paper", {}),
    },
    "foal-net": {
        "recommended": (None, {}),
        "averaged-alignment": (None, {"avel_normalize": True}),
        "no-alignment": (None, {"avel_loss_weight": 0}),
        "no-matching": (None, {"mem_loss_weight": 0}),
        "no-alignment-no-matching": (None, {"avel_loss_weight": 0, "mem_loss_weight": 0}),
        "audio": (None, {"video_dim": 0}),
        "video": (None, {"audio_dim": 0}),
        "released": ("released", {}),
    },
}
METRICS = ("weighted_f1", "accuracy", "unweighted_accuracy")


def main() -> None:
    """Run the cells that are missing and print the table."""
    arguments = parse_arguments()
    output = Path(arguments.output)
    results: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {"cells": {}}
    train, validation, test = load_corpus(arguments)
    if arguments.corpus and test is not None:
        toy = toy_frames if arguments.corpus == "toy-frames" else toy_corpus
        results["best_possible_accuracy"] = toy.best_possible_accuracy(test)
        results["accuracy_of_best_decisions"] = toy.accuracy_of_best_decisions(test)
    for variant in arguments.variants:
        for seed in range(arguments.seeds):
            cell = f"{arguments.model}/{variant}/{seed}"
            if cell in results["cells"]:
                continue
            parts = run_data(train, validation, test, seed, arguments.folds)
            runs = [run_cell(arguments.model, variant, seed, data) for data in parts]
            results["cells"][cell] = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
            output.write_text(json.dumps(results, indent=1) + "\n")
            print(f"{cell}: test weighted F1 {results['cells'][cell]['test_weighted_f1']:.4f}", flush=True)
    print()
    print(table(results, arguments.model, arguments.variants, arguments.seeds))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", choices=["toy", "toy-frames"], help="a toy corpus instead of files")
    parser.add_argument("--train-file")
    parser.add_argument("--validation-file")
    parser.add_argument("--test-file")
    parser.add_argument("--model", default="joyful", choices=list(VARIANTS))
    parser.add_argument("--variants", nargs="+", default=["recommended"], help="any of the model's")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, help="cross-validate over the training dialogues")
    parser.add_argument("--output", default="accuracy.json", help="results; finished cells in it are kept")
    arguments = parser.parse_args()
    if not arguments.corpus and not (arguments.train_file and (arguments.test_file or arguments.folds)):
        parser.error("give --train-file and --test-file, --train-file and --folds, or --corpus")
    for variant in arguments.variants:
        if variant not in VARIANTS[arguments.model]:
            known = ", ".join(VARIANTS[arguments.model])
            parser.error(f"--variants: {arguments.model} has no {variant!r}; choose from {known}")
    return arguments


def load_corpus(arguments: argparse.Namespace) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """Training dialogues, and those of validation and test where there are any."""
    if arguments.corpus:
        toy = make_toy_corpus() if arguments.corpus == "toy" else make_toy_frame_corpus()
        return toy["train"], toy["validation"], toy["test"]
    validation = load_dialogues(arguments.validation_file) if arguments.validation_file else None
    test = None if arguments.folds else load_dialogues(arguments.test_file)
    return load_dialogues(arguments.train_file), validation, test


def run_data(
    train: Dataset, validation: Dataset | None, test: Dataset | None, seed: int, folds: int | None
) -> Iterator[RunData]:
    """The corpus as one seed sees it: once, or once a fold."""
    if folds:
        order = np.random.default_rng(seed).permutation(len(train))
        for fold in range(folds):
            held_out = order[fold::folds]
            rest = np.setdiff1d(order, held_out)
            yield RunData(*hold_out(train.select(rest), seed), train.select(held_out), "")
    else:
        own_train, own_validation = hold_out(train, seed) if validation is None else (train, validation)
        yield RunData(own_train, own_validation, test, "")


def run_cell(model_name: str, variant: str, seed: int, data: RunData) -> dict[str, float]:
    """Train one variant with one seed; metrics of validation and test, and the number of parameters."""
    preset, settings = VARIANTS[model_name][variant]
    set_seed(seed)
    model, processor = make_model_and_processor(FAMILIES[model_name], preset, settings, data)
    with tempfile.TemporaryDirectory() as folder:
        args = JoyfulTrainingArguments(folder, seed=seed, disable_tqdm=True, save_only_model=True)
        trainer = JoyfulTrainer(
            model=model,
            args=args,
            train_dataset=data.train,
            eval_dataset=data.validation,
            processing_class=processor,
        )
        print_nothing(trainer)
        seconds = trainer.train().metrics["train_runtime"]
        metrics = trainer.evaluate() | trainer.evaluate(data.test, metric_key_prefix="test")
    kept = {name: value for name, value in metrics.items() if any(metric in name for metric in (*METRICS, "_f1_"))}
    return kept | {"parameters": model.num_parameters(), "seconds": round(seconds, 1)}


def table(results: dict[str, Any], model_name: str, variants: Sequence[str], seeds: int) -> str:
    """The results as a Markdown table, mean ± standard deviation over the seeds."""
    best = results.get("best_possible_accuracy")
    lines = [
        "| variant | parameters | validation weighted F1 | test weighted F1 | test accuracy | unweighted accuracy |"
        + (" share of the best possible |" if best else ""),
        "|---|---|---|---|---|---|" + ("---|" if best else ""),
    ]
    for variant in variants:
        cells = [results["cells"][f"{model_name}/{variant}/{seed}"] for seed in range(seeds)]
        row = [
            variant,
            f"{cells[0]['parameters']:,.0f}",
            spread([cell["eval_weighted_f1"] for cell in cells]),
            *(spread([cell[f"test_{metric}"] for cell in cells]) for metric in METRICS),
        ]
        if best:
            row.append(f"{np.mean([cell['test_accuracy'] for cell in cells]) / best:.1%}")
        lines.append("| " + " | ".join(row) + " |")
    if best:
        reached = results["accuracy_of_best_decisions"]
        lines.append(
            f"\nBest possible accuracy by exact inference: {best:.3f} expected, {reached:.3f} on these labels."
        )
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation (of the sample, where there is more than one)."""
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{np.mean(values):.3f} ± {deviation:.3f}"


if __name__ == "__main__":
    logging.disable_progress_bar()
    main()
