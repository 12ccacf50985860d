"""Folders as a training run leaves them, with a `run_summary.json` of made-up numbers."""

import json
from pathlib import Path
from typing import Any

from tests.support.helpers import (
    FAMILY_CASES,
    LABELS,
    FamilyCase,
    make_dialogues,
)

COUNTS = [[8, 1, 1, 0], [2, 7, 1, 0], [0, 0, 30, 0], [0, 0, 5, 0]]
"""A confusion matrix of `LABELS`; sadness is never predicted."""


def data_summary(source: str | None, dialogues: int, counts: tuple[int, ...] = (10, 10, 30, 5)) -> dict[str, Any]:
    """What a run knows of a set of dialogues."""
    return {
        "source": source,
        "num_dialogues": dialogues,
        "num_utterances": sum(counts),
        "max_speakers": 2,
        "label_counts": dict(zip(LABELS, counts, strict=True)),
        "modality_counts": {"text": sum(counts), "audio": sum(counts) - 3, "visual": 0},
    }


def make_summary(**changes: Any) -> dict[str, Any]:
    """The summary of a single-label run of seed 42 with a validation and a test file."""
    scores = {"accuracy": 0.8, "weighted_f1": 0.75, "unweighted_accuracy": 0.6, "ece": 0.02, "ece_uncalibrated": 0.09}
    scores |= {f"f1_{label}": value for label, value in zip(LABELS, (0.8, 0.7, 0.9, 0.0), strict=True)}
    summary = {
        "family": "joyful",
        "preset": None,
        "seed": 42,
        "train": data_summary("toy/train.jsonl", 120, (100, 100, 300, 50)),
        "validation": data_summary("toy/validation.jsonl", 12),
        "test": data_summary("toy/test.jsonl", 12),
        "chosen_by": {"metric": "weighted_f1", "value": 0.85, "epoch": 12.0, "greater_is_better": True},
        "results": {
            "validation": scores | {"weighted_f1": 0.85, "loss": 0.5, "loss_fusion": 0.1},
            "test": scores | {"loss": 0.6},
        },
        "confusion_matrix": {"split": "test", "labels": list(LABELS), "counts": COUNTS},
        "training_arguments": {
            "learning_rate": 0.002,
            "weight_decay": 0.0,
            "per_device_train_batch_size": 8,
            "max_steps": -1,
            "class_balance": None,
            "bf16": False,
        },
        "versions": {"joyful-hf": "0.1.0", "torch": "2.13.0", "python": "3.11.2"},
        "device": "cpu",
        "train_runtime": 61.2,
        "num_parameters": 1062768,
    }
    return summary | changes


def write_run(
    folder: Path,
    summary: dict[str, Any] | None = None,
    case: FamilyCase = FAMILY_CASES[0],
    dialogues: list[dict[str, Any]] | None = None,
    **settings: Any,
) -> Path:
    """A checkpoint of a fresh small model, and the summary beside it.

    Args:
        settings: of the model's config.
    """
    model, processor = case.make(dialogues or make_dialogues(), **settings)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if summary is not None:
        (folder / "run_summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


def edit_json(file: Path, **changes: Any) -> None:
    """Change fields of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")
