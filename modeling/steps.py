"""Sequences of several lengths that advance together, one step at a time."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass
class StepOrder:
    """Where N packed rows lie in the order of a `PackedSequence`: all first rows, all second ones, ...

    The longest sequences come first.
    """

    order: Tensor
    """(N,) the packed rows in that order."""
    back: Tensor
    """(N,) the place of each packed row in it."""
    mirrored: Tensor
    """(N,) the place at which the row of each place lies when its sequence is turned round."""
    sizes: Tensor
    """(longest,) on the CPU: how many sequences have a k-th row."""

    @cached_property
    def both_ways(self) -> Tensor:
        """(2, N) the packed rows in the order of the steps, from the first on and from the last on."""
        return torch.stack([self.order, self.order.index_select(0, self.mirrored)])

    @cached_property
    def both_back(self) -> Tensor:
        """(2, N) the place of each packed row in both."""
        return torch.stack([self.back, self.mirrored.index_select(0, self.back)])


def step_order(lengths: Tensor, starts: Tensor) -> Tensor:
    """(N,) the rows of sequences of these lengths, which lie from these starts on, as `StepOrder` has them."""
    ordered, order = lengths.sort(descending=True, stable=True)
    step = torch.arange(int(ordered[0]))[:, None]
    return (step + starts[order])[step < ordered]


def step_sizes(lengths: Tensor) -> Tensor:
    """(longest,) how many sequences of these lengths have a k-th row."""
    return (torch.arange(int(lengths.max()))[:, None] < lengths).sum(1)


def mirrored_steps(sizes: Tensor) -> Tensor:
    """(N,) the place of each row when every sequence is turned round, from `step_sizes`; twice changes nothing."""
    starts = sizes.cumsum(0) - sizes
    position = torch.arange(len(sizes)).repeat_interleave(sizes)
    dialogue = torch.arange(len(position)) - starts[position]
    lengths = (sizes > torch.arange(int(sizes[0]))[:, None]).sum(1)
    return starts[lengths[dialogue] - 1 - position] + dialogue


def inverse(order: Tensor) -> Tensor:
    """The place of each row in an order (N,): `rows[order][inverse(order)]` are the rows again."""
    return torch.empty_like(order).index_copy_(0, order, torch.arange(len(order), device=order.device))
