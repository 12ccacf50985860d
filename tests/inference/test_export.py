"""An exported model gives the model's logits for batches of any size."""

import ast
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch.export import Dim

from joyful_hf import DialogueError, export_model
from joyful_hf.inference import export, exported
from tests.support.export import assert_exports, run_exported
from tests.support.helpers import (
    FAMILY_CASES,
    LABELS,
    RIVAL_CASES,
    hide_modalities,
    make_dialogue,
    make_dialogues,
    tell_absence,
)
from tests.test_invariants import TASKS, run

# ONNX is made of the program that `.pt2` holds: what is right in it is right in both.
FORMATS = [pytest.param(".pt2", marks=pytest.mark.slow), ".onnx"]
ALONE = {"num_members": 1}
WINDOWED = {"context_encoder": "transformer", "context_window": 3}


def test_the_logits_are_the_models(tmp_path, compiled_family):
    """ONNX is made of what torch exports, so both are held here; what the file says of itself is enough to use it."""
    model, processor = compiled_family.make(make_dialogues())
    model.config.calibration_temperature = 1.7
    path = assert_exports(model, processor, tmp_path, ".onnx")
    assert_used_with_numpy_alone(path, model, processor)


def assert_used_with_numpy_alone(path, model, processor):
    dialogues = [
        *make_dialogues((3, 5, 1)),
        make_dialogue(2, seed=5, modalities=["text"]),
        make_dialogue(3, seed=6, modalities=["audio", "visual"], speakers=2),
    ]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    settings = exported.settings_of(session)
    assert settings["labels"] == list(LABELS)
    assert settings["temperature"] == 1.7
    if settings["raw"]:
        with pytest.raises(ValueError, match="the model reads text itself"):
            exported.build_inputs(dialogues, settings)
        return
    inputs = exported.build_inputs(dialogues, settings)
    (logits,) = session.run(None, {given.name: inputs[given.name] for given in session.get_inputs()})
    scores = exported.name_scores(logits, settings)
    batch = processor(dialogues, return_tensors="pt", return_labels=False)
    expected = [row["scores"] for row in model.name_scores(model.scores(run(model, batch).logits))]
    assert [list(row) for row in scores] == [list(row) for row in expected]
    numbers = ([list(row.values()) for row in rows] for rows in (scores, expected))
    np.testing.assert_allclose(*numbers, rtol=1e-3, atol=1e-5)


def test_the_file_for_numpy_needs_nothing_else():
    tree = ast.parse(Path(exported.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names == {"json", "numpy", "typing", "collections.abc"}


@pytest.mark.parametrize("task", TASKS)
def test_scores_are_those_of_the_task(task):
    settings, _ = TASKS[task]
    model, processor = FAMILY_CASES[0].make(make_dialogues(**settings))
    logits = torch.randn(5, model.config.num_labels)
    told = export.export_settings(model, processor, [])
    expected = [row["scores"] for row in model.name_scores(model.scores(logits))]
    assert exported.name_scores(logits.numpy(), told) == [pytest.approx(row) for row in expected]


def test_an_exported_file_names_no_folder_of_this_machine():
    model, processor = FAMILY_CASES[0].make(make_dialogues())
    processor.text_extractor = "/home/ada/encoders/tiny#-1"
    told = export.export_settings(model, processor, [])
    assert told["processor"]["text_extractor"] == "local:tiny#-1"
    assert "/home/ada" not in json.dumps(told)


def test_a_program_of_torch_gives_them_too(tmp_path):
    path = assert_exports(*FAMILY_CASES[0].make(make_dialogues(), **ALONE), tmp_path, ".pt2")
    files = {"joyful_hf.json": ""}
    torch.export.load(path, extra_files=files)
    assert json.loads(files["joyful_hf.json"])["labels"] == list(LABELS)


def every_form(quick):
    """Every form of every family; all but a few are left to the slow tests, and share their layers with these."""
    cases = [*FAMILY_CASES, *RIVAL_CASES]
    marked = [pytest.param(case, id=case.name, marks=[] if case.name in quick else pytest.mark.slow) for case in cases]
    return pytest.mark.parametrize("case", marked)


@every_form(quick=["ar-iigcn-paper", "dialogue-rnn-recommended"])
def test_torchs_shortest_call_exports_a_model_for_a_batch(case):
    """With its losses, and without a word of which sizes are open."""
    model, processor = case.make(make_dialogues())
    batch = dict(processor(make_dialogues(), return_tensors="pt"))
    with torch.no_grad():
        program = torch.export.export(model, (), batch)
    expected, found = run(model, batch), program.module()(**batch)
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.loss, expected.loss, rtol=1e-4, atol=1e-5)


@every_form(quick=["joyful-recommended", "ar-iigcn-paper"])
def test_torchs_own_call_exports_a_model_as_it_is(case):
    """With its losses, for batches of all sizes."""
    model, processor = case.make(make_dialogues())
    batch, other = (
        dict(processor(make_dialogues(lengths), return_tensors="pt", return_labels=False))
        for lengths in ((30, 5), (6, 1, 4))
    )
    shapes = {
        name: {axis: Dim.DYNAMIC for axis, size in enumerate(tensor.shape) if size != other[name].size(axis)}
        for name, tensor in batch.items()
    }
    with torch.no_grad():
        program = torch.export.export(model.eval(), (), kwargs=batch, dynamic_shapes=shapes)
    torch.testing.assert_close(program.module()(**other).logits, run(model, other).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suffix", FORMATS)
def test_with_a_window(tmp_path, suffix):
    assert_exports(*FAMILY_CASES[1].make(make_dialogues(), **WINDOWED), tmp_path, suffix)


def test_learnt_vectors_stand_in_for_what_is_absent(tmp_path):
    dialogues = make_dialogues()
    model, processor = FAMILY_CASES[0].make(dialogues, absent_modality="learnt", **ALONE)
    tell_absence(model.joyful.inputs)
    path = export_model(model, processor, tmp_path / "model.pt2")
    batch = processor(dialogues, return_tensors="pt", return_labels=False)
    batch = hide_modalities(batch, torch.arange(3 * 38).view(38, 3) % 4 > 0)
    assert (run_exported(path, batch) - run(model, batch).logits).abs().max() < 1e-4


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_modality_may_be_left_out(tmp_path, suffix):
    dialogues = make_dialogues(modalities=("text",))
    model, processor = FAMILY_CASES[0].make(dialogues, **ALONE)
    batch = processor(dialogues, return_tensors="pt", return_labels=False)
    path = export_model(model, processor, tmp_path / f"model{suffix}")
    assert (run_exported(path, batch) - run(model, batch).logits).abs().max() < 1e-4


def test_the_model_itself_is_left_alone(tmp_path):
    model, processor = FAMILY_CASES[0].make(make_dialogues(), **ALONE)
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
    model, processor = FAMILY_CASES[0].make(make_dialogues(), **ALONE)
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match="differs from the model"):
        export_model(model, processor, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())
