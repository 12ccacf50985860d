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
        rank: of W, as a product of two matrices; None has it whole.
        scale: of the scores.
    """

    reach = Reach(math.inf, math.inf)

    def __init__(self, size: int, bounded: bool = False, rank: int | None = None, scale: float = 1.0) -> None:
        super().__init__()
        self.transform: nn.Module = (
            nn.Linear(size, size)
            if rank is None
            else nn.Sequential(nn.Linear(size, rank, bias=False), nn.Linear(rank, size))
        )
        self.bounded = bounded
        self.scale = scale

    def forward(
        self,
        memory: Tensor,
        layout: DialogueLayout,
        queries: Tensor | None = None,
        present: Tensor | None = None,
    ) -> Tensor:
        """m (N, size), and q (N, size), which is m itself by default -> (N, size).

        Args:
            present: (N, 1) bool, what is remembered; all by default, and where a dialogue remembers nothing.
        """
        asked = self.transform(memory if queries is None else queries) * self.scale
        here = torch.ones_like(memory[:, :1], dtype=torch.bool) if present is None else present
        parts = []
        arranged = [layout.split(layout.arrange(rows)) for rows in (asked, memory, here)]
        for block, own_asked, own_memory, own_here in zip(layout.blocks, *arranged, strict=True):
            remembered, seen = block.pad(own_memory), block.pad(own_here).transpose(1, 2)
            seen = seen | (block.mask[:, None, :] & ~seen.any(-1, keepdim=True))
            weights = self.weigh(block.pad(own_asked) @ remembered.transpose(1, 2), seen)
            parts.append(block.unpad(weights.to(remembered.dtype) @ remembered))
        return layout.restore(torch.cat(parts) if len(parts) > 1 else parts[0])

    def weigh(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Scores (b, longest, longest) -> weights; mask is (b, 1, longest) bool, True at what is remembered."""
        scores = torch.tanh(scores) if self.bounded else scores
        return scores.masked_fill(~mask, -math.inf).softmax(dim=-1, dtype=torch.float32)
