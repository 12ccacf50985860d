"""The reliability diagram."""

import numpy as np
import pytest

from joyful_hf import DialogueError
from joyful_hf.evaluation.calibration import expected_calibration_error
from joyful_hf.pictures import (
    plot_reliability,
)
from tests.support.figures import drawn


def test_a_reliability_diagram_shows_the_error_before_and_after():
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(3), 200)
    sharper = scores**3 / (scores**3).sum(-1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in scores])
    labels[0] = -100
    titles = [axes.get_title() for axes in drawn(plot_reliability(scores, labels, sharper)).axes]
    before, after = (expected_calibration_error(one, labels) for one in (sharper, scores))
    assert titles[:2] == [f"before calibration: ECE {before:.3f}", f"after calibration: ECE {after:.3f}"]
    alone = drawn(plot_reliability(scores, labels))
    assert [axes.get_title() for axes in alone.axes] == [f"probabilities: ECE {after:.3f}", ""]
    assert sum(bar.get_height() for bar in alone.axes[1].patches) == 199, "each prediction in one bin"
    with pytest.raises(DialogueError, match="needs labels"):
        plot_reliability(scores, np.full(200, -100))
