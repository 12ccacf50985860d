"""An exported model gives the model's logits for batches of any size."""

import pytest
import torch

from joyful_hf import DialogueError, export_model
from joyful_hf.inference import export
from tests.support.export import assert_exports, run_exported
from tests.support.helpers import (
    FAMILY_CASES,
    hide_modalities,
    make_dialogues,
    tell_absence,
)
from tests.test_invariants import run

FORMATS = [".pt2", ".onnx"]
WINDOWED = {"context_encoder": "transformer", "context_window": 3}


def test_the_logits_are_the_models(tmp_path, compiled_family):
    """ONNX is made of what torch exports, so that both are held here."""
    assert_exports(*compiled_family.make(make_dialogues()), tmp_path, ".onnx")


def test_a_program_of_torch_gives_them_too(tmp_path):
    assert_exports(*FAMILY_CASES[0].make(make_dialogues()), tmp_path, ".pt2")


@pytest.mark.parametrize("suffix", FORMATS)
def test_with_a_window(tmp_path, suffix):
    assert_exports(*FAMILY_CASES[1].make(make_dialogues(), **WINDOWED), tmp_path, suffix)


def test_learnt_vectors_stand_in_for_what_is_absent(tmp_path):
    dialogues = make_dialogues()
    model, processor = FAMILY_CASES[0].make(dialogues, absent_modality="learnt")
    tell_absence(model.joyful.inputs)
    path = export_model(model, processor, tmp_path / "model.pt2")
    batch = processor(dialogues, return_tensors="pt", return_labels=False)
    batch = hide_modalities(batch, torch.arange(3 * 38).view(38, 3) % 4 > 0)
    assert (run_exported(path, batch) - run(model, batch).logits).abs().max() < 1e-4


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_modality_may_be_left_out(tmp_path, suffix):
    dialogues = make_dialogues(modalities=("text",))
    model, processor = FAMILY_CASES[0].make(dialogues)
    batch = processor(dialogues, return_tensors="pt", return_labels=False)
    path = export_model(model, processor, tmp_path / f"model{suffix}")
    assert (run_exported(path, batch) - run(model, batch).logits).abs().max() < 1e-4


def test_the_model_itself_is_left_alone(tmp_path):
    model, processor = FAMILY_CASES[0].make(make_dialogues())
    model = model.to(torch.bfloat16).train()
    export_model(model, processor, tmp_path / "model.pt2")
    assert model.training
    assert model.dtype == torch.bfloat16


def test_another_ending_is_refused(tmp_path):
    model, processor = FAMILY_CASES[0].make(make_dialogues())
    with pytest.raises(
        DialogueError, match=r"model\.pt: the ending of the file says in which format to export; .*\.onnx"
    ):
        export_model(model, processor, tmp_path / "model.pt")


def test_what_differs_from_the_model_is_not_written(tmp_path, monkeypatch):
    model, processor = FAMILY_CASES[0].make(make_dialogues())
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match="differs from the model"):
        export_model(model, processor, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())
