"""Matching attention: every utterance asks all utterances of its dialogue, and gets their mixture."""

import math

import torch
from torch import Tensor, nn

from .packing import DialogueLayout
from .reach import Reach


class MatchingAttention(nn.Module):
    """sum_j softmax_j(m_j . (W q_t + b)) m_j over the utterances j of the dialogue.

    Args:
        size: of what is asked with and of what is remembered.
        bounded: let the scores pass through tanh, so that none weighs more than e^2 times another.
    """

    reach = Reach(math.inf, math.inf)

    def __init__(self, size: int, bounded: bool = False) -> None:
        super().__init__()
        self.transform = nn.Linear(size, size)
        self.bounded = bounded

    def forward(self, memory: Tensor, layout: DialogueLayout, queries: Tensor | None = None) -> Tensor:
        """m (N, size), and q (N, size), which is m itself by default -> (N, size)."""
        asked = self.transform(memory if queries is None else queries)
        parts = []
        rows = zip(layout.split(layout.arrange(asked)), layout.split(layout.arrange(memory)), strict=True)
        for block, (own_asked, own_memory) in zip(layout.blocks, rows, strict=True):
            remembered = block.pad(own_memory)
            weights = self.weigh(block.pad(own_asked) @ remembered.transpose(1, 2), block.mask[:, None, :])
            parts.append(block.unpad(weights.to(remembered.dtype) @ remembered))
        return layout.restore(torch.cat(parts) if len(parts) > 1 else parts[0])

    def weigh(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Scores (b, longest, longest) -> weights; mask is (b, 1, longest) bool, True at real utterances."""
        scores = torch.tanh(scores) if self.bounded else scores
        return scores.masked_fill(~mask, -math.inf).softmax(dim=-1, dtype=torch.float32)
