"""Dropout whose random numbers cost less than the products around it."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`; on a CPU the mask takes 16 random bits per element instead of a double.

    The probability is rounded to a multiple of 2**-16. A mask costs a tenth of torch's, which would take a fifth of
    a bfloat16 training step (`benchmarks/README.md`).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        on_cpu = input.device.type == "cpu" and not torch.compiler.is_compiling()
        if not self.training or not on_cpu or not 0 < self.p < 1:
            return functional.dropout(input, self.p, self.training)
        return input * (keep_mask(input.shape, self.p).to(input.dtype) * (1 / (1 - self.p)))


def keep_mask(shape: torch.Size, dropout: float) -> Tensor:
    """Bool mask of this shape on the CPU, False with probability `dropout`."""
    count = shape.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
    return (bits >= round(dropout * 2**16) - 2**15).view(shape)
