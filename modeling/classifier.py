"""The head that all families classify with."""

from torch import nn


def make_classifier(in_size: int, hidden_size: int, num_labels: int, dropout: float) -> nn.Sequential:
    """Two linear layers, as in JOYFUL's released code; the papers leave the classifier open."""
    return nn.Sequential(
        nn.Linear(in_size, hidden_size), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden_size, num_labels)
    )
