"""What tests of the Hub share."""

import pytest

from tests.support.pushes import make_run_folder


@pytest.fixture
def out(tmp_path, dialogues):
    """The folder of a run, with all that a run and its user may leave there."""
    return make_run_folder(tmp_path / "out", dialogues)
