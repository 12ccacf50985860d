"""The two-layer perceptron that classifies in every family, and COGMEN's highway layer in front of it."""

import torch
from torch import Tensor, nn

from .dropout import Dropout


def make_mlp(in_size: int, hidden_size: int, out_size: int, dropout: float) -> nn.Sequential:
    """Two linear layers, ReLU and dropout between them, as in JOYFUL's released code; the papers leave it open."""
    return nn.Sequential(
        nn.Linear(in_size, hidden_size), nn.ReLU(), Dropout(dropout), nn.Linear(hidden_size, out_size)
    )


class Highway(nn.Module):
    """g * ReLU(A y) + (1 - g) * (B y) with the gate g = sigmoid(C y)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.nonlinear = nn.Linear(size, size)
        self.linear = nn.Linear(size, size)
        self.gate = nn.Linear(size, size)

    def forward(self, rows: Tensor) -> Tensor:
        """(N, size) -> (N, size)."""
        gate = torch.sigmoid(self.gate(rows))
        return gate * torch.relu(self.nonlinear(rows)) + (1 - gate) * self.linear(rows)
