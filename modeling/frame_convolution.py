"""Convolutions over padded sequences of frames, whose padding takes no part."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .reach import ALONE


class FrameConvolution(nn.Conv1d):
    """A convolution, ReLU, and the maximum of each pair of steps.

    Args:
        whole_windows: only windows that lie in the sequence are steps; otherwise it is filled up with zeros, so that
            each frame has one.
        drop_odd: of an odd number of steps the last one is dropped; otherwise it stays, alone.
    """

    reach = ALONE

    def __init__(self, in_size: int, out_size: int, kernel: int, whole_windows: bool, drop_odd: bool) -> None:
        super().__init__(in_size, out_size, kernel)
        self.whole_windows = whole_windows
        self.drop_odd = drop_odd

    def reset_parameters(self) -> None:
        """Draw the parameters as torch does."""
        bound = 1 / math.sqrt(self.in_channels * self.kernel_size[0])
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:  # ty: ignore[incompatible-method-override]
        """(B, T, in_size) and (B, T) bool, padded at the end -> half as many steps, zeros in the padding."""
        lost = self.kernel_size[0] - 1
        before = 0 if self.whole_windows else lost // 2
        frames = functional.pad(frames.transpose(1, 2), (before, lost - before))
        if self.whole_windows:
            mask = functional.pad(mask, (0, lost))[:, lost:]  # a step is real if the last frame of its window is
        steps = torch.where(mask[:, None], torch.relu(super().forward(frames)), 0)
        odd = mask.size(1) % 2
        steps, mask = functional.pad(steps, (0, odd)), functional.pad(mask, (0, odd))
        pairs = mask.unflatten(1, (-1, 2))
        kept = pairs.all(-1) if self.drop_odd else pairs.any(-1)
        pooled = functional.max_pool1d(steps, 2).transpose(1, 2)
        return torch.where(kept[..., None], pooled, 0), kept
