"""Sizes that depend on values, written so that `torch.compile` and `torch.export` keep them open without a break."""

from typing import Any

import torch
from torch import Tensor


def let_scans_compile() -> None:
    """Let inductor compile recurrences, in this process: it turns a scan into a loop, whose count is such a number."""
    torch._dynamo.config.capture_scalar_outputs = True


def as_number(value: Tensor, lowest: int, highest: int) -> int:
    """The value of a () tensor, which lies between two bounds."""
    with torch._dynamo.patch_dynamo_config(capture_scalar_outputs=True):
        number: Any = value.item()  # not `int(...)`, which would ask for the value while there is none
    torch._check(number >= lowest)
    torch._check(number <= highest)
    return number


def nonzero(mask: Tensor) -> Tensor:
    """`mask.nonzero()`, (k, dimensions)."""
    if torch.compiler.is_compiling():
        return torch.nonzero_static(mask, size=as_number(mask.sum(), 0, mask.numel()))
    return mask.nonzero()
