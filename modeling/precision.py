"""Full precision where a model runs in less, and where a device has less."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """Switch autocast off for products of float32 tensors like this one; the meta device has no autocast."""
    device = tensor.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


@cache
def has_doubles(device: torch.device) -> bool:
    """Whether a device computes in float64: Apple's MPS and some of Intel's GPUs do not."""
    try:
        return float(torch.full((), 2.0, dtype=torch.float64, device=device) + 1) == 3.0
    except (TypeError, RuntimeError):
        return False
