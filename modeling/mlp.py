"""The two-layer perceptron that classifies in every family, and maps each modality of AR-IIGCN into its space."""

from torch import nn

from .dropout import Dropout


def make_mlp(in_size: int, hidden_size: int, out_size: int, dropout: float) -> nn.Sequential:
    """Two linear layers, ReLU and dropout between them, as in JOYFUL's released code; the papers leave it open."""
    return nn.Sequential(
        nn.Linear(in_size, hidden_size), nn.ReLU(), Dropout(dropout), nn.Linear(hidden_size, out_size)
    )
