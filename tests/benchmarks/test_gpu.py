"""What is prepared for a GPU runs on a CPU in small, so that it does not fail for a trifle on the day."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import SECTIONS

ROOT = Path(__file__).parents[2]
# Compiling takes minutes on a CPU, and tests/modeling/test_inductor.py does it.
QUICK = [section for section in SECTIONS if section != "compile"]


@pytest.mark.slow
def test_every_part_runs_in_its_quick_form(tmp_path):
    output = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--quick", "--device", "cpu", "--output", str(output)]
    done = subprocess.run([*command, "--sections", *QUICK], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sections = json.loads(output.read_text())["cpu"]
    assert list(sections) == QUICK
    assert not [figure["error"] for section in sections.values() for figure in section["figures"] if figure["error"]]
    assert "test_a_gpu_gives_the_same_logits_and_trains" in done.stdout


@pytest.mark.slow
def test_a_part_ends_when_the_time_is_up_and_the_rest_is_tried(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu", "--quick", "--device", "cpu", "--minutes", "0.001"]
    command += ["--sections", "matrix", "--output", str(tmp_path / "gpu.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines() if "out of time" in line] == ["tests", "matrix"]
