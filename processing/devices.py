"""The device that a model or an encoder runs on: the machine's accelerator, or the one that was asked for."""

import torch

from .dialogue_error import DialogueError


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """Return the machine's accelerator (CUDA, Apple's MPS, Intel's XPU), or the CPU where there is none.

    Args:
        device: a device to use instead, such as "cpu", "cuda" or "cuda:1".

    Raises:
        DialogueError: the machine has no such device; the message lists those that it has.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    try:
        chosen = torch.device(device or accelerator or "cpu")
    except RuntimeError:
        raise _no_such_device(device) from None
    if chosen.type == "cpu":
        return torch.device("cpu")
    if accelerator is None or chosen.type != accelerator.type:
        raise _no_such_device(device)
    index = torch.accelerator.current_device_index() if chosen.index is None else chosen.index
    if index >= torch.accelerator.device_count():
        raise _no_such_device(device)
    return torch.device(chosen.type, index)


def _no_such_device(device: object) -> DialogueError:
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    numbers = range(torch.accelerator.device_count() if accelerator else 0)
    found = ["cpu", *(f"{accelerator.type}:{number}" for number in numbers if accelerator)]
    return DialogueError(f"this machine has no device {str(device)!r}; it has {', '.join(found)}")


def device_name(device: torch.device) -> str:
    """Return the maker's name of a device where torch knows it, and else its type."""
    if device.type == "cpu":
        return device.type
    named = getattr(torch.get_device_module(device), "get_device_name", None)
    return named(device) if named else device.type


def describe_device(device: torch.device) -> str:
    """Return a device as a command announces it: "cpu", or "cuda:0 (NVIDIA H200)"."""
    if device.type == "cpu":  # which gloo numbers, though there is one
        return "cpu"
    name = device_name(device)
    return str(device) if name == device.type else f"{device} ({name})"
