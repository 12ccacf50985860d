"""The picture of accuracy against coverage."""

import numpy as np
import pytest

from joyful_hf import DialogueError
from joyful_hf.pictures import plot_selective
from tests.support.figures import drawn

SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]])


def test_it_shows_the_curve_and_the_reported_points():
    (axes,) = drawn(plot_selective(SCORES, np.array([0, 1, 0, 1]))).axes
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([1, 1, 2 / 3, 1 / 2])
    assert [text.get_text() for text in axes.texts] == ["1.00", "0.50", "0.50"]


def test_it_needs_labels():
    with pytest.raises(DialogueError, match="needs labels"):
        plot_selective(SCORES, np.full(4, -100))
