"""What a trainer shares: the model card, the confusion matrix, and pushes to the Hub."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..runs.names import CONFUSION_MATRIX
from ..runs.summary import ConfusionMatrix


def draw_confusion_matrix(confusions: ConfusionMatrix | None, folder: Path) -> None:
    """As PNG and SVG, where there is one and matplotlib is installed."""
    if confusions is None or find_spec("matplotlib") is None:
        return
    from ..pictures import plot_confusion_matrix
    from ..pictures.style import save_figure

    counts = np.array(confusions.counts)
    save_figure(plot_confusion_matrix(counts, confusions.labels), folder / CONFUSION_MATRIX)
