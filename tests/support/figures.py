"""What tests of pictures share: drawing them, reading them, and labels of every kind."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tests.support.helpers import LABELS

TWENTY = [f"an emotion of a rather long name, number {index}" for index in range(20)]


def drawn(figure: Figure) -> Figure:
    """The figure, after everything that can only go wrong in drawing."""
    figure.draw_without_rendering()
    return figure


def texts_of(figure: Figure) -> list[str]:
    """Everything that is written in a picture."""
    drawn(figure)
    found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return [text for text in found if text]


def predict(model: Any, processor: Any, dialogue: dict[str, Any]) -> dict[str, Any]:
    """The prediction for one dialogue."""
    (prediction,) = model.predict(dialogue, processor)
    return prediction


def labels_of(dialogue: dict[str, Any]) -> list[Any]:
    """The true label of each utterance."""
    return [utterance["label"] for utterance in dialogue["utterances"]]


def several_labels(rng: np.random.Generator) -> list[str]:
    """Any number of emotions, none too."""
    return [label for label in LABELS if rng.random() < 0.4]


def a_value(rng: np.random.Generator) -> float:
    """A sentiment."""
    return float(rng.normal())
