"""The device of `tests.support.accelerator`, which a process keeps once it has it.

These tests therefore run in a process of their own, which `tests/test_accelerator.py` starts. By hand:

    JOYFUL_TEST_ACCELERATOR=1 python -m pytest tests/accelerator
"""

import os

import pytest

from tests.support import accelerator

if "JOYFUL_TEST_ACCELERATOR" in os.environ:
    accelerator.install()
else:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def doubles():
    """None, as on Apple's MPS: what runs so runs on CUDA too."""
    accelerator.DOUBLES.allowed = False
    accelerator.WORK.clear()
    return accelerator.DOUBLES
