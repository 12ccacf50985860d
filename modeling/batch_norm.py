"""Batch normalisation over packed rows: of those that are there, or of the padding too that others would have."""

import torch
from torch import Tensor, nn

from .packing import DialogueLayout
from .reach import ALONE


class PackedBatchNorm(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` on packed rows.

    Args:
        with_padding: take the mean and the variance over a padded batch, zeros in the padding, as code on padded
            batches does.
    """

    reach = ALONE
    without_weight_decay = ("weight",)

    def __init__(self, size: int, with_padding: bool = False) -> None:
        super().__init__(size)
        self.with_padding = with_padding

    def forward(self, rows: Tensor, present: Tensor, layout: DialogueLayout) -> Tensor:  # ty: ignore[incompatible-method-override]
        """(N, size) and where they are present (N, 1) bool -> (N, size)."""
        if not self.training:
            assert self.running_mean is not None
            assert self.running_var is not None
            return self.normalize(rows, self.running_mean, self.running_var)
        mean, variance = self.learn(rows.float(), present, layout)
        return self.normalize(rows, mean, variance)

    def learn(self, rows: Tensor, present: Tensor, layout: DialogueLayout) -> tuple[Tensor, Tensor]:
        """Mean and variance of a training batch, which also move the running ones."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        if self.with_padding:
            present = torch.ones_like(present)
            count = torch.full((), float(layout.num_dialogues * layout.longest), device=rows.device)
        else:
            count = present.sum().float()
        mean = (rows * present).sum(0) / count.clamp(min=1)
        squares = ((rows - mean).square() * present).sum(0) + (count - present.sum()) * mean.square()
        several = count > 1  # one row alone has no variance to divide by
        with torch.no_grad():
            step = torch.where(several, self.momentum, 0.0)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), step.to(self.running_mean.dtype))
            self.running_var.lerp_(
                (squares / (count - 1).clamp(min=1)).to(self.running_var.dtype), step.to(self.running_var.dtype)
            )
        return (
            torch.where(several, mean, self.running_mean.detach().clone()),
            torch.where(several, squares / count.clamp(min=1), self.running_var.detach().clone()),
        )

    def normalize(self, rows: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """(N, size) -> (N, size), with the learnt scale and shift."""
        scale = self.weight * (variance + self.eps).rsqrt()
        return ((rows - mean) * scale + self.bias).to(rows.dtype)
