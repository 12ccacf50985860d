"""The threads of a command."""

import os
import subprocess
import sys

import pytest

from joyful_hf.cli.threads import SPINS, _quota, settle_threads, usable_cores


def test_a_command_uses_the_cores_that_it_may_and_its_threads_spin_for_a_moment_only():
    environment = {}
    settle_threads(environment)
    assert environment == {"OMP_NUM_THREADS": str(usable_cores()), "GOMP_SPINCOUNT": SPINS, "KMP_BLOCKTIME": "0"}


def test_what_the_user_has_set_stays():
    chosen = {"OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "ACTIVE"}
    environment = dict(chosen)
    settle_threads(environment)
    assert environment == chosen


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, float("inf")),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ({}, float("inf")),
    ],
    ids=["version 2", "version 2, all", "version 1", "version 1, all", "none"],
)
def test_the_share_of_a_control_group_counts(tmp_path, files, cores):
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert _quota(tmp_path) == cores


def test_threads_and_the_collector_are_settled_before_torch_is_loaded():
    program = (
        "import gc, os, sys; import joyful_hf.cli.app as app; assert 'torch' not in sys.modules\n"
        "sys.argv = ['joyful', '--version']\n"
        "try:\n    app.main()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules; print(os.environ['GOMP_SPINCOUNT'], gc.get_threshold()[0])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP", "GOMP"))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"{SPINS} 50000", done.stderr
