"""Exported models, run and compared with the model that they come from."""

from pathlib import Path
from typing import Any

import torch

from joyful_hf import export_model
from joyful_hf.inference.export import run_onnx
from tests.support.helpers import make_dialogues


def run_exported(path: Path, batch: Any) -> torch.Tensor:
    """The logits that an exported file gives for a batch."""
    if path.suffix == ".onnx":
        return run_onnx(path, batch)
    return torch.export.load(path).module()(**batch)


def assert_exports(model: Any, processor: Any, folder: Path, suffix: str) -> Path:
    """The exported model gives the model's logits for batches of several sizes."""
    path = export_model(model, processor, folder / f"new/model{suffix}")
    for lengths in [(1,), (40, 2, 2, 9, 11), (3, 3)]:
        batch = processor(make_dialogues(lengths), return_tensors="pt", return_labels=False)
        with torch.no_grad():
            expected = model.eval()(**batch).logits
        assert (run_exported(path, batch) - expected).abs().max() < 1e-4
    return path
