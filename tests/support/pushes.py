"""What tests of pushes share: small checkpoints, and what lies on the Hub of the tests."""

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.support.helpers import FAMILY_CASES
from tests.support.hub_server import HubServer
from tests.support.run_summaries import make_summary

REPO = "ada/joyful"
SHARDS = "40KB"
"""A size at which the weights of the small model are several files."""
PUSHED = [
    *("README.md", "all_results.json", "config.json", "confusion_matrix.png", "confusion_matrix.svg"),
    *("model.safetensors", "processor_config.json", "run_summary.json", "test_results.json"),
    *("trainer_state.json", "training_args.json"),
]
"""The files of `make_run_folder` that are pushed, in order."""


def logits_of(model: Any, processor: Any, dialogues: Any) -> Tensor:
    """Logits without any gradient."""
    with torch.no_grad():
        return model(**processor(dialogues, return_tensors="pt", return_labels=False)).logits


def save_checkpoint(folder: Path, dialogues: Any, seed: int = 0, **kwargs: Any) -> tuple[Any, Any]:
    """Save a fresh small model, `kwargs` being those of its `save_pretrained`, and its processor; return both."""
    model, processor = FAMILY_CASES[0].make(dialogues, seed)
    model.save_pretrained(folder, **kwargs)
    processor.save_pretrained(folder)
    return model, processor


def make_run_folder(folder: Path, dialogues: Any) -> Path:
    """The folder of a run, with all that a run and its user may leave there."""
    save_checkpoint(folder, dialogues)
    (folder / "run_summary.json").write_text(json.dumps(make_summary()), encoding="utf-8")
    for name in ("training_args.json", "trainer_state.json", "test_results.json", "all_results.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    (folder / "confusion_matrix.png").write_bytes(b"\x89PNG")
    (folder / "confusion_matrix.svg").write_text("<svg/>", encoding="utf-8")
    for name in ("training_args.bin", "optimizer.pt", "rng_state.pth", "scheduler.pkl", "weights.safetensors.bin"):
        (folder / name).write_bytes(pickle.dumps({"a": 1}))
    for name in ("step_weights.safetensors", "train.jsonl", "train.json", "metadata.json", "events.out.tfevents.1"):
        (folder / name).write_text("{}", encoding="utf-8")
    for name in ("notes.txt", "script.py", ".env", "log.txt", "data.parquet", "README.md.part"):
        (folder / name).write_text("secret", encoding="utf-8")
    (folder / "checkpoint-3").mkdir()
    (folder / "checkpoint-3" / "model.safetensors").write_text("old", encoding="utf-8")
    return folder


def weight_files(hub: HubServer, repo: str = REPO) -> list[str]:
    """Names of the files of weights in a repository."""
    return [name for name in hub.files(repo) if name.endswith(".safetensors")]


def card_on(hub: HubServer, repo: str = REPO) -> str:
    """The card of a repository."""
    return hub.files(repo)["README.md"].decode()


def states(hub: HubServer) -> dict[Any, dict[str, str]]:
    """Everything that a reader of the Hub could see."""
    return {key: dict(repository.branches) for key, repository in hub.repositories.items()}
