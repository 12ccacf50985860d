"""Short lists of numbers on the device of a batch, each sent there once."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def constant(numbers: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """These numbers (k,) as a tensor, which nobody may change."""
    if device.type == "cpu" or torch.compiler.is_compiling():
        return torch.tensor(numbers, dtype=dtype, device=device)
    return _sent(tuple(numbers), dtype, device)


@lru_cache(maxsize=64)
def _sent(numbers: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # training may read what a prediction has sent
        return torch.tensor(numbers, dtype=dtype, device=device)
