"""The layers of an encoder that lie side by side in a modality's features, mixed by weights that the model learns.

As in SUPERB (Yang et al., Interspeech 2021): h = sum over l of softmax(w)_l h_l. Which layers carry emotion differs
from encoder to encoder: of speech, mostly those in the middle.
"""

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .reach import ALONE


class LayerMixture(nn.Module):
    """h = sum_l softmax(w)_l h_l; at first the mean.

    Args:
        num_layers: L.
    """

    reach = ALONE

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.empty(num_layers))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weigh all layers alike."""
        init.zeros_(self.scores)

    @property
    def weights(self) -> Tensor:
        """(L,) weight of each layer; they sum to 1."""
        return self.scores.softmax(0)

    def forward(self, features: Tensor) -> Tensor:
        """(N, L * size) -> (N, size)."""
        layers = features.unflatten(-1, (len(self.scores), -1))
        return (self.weights.to(features.dtype)[:, None] * layers).sum(1)
