"""The confusion matrix and the F1 scores."""

from itertools import pairwise

import numpy as np
import pytest

from joyful_hf import DialogueError
from joyful_hf.pictures import (
    plot_confusion_matrix,
    plot_f1_per_class,
)
from tests.support.figures import TWENTY, drawn, texts_of


def test_a_confusion_matrix_has_share_and_count_of_each_cell():
    texts = texts_of(plot_confusion_matrix([[3, 1], [0, 2000]], ["joy", "anger"]))
    assert {"0.75\n3", "0.25\n1", "0", "1.00\n2,000", "joy (4)", "anger (2,000)"} <= set(texts)


def test_a_class_that_does_not_occur_says_so():
    texts = texts_of(plot_confusion_matrix([[3, 1], [0, 0]], ["joy", "anger"]))
    assert "anger (none)" in texts
    assert not any("nan" in text for text in texts)


def test_many_long_names_are_shortened_and_do_not_overlap():
    counts = np.diag(range(20))
    figure = drawn(plot_confusion_matrix(counts, TWENTY))
    axes = figure.axes[0]
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(above.y0 >= below.y1 or below.y0 >= above.y1 for above, below in pairwise(boxes))
    assert all(len(label.get_text()) < 35 for label in axes.get_xticklabels())


def test_counts_that_do_not_fit_the_names_are_refused():
    with pytest.raises(DialogueError, match=r"2 labels is square, got shape \(1, 2\)"):
        plot_confusion_matrix([[1, 2]], ["joy", "anger"])


def test_f1_bars_are_sorted_with_their_support():
    scores, support = {"joy": 0.5, "anger": 0.75, "fear": 0.0}, {"joy": 10, "anger": 30, "fear": 0}
    figure = drawn(plot_f1_per_class(scores, support))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fear (0)", "joy (10)", "anger (30)"]
    assert [patch.get_width() for patch in axes.patches] == [0, 0.5, 0.75]
    assert "0.688" in axes.get_title(), "the weighted F1"
    with pytest.raises(DialogueError, match="support has joy; give both for the same classes"):
        plot_f1_per_class(scores, {"joy": 1})
