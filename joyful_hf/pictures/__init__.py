"""Pictures of a run and of its predictions. Each is a matplotlib `Figure`, which `save_figure` writes as PNG and SVG.

    from joyful_hf.pictures import plot_timeline, save_figure

    save_figure(plot_timeline(model.predict(dialogue, processor)[0]), Path("timeline"))

They need matplotlib: `pip install "matplotlib>=3.10"`. These functions only draw: they take predictions, graphs,
explanations and scores as they are. `joyful_hf.pictures.gallery` runs a checkpoint and draws all of them.
"""

from .classes import plot_confusion_matrix, plot_f1_per_class
from .explanation import plot_explanation
from .graph import plot_dialogue_graph
from .reliability import plot_reliability
from .representations import plot_representations
from .selective import plot_selective
from .style import save_figure
from .timeline import plot_timeline
from .training_curves import plot_training_curves

__all__ = [
    "plot_confusion_matrix",
    "plot_dialogue_graph",
    "plot_explanation",
    "plot_f1_per_class",
    "plot_reliability",
    "plot_representations",
    "plot_selective",
    "plot_timeline",
    "plot_training_curves",
    "save_figure",
]
