"""The rows of a step's batch that lie on other processes, for losses that compare utterances with each other."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional


class Processes:
    """The processes that work on one batch together, each on rows of its own.

    Args:
        num_rows: how many of the rows lie on this process.
        together: whether the other processes compute the same thing now; False leaves this process by itself.
    """

    def __init__(self, num_rows: int, together: bool) -> None:
        self.sizes = [num_rows]
        self.own = slice(None)  # without numbers, in which a compiler would see a size that never changes
        """The rows of this process among all of them."""
        self.first = 0
        """The number of the first of them."""
        if together and distributed.is_available() and distributed.is_initialized():
            self.sizes = _numbers_of_all(num_rows)
            self.first = sum(self.sizes[: distributed.get_rank()])
            self.own = slice(self.first, self.first + num_rows)

    @property
    def several(self) -> bool:
        """Whether there are rows on another process."""
        return len(self.sizes) > 1

    def gather(self, rows: Tensor) -> Tensor:
        """This process's rows (n, ...) -> those of all processes (N, ...), in the same order on each.

        Gradients flow back to the process that a row comes from, summed over all processes.
        """
        if not self.several:
            return rows
        if rows.dtype == torch.bool:  # not every backend sends it
            return self.collect(rows.byte()).bool()
        return _GatherRows.apply(rows, self) if rows.is_floating_point() else self.collect(rows)

    def gather_sequences(self, rows: Tensor) -> Tensor:
        """`gather` for rows (n, T, ...) whose T may differ between processes; shorter ones are padded with zeros."""
        if not self.several:
            return rows
        missing = max(_numbers_of_all(rows.size(1))) - rows.size(1)
        return self.gather(functional.pad(rows, (0, 0) * (rows.dim() - 2) + (0, missing)))

    def collect(self, rows: Tensor) -> Tensor:
        """`gather` without gradients."""
        padded = rows.new_zeros(max(self.sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in self.sizes]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, self.sizes, strict=True)])


class _GatherRows(torch.autograd.Function):
    """`Processes.gather`. torch's own wants the same number of rows on each process."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, processes: Processes) -> Tensor:
        ctx.own = processes.own
        return processes.collect(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return gradient[ctx.own], None


def _numbers_of_all(number: int) -> list[int]:
    """The number that each process has. It goes from host to host, so that no process waits for its device."""
    numbers = [torch.zeros((), dtype=torch.int64) for _ in range(distributed.get_world_size())]
    distributed.all_gather(numbers, torch.tensor(number), group=_host_group())
    return [int(number) for number in numbers]


@cache
def _host_group() -> Any:
    return None if distributed.get_backend() == "gloo" else distributed.new_group(backend="gloo")
