"""How many rows are worked on at a time where all of them at once would not fit."""

import torch

# Elements held at a time: what fits a processor's cache, and what fills a GPU.
CPU_ELEMENTS = 2**19
DEVICE_ELEMENTS = 2**25


def rows_at_a_time(elements_of_a_row: int, device: torch.device) -> int:
    """At least 1."""
    elements = CPU_ELEMENTS if device.type == "cpu" else DEVICE_ELEMENTS
    return max(1, elements // max(1, elements_of_a_row))
