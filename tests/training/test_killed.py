"""Runs that are killed end as if nothing had happened: a small sample of `make test-kill`, itself a minute long."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_killed_or_stopped_the_same_command_ends_with_the_same_weights(tmp_path):
    options = "--families joyful-paper --processes 1 --kills 0 --stops 1 --files optimizer.pt"
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killing", *options.split()],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[12] killed of 2 runs", done.stdout)
