"""Full precision where a model runs in less."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """Switch autocast off for products of float32 tensors like this one; the meta device has no autocast."""
    device = tensor.device.type
    # A compiler has it on all its devices, and torch 2.11's cannot ask.
    available = torch.compiler.is_compiling() or torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if available else nullcontext()
