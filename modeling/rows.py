"""Rows taken by an index, and summed by one; of several networks, each with its own rows, at once.

The gradient of plain indexing is summed in no fixed order on several threads, that of `index_select` is. `torch.vmap`
turns both into gathers and scatters by an index as large as the rows themselves, which these functions avoid.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .members import are_together, stacked


def take_rows(rows: Tensor, index: Tensor) -> Tensor:
    """(N, ...), (k,) -> (k, ...)."""
    if not are_together(rows):
        return rows.index_select(0, index)
    return _TakeRows.apply(rows, index, 0) if torch.is_grad_enabled() else rows[index]


def sum_rows(rows: Tensor, index: Tensor, num_rows: int) -> Tensor:
    """Sum of the rows (k, ...) that have the same index (k,): (num_rows, ...)."""
    if are_together(rows):
        return _SumRows.apply(rows, index, num_rows, 0)
    return _sum_rows(rows, index, num_rows, 0)


class _TakeRows(torch.autograd.Function):
    @staticmethod
    def forward(rows: Tensor, index: Tensor, dim: int) -> Tensor:
        return rows.index_select(dim, index)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        rows, index, ctx.dim = inputs
        ctx.num_rows = rows.size(ctx.dim)
        ctx.save_for_backward(index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _sum_rows(grad, *ctx.saved_tensors, ctx.num_rows, ctx.dim), None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        rows, index, dim = inputs
        return _TakeRows.apply(stacked(rows, in_dims[0], info.batch_size), index, dim + 1), 0


class _SumRows(torch.autograd.Function):
    @staticmethod
    def forward(rows: Tensor, index: Tensor, num_rows: int, dim: int) -> Tensor:
        return _sum_rows(rows, index, num_rows, dim)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int, int], output: Tensor) -> None:
        _, index, _, ctx.dim = inputs
        ctx.save_for_backward(index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return grad.index_select(ctx.dim, *ctx.saved_tensors), None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        rows, index, num_rows, dim = inputs
        return _SumRows.apply(stacked(rows, in_dims[0], info.batch_size), index, num_rows, dim + 1), 0


def _sum_rows(rows: Tensor, index: Tensor, num_rows: int, dim: int) -> Tensor:
    shape = (*rows.shape[:dim], num_rows, *rows.shape[dim + 1 :])
    return rows.new_zeros(shape).index_add(dim, index, rows)
