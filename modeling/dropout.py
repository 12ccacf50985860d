"""Dropout whose random numbers cost less than the products around it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from .members import are_together, is_of_several


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`; on a CPU the mask takes 16 random bits per element instead of a double.

    The probability is rounded to a multiple of 2**-16. A mask costs a tenth of torch's, which would take a fifth of
    a bfloat16 training step (`benchmarks/README.md`).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        on_cpu = input.device.type == "cpu" and not torch.compiler.is_compiling()
        shared = is_of_several() and not are_together(input)  # of which torch makes each network its own
        if not self.training or not on_cpu or shared or not 0 < self.p < 1:
            return functional.dropout(input, self.p, self.training)
        scale = _DropoutScale.apply(input, self.p) if are_together(input) else dropout_scale(input, self.p)
        return input * scale


def dropout_scale(like: Tensor, dropout: float) -> Tensor:
    """Factors of dropout for a tensor of this shape: 0, or 1 / (1 - p)."""
    return keep_mask(like.shape, dropout).to(like.dtype) * (1 / (1 - dropout))


class _DropoutScale(torch.autograd.Function):
    """The same of several networks, each with numbers of its own."""

    @staticmethod
    def forward(like: Tensor, dropout: float) -> Tensor:
        return dropout_scale(like, dropout)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None]:
        return None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int | None]:
        like, dropout = inputs
        return _DropoutScale.apply(like, dropout), in_dims[0]


def keep_mask(shape: torch.Size, dropout: float) -> Tensor:
    """Bool mask of this shape on the CPU, False with probability `dropout`."""
    count = shape.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
    return (bits >= round(dropout * 2**16) - 2**15).view(shape)
