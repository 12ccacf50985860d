r"""Low-rank adaptation (LoRA) of an encoder: each weight matrix learns an update of low rank, and stays itself.

$$W = W_0 + \frac{\alpha}{r} B A, \qquad A \in R^{r \times m}, B \in R^{n \times r}$$

with B = 0 at first, so that training starts from the encoder as it is. Hu et al., "LoRA: Low-Rank Adaptation of Large
Language Models", ICLR 2022. The update is a parametrisation of the weight, which also reaches layers that read their
matrices themselves (WavLM's attention), and it can be merged into the weight at the end.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .encoder_depth import layers_of


class LowRankUpdate(nn.Module):
    """W_0 (n, m) -> W_0 + alpha / rank * B A.

    Args:
        weight: W_0.
        rank: of the update.
        alpha: its scale, times the rank.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.lora_A = nn.Parameter(weight.new_empty(rank, weight.size(1)))
        self.lora_B = nn.Parameter(weight.new_zeros(weight.size(0), rank))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """W_0 -> W."""
        return weight + self.scale * (self.lora_B @ self.lora_A)


def add_low_rank_updates(encoder: Any, rank: int, alpha: float) -> None:
    """Give every linear map in the layers of an encoder an update that learns, and let nothing else of it learn."""
    encoder.requires_grad_(False)
    for layer in layers_of(encoder) or [encoder]:
        for module in list(layer.modules()):
            if isinstance(module, nn.Linear) and not parametrize.is_parametrized(module):
                update = LowRankUpdate(module.weight, rank, alpha)
                parametrize.register_parametrization(module, "weight", update)


def has_low_rank_updates(model: nn.Module) -> bool:
    """Whether a model has updates that are not merged, so that its weights are not those of its configuration."""
    return any(isinstance(module, LowRankUpdate) for module in model.modules())


@torch.no_grad()
def merge_low_rank_updates(encoder: Any) -> None:
    """Add the updates to the weights: the encoder computes the same, and is one without updates again."""
    for module in encoder.modules():
        if isinstance(module, nn.Linear) and parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
            bias = module._parameters.pop("bias")  # it follows the weight in the order of parameters
            module.register_parameter("bias", bias)
