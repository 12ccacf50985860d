"""MMGCN's graph: a node for each modality of each utterance, joined by how alike they are, and GCNII over it.

Within a modality all utterances of a dialogue are joined, and between modalities those of the same utterance. Such an
adjacency is a square for each modality and a small one for each utterance; it is never written out as a whole.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .packing import DialogueBlock
from .precision import full_precision

# Keeps the arc cosine away from its ends, where its slope is infinite.
_SHRINK = 0.99999
_EPSILON = 1e-8


@dataclass
class ModalityGraph:
    """The normalised adjacency Â of the dialogues of one block."""

    within: Tensor
    """(b, modalities, longest, longest), from the column's utterance to the row's."""
    across: Tensor
    """(b, longest, modalities, modalities), 0 on the diagonal."""

    @classmethod
    def of(cls, nodes: Tensor, seen: Tensor, block: DialogueBlock) -> "ModalityGraph":
        """S(x, y) = 1 - arccos(0.99999 cos(x, y)) / pi, and Â = D^-1/2 S D^-1/2 with the row sums D.

        Args:
            nodes: (b, modalities, longest, size).
            seen: (b, modalities, longest) bool, True at nodes that have edges.
        """
        seen = seen & block.mask[:, None]
        with full_precision(nodes):
            unit = functional.normalize(nodes.float(), dim=-1, eps=_EPSILON)
            same = torch.eye(block.longest, dtype=torch.bool, device=nodes.device)
            within = _similarity(unit @ unit.transpose(-1, -2), same)
            within = torch.where(seen[..., :, None] & seen[..., None, :], within, 0)
            unit, here = unit.transpose(1, 2), seen.transpose(1, 2)
            same = torch.eye(nodes.size(1), dtype=torch.bool, device=nodes.device)
            across = _similarity(unit @ unit.transpose(-1, -2), same)
            across = torch.where(here[..., :, None] & here[..., None, :] & ~same, across, 0)
            degree = within.sum(-1) + across.sum(-1).transpose(1, 2)
            # A node without edges has a degree of 0, and nothing to divide.
            root = torch.where(degree > 0, degree, math.inf).rsqrt()
            within = root[..., :, None] * within * root[..., None, :]
            root = root.transpose(1, 2)
            return cls(within, root[..., :, None] * across * root[..., None, :])

    def spread(self, nodes: Tensor) -> Tensor:
        """Â H of the nodes (b, modalities, longest, size)."""
        of_others = self.across.to(nodes.dtype) @ nodes.transpose(1, 2)
        return self.within.to(nodes.dtype) @ nodes + of_others.transpose(1, 2)


def _similarity(cosine: Tensor, same: Tensor) -> Tensor:
    """S of the cosines; of a node with itself it is a constant, which rounding would change and nothing can learn."""
    cosine = torch.where(same, 0, cosine)
    of_itself = 1 - math.acos(_SHRINK) / math.pi
    return torch.where(same, of_itself, 1 - torch.arccos(_SHRINK * cosine) / math.pi)


class GCNIILayer(nn.Module):
    """H' = ReLU(theta [M ; H0] W + (1 - theta) ((1 - alpha) M + alpha H0)) with M = Â H; Chen et al., ICML 2020.

    Args:
        theta: share of the layer's own map.
        alpha: share of the first layer's input.
    """

    def __init__(self, size: int, theta: float, alpha: float) -> None:
        super().__init__()
        self.theta, self.alpha = theta, alpha
        self.weight = nn.Parameter(torch.empty(2 * size, size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight as the authors do."""
        bound = self.weight.size(1) ** -0.5
        init.uniform_(self.weight, -bound, bound)

    def forward(self, received: Tensor, first: Tensor) -> Tensor:
        """M and H0 (..., size) -> H' (..., size)."""
        mapped = torch.cat([received, first], dim=-1) @ self.weight
        kept = (1 - self.alpha) * received + self.alpha * first
        return torch.relu(self.theta * mapped + (1 - self.theta) * kept)
