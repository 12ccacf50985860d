"""A memory of the states of a recurrence, in which each step looks at all states before it."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class GrowingMemory:
    """The states so far of b sequences of up to `num_steps` steps, whose longest come first.

    Joined anew at each step, the states would be kept for the backward pass once per step: as many copies as steps.
    Here all steps look at one tensor, and add their gradients to another one of its size. Subclasses of tensors, which
    would see that what they have been shown changes, are joined anew.
    """

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps
        self.length = 0
        self.kept: _Kept | None = None
        # Passed from step to step, so that a state's gradient is read after all later steps have added theirs.
        self.order: Tensor | None = None
        self.joined: Tensor | None = None

    def write(self, states: Tensor) -> None:
        """Add the states (b, size) after one step of the sequences that go on, no more than before."""
        if type(states) is not Tensor:
            before = [] if self.joined is None else [self.joined[: states.size(0)]]
            self.joined = torch.cat([*before, states[:, None]], dim=1)
            return
        if self.kept is None or self.order is None:
            self.kept = _Kept(states.new_empty(states.size(0), self.num_steps, states.size(1)))
            self.order = states.new_zeros(())
        self.order = _Write.apply(self.order, states, self.kept, self.length)
        self.length += 1

    def read(self, count: int) -> Tensor:
        """(count, steps so far, size): the states of the first sequences."""
        if self.joined is not None:
            return self.joined[:count]
        return _Read.apply(self.order, self.kept, count, self.length)


class _Kept:
    """The states of all steps, and their gradients during the backward pass."""

    def __init__(self, states: Tensor) -> None:
        self.states = states
        self.gradients: Tensor | None = None


class _Write(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, order: Tensor, states: Tensor, kept: _Kept, step: int) -> Tensor:
        ctx.kept, ctx.place = kept, (slice(states.size(0)), step)
        # Not as a change of what earlier steps have read: they saw none of this.
        kept.states.data[ctx.place] = states
        return order.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, order: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        if ctx.kept.gradients is None:  # no later step was part of the loss
            return order, None, None, None
        own = ctx.kept.gradients[ctx.place].clone()
        ctx.kept.gradients[ctx.place] = 0  # for another backward pass over the same graph
        return order, own, None, None


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, order: Tensor, kept: _Kept, count: int, length: int) -> Tensor:
        ctx.kept, ctx.place, ctx.order = kept, (slice(count), slice(length)), order.new_zeros(())
        return kept.states.data[ctx.place]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        kept = ctx.kept
        if kept.gradients is None:
            kept.gradients = torch.zeros_like(kept.states)
        kept.gradients[ctx.place] += gradient
        return ctx.order, None, None, None
