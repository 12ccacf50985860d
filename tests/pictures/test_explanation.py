"""The picture of why an utterance got its label: which bars it has, in which order, and what they say."""

import io

import numpy as np
import pytest

from joyful_hf.inference.explanation import Explanation, explain
from joyful_hf.pictures.explanation import plot_explanation
from tests.support.helpers import make_dialogue

NAN = np.nan


def a_prediction(count, label="joy"):
    """As `model.predict` returns it."""
    return {
        "utterances": [
            {"speaker": f"S{index}", "text": f"costs ${index} and $x_1$", "label": label} for index in range(count)
        ]
    }


def an_explanation(falls, modalities=(0.2, NAN, -0.1)):
    """Of the first utterance."""
    count = len(falls)
    return Explanation(
        ["joy"] * count, np.full(count, 0.75), np.tile(falls, (count, 1)), np.tile(modalities, (count, 1))
    )


def drawn(figure):
    figure.savefig(io.BytesIO())
    return [
        (
            [tick.get_text() for tick in axes.get_yticklabels()],
            [bar.get_width() for bar in axes.patches],
            [bool(bar.get_hatch()) for bar in axes.patches],
            [text.get_text() for text in axes.texts],
        )
        for axes in figure.axes
    ]


def test_bars_are_falls_in_spoken_order_and_what_rises_is_hatched():
    above, below = drawn(plot_explanation(an_explanation([0.5, -0.25, 0.0, 0.0002, 0.1]), a_prediction(5), 0))
    names, widths, hatched, texts = above
    assert [name.split()[0] for name in names] == ["1", "2", "5"], "what weighs next to nothing is left out"
    assert ["(itself)" in name for name in names] == [True, False, False]
    assert widths == pytest.approx([50, -25, 10])
    assert hatched == [False, True, False]
    assert texts == ["+50.0", "-25.0", "+10.0"]
    assert below[0] == ["text", "visual"]
    assert below[3] == ["+20.0", "-10.0"]


def test_of_many_utterances_the_heaviest_are_shown():
    falls = np.linspace(0.01, 0.4, 40)
    (names, *_), _ = drawn(plot_explanation(an_explanation(falls), a_prediction(40), 4))
    assert [int(name.split()[0]) for name in names] == [5, *range(31, 41)]


def test_a_value_changes_by_its_own_unit():
    figure = plot_explanation(an_explanation([0.5, 1.25]), a_prediction(2, label=0.75), 0)
    assert drawn(figure)[0][3] == ["+0.50", "+1.25"]
    assert figure.get_suptitle().endswith("+0.75")
    assert figure.axes[1].get_xlabel() == "change of the value"


def test_every_family_can_be_shown(family):
    dialogue = make_dialogue(6)
    model, processor = family.make([dialogue])
    (prediction,) = model.predict(dialogue, processor)
    explanation = explain(model, processor, dialogue, 3)
    (names, *_), below = drawn(plot_explanation(explanation, prediction, 3))
    assert any("(itself)" in name for name in names)
    others = explanation.top_influences(3, most=6)
    assert bool(others) == family.reads_dialogues
    assert len(names) == 1 + sum(abs(fall) > 5e-4 for fall in others.values()), "what weighs next to nothing"
    assert below[0] == list(family.modalities)
