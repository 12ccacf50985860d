"""The number of rows to work on at a time where not all of them fit at once."""

import torch

# Elements held at a time: as many as fit a processor's cache, and as many as fill a GPU.
CPU_ELEMENTS = 2**19
DEVICE_ELEMENTS = 2**25


def rows_at_a_time(elements_of_a_row: int, device: torch.device) -> int:
    """The number of rows of this size to work on at a time; at least 1."""
    elements = CPU_ELEMENTS if device.type == "cpu" else DEVICE_ELEMENTS
    return max(1, elements // max(1, elements_of_a_row))
