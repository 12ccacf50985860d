"""Training with weights that two processes share (FSDP2): `torchrun` starts them, on the CPU, over gloo."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from joyful_hf import JoyfulTrainer, JoyfulTrainingArguments
from tests.support import sharded
from tests.support.helpers import FAMILY_CASES

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["joyful-recommended", "foal-net"]
CASES = [
    pytest.param(case, id=case.name, marks=[] if case.name in QUICK else pytest.mark.slow) for case in FAMILY_CASES
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    """A folder of results for each case that is to be tested, all made by one pair of processes."""
    chosen = {item.callspec.params["case"].name for item in request.session.items if _is_of_a_run(item)}
    folder = tmp_path_factory.mktemp("shared")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    finished = subprocess.run(
        [sys.executable, *command, str(ROOT / "tests/support/sharded.py"), str(folder), *sorted(chosen)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr[:6000]
    return folder


def _is_of_a_run(item: pytest.Item) -> bool:
    return item.path == Path(__file__) and "case" in getattr(getattr(item, "callspec", None), "params", {})


@pytest.mark.parametrize("case", CASES)
def test_a_family_trains_saves_and_resumes(folder, case):
    results = json.loads((folder / case.name / "results.json").read_text())
    assert 0 < results["own"] < 0.6 * results["weights"]
    assert results["finite"]
    assert results["moved"] > 0
    assert results["validations"] >= 2
    # A run that is resumed from the middle ends with the same weights, the averaged ones.
    assert results["resumed"] < 1e-6
    # The folder holds them whole, and they give the same loss in one process.
    model, processor = case.model_class.from_pretrained(folder / case.name / "final"), case.make(sharded.DIALOGUES)[1]
    saved = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    expected = torch.load(folder / case.name / "weights.pt", weights_only=True)["weights"]
    torch.testing.assert_close(saved, expected, rtol=0, atol=0)
    args = JoyfulTrainingArguments(str(folder), eval_strategy="no", load_best_model_at_end=False, use_cpu=True)
    loss = JoyfulTrainer(model=model, args=args, processing_class=processor).evaluate(sharded.DIALOGUES)["eval_loss"]
    assert results["loss"] == pytest.approx(loss, rel=1e-4)
    assert (folder / case.name / "checkpoint-4" / "step_weights.safetensors").is_file()


def test_on_the_cpu_accelerate_shares_nothing_and_that_is_said(folder):
    assert "`fsdp`: accelerate shares weights between accelerators alone" in (folder / "refusal.txt").read_text()
