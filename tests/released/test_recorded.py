"""Every recorded stage of the rivals' released code, and what the families here compute from its weights."""

import pytest

from tests.support.recorded import differences, recordings


@pytest.mark.parametrize("path", recordings(), ids=lambda path: path.stem)
def test_every_recorded_stage_is_computed_again(path):
    apart = {name: (largest, most) for name, largest, most in differences(path) if not largest <= most}
    assert not apart, apart
