"""Attention over the single dimensions of a vector, as the released fusion has it, without a D x D matrix.

out_i = sum_j softmax_j(b_i p_j) p_j is the derivative of K(t) = log sum_j exp(t p_j) at t = b_i: one smooth function
of one variable for each vector p, asked for at as many points as the basis b has. Values at a few Chebyshev nodes give
it everywhere between them, to float32's precision: K' is analytic and bounded in the strip |Im t| < pi / (max p - min
p), which bounds the error of m nodes before anything is computed. A third of them is nearly always enough, which the
end of the Chebyshev series shows. Where even the bound asks for too many, the basis itself is the nodes, and nothing
is interpolated.

The nodes are chosen by the values, for which an accelerator would keep the CPU waiting. There the formula is computed
as what it also is, attention with heads of one dimension: its kernels keep no D x D matrix either.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .chunks import rows_at_a_time
from .precision import full_precision

# Kernels of attention want heads of a multiple of this.
_HEAD_SIZE = 8


def scalar_attention(basis: Tensor, values: Tensor) -> Tensor:
    """out_i = sum_j softmax_j(basis_i * values_j) values_j: (D,), (..., N, M) -> (..., N, D).

    It is computed and given in float32, or in the values' float64. Each of several N x M has nodes of its own.
    Under `torch.compile` and in an export this is the plain form, which a compiler can fuse; both agree to the
    precision of the values' type.
    """
    precision = torch.finfo(values.dtype).eps
    if values.dtype in (torch.bfloat16, torch.float16):
        precision /= 16  # computed in float32: rounded once, at the end
    dtype = torch.promote_types(values.dtype, torch.float32)
    basis, values = basis.to(dtype), values.to(dtype)
    if torch.compiler.is_compiling():
        weights = (basis[:, None] * values[..., None, :]).softmax(dim=-1)
        return (weights * values[..., None, :]).sum(-1)
    if values.device.type != "cpu":
        return with_narrow_heads(basis, values.flatten(0, -2)).unflatten(0, values.shape[:-1])
    if values.dim() > 2:
        return torch.stack([_ScalarAttention.apply(basis, own, precision) for own in values])
    return _ScalarAttention.apply(basis, values, precision)


def with_narrow_heads(basis: Tensor, values: Tensor) -> Tensor:
    """`scalar_attention` as attention of the basis over the values, both in heads of one dimension."""
    with full_precision(values):
        chunks = _chunks(basis, values)
        if len(chunks) == 1:
            return _with_narrow_heads(basis, values)
        attended = [
            checkpoint(_with_narrow_heads, basis, chunk, use_reentrant=False, preserve_rng_state=False)
            for chunk in chunks
        ]
        return torch.cat(attended)


def _with_narrow_heads(basis: Tensor, values: Tensor) -> Tensor:
    wider = (0, _HEAD_SIZE - 1)  # with zeros, which change no product
    query = functional.pad(basis[:, None], wider).expand(len(values), 1, -1, -1)
    key = functional.pad(values[:, None, :, None], wider)
    return functional.scaled_dot_product_attention(query, key, key, scale=1.0)[:, 0, :, 0]


class _ScalarAttention(torch.autograd.Function):
    """Forward and backward in chunks of utterances; the softmax is computed again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, basis: Tensor, values: Tensor, precision: float) -> Tensor:
        with full_precision(values):
            nodes, interpolation, derivative = _interpolate(basis, values, precision)
            ctx.save_for_backward(values, nodes, interpolation, derivative)
            return derivative if interpolation is None else derivative @ interpolation.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        values, nodes, interpolation, derivative = ctx.saved_tensors
        with full_precision(values):
            at_nodes = gradient if interpolation is None else gradient @ interpolation  # (N, nodes)
            value_gradients, variances = [], []
            sizes = [len(chunk) for chunk in _chunks(nodes, values)]
            parts = (rows.split(sizes) for rows in (values, derivative, at_nodes))
            for chunk, mean, received in zip(*parts, strict=True):
                weights = _weights(nodes, chunk)
                variances.append((weights * chunk.square()[:, None, :]).sum(-1) - mean.square())
                # d K'(t) / d p_j = softmax_j(t p) (1 + t (p_j - K'(t)))
                constant = (weights * (received * (1 - nodes * mean))[..., None]).sum(1)
                slope = weights.mul_((received * nodes)[..., None]).sum(1)
                value_gradients.append(constant + slope * chunk)
            variance = torch.cat(variances)  # K'' at the nodes
            if interpolation is None:
                basis_gradient = (gradient * variance).sum(0)
            else:
                basis_gradient = ((gradient.T @ variance) * interpolation).sum(1)
            return basis_gradient, torch.cat(value_gradients), None


def _weights(nodes: Tensor, values: Tensor) -> Tensor:
    """softmax_j(t p_j): (nodes,), (n, M) -> (n, nodes, M)."""
    return (nodes[:, None] * values[:, None, :]).softmax(dim=-1)


def _derivatives(nodes: Tensor, values: Tensor) -> Tensor:
    """K' at each node: (nodes,), (N, M) -> (N, nodes)."""
    return torch.cat([_weights(nodes, chunk).mul_(chunk[:, None, :]).sum(-1) for chunk in _chunks(nodes, values)])


def _chunks(nodes: Tensor, values: Tensor) -> tuple[Tensor, ...]:
    return values.split(rows_at_a_time(len(nodes) * values.size(-1), values.device))


def _interpolate(basis: Tensor, values: Tensor, precision: float) -> tuple[Tensor, Tensor | None, Tensor]:
    """Points t (nodes,), the matrix (D, nodes) that takes K' from there to the basis, and K' there (N, nodes)."""
    if not values.numel():
        return basis, None, values.new_zeros(len(values), len(basis))
    low, high = values.aminmax(dim=-1)
    lowest, highest = basis.aminmax()
    spread, first, last = torch.stack([(high - low).amax(), lowest, highest]).tolist()
    enough = num_nodes((last - first) / 2, spread, precision)
    if enough is None:
        return basis, None, _derivatives(basis, values)
    for count in (enough // 3, enough):
        if not 1 <= count < len(basis):
            continue
        nodes, series, interpolation = _chebyshev(basis, first, last, count)
        derivative = _derivatives(nodes, values)
        # The rest that is cut off is a few times the last terms of the series, which fall geometrically.
        if count == enough or float((derivative @ series[:, -2:]).abs().amax()) <= 0.1 * precision * spread:
            return nodes, interpolation, derivative
    return basis, None, _derivatives(basis, values)


def _chebyshev(basis: Tensor, first: float, last: float, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes on [first, last], and the matrices that take values at them to their Chebyshev series and to the basis.

    Returns:
        (count,), (count, count) with a term of the series in each column, and (D, count).
    """
    middle, half_width = (first + last) / 2, (last - first) / 2
    degree = torch.arange(count, dtype=torch.float64)
    angle = (degree + 0.5) * (math.pi / count)
    place = ((basis.double() - middle) / (half_width or 1)).clamp(-1, 1)
    series = torch.cos(torch.outer(angle, degree)) * (2 / count)
    series[:, 0] /= 2
    interpolation = torch.cos(torch.outer(place.acos(), degree)) @ series.T
    nodes = middle + half_width * angle.cos()
    return nodes.to(basis.dtype), series.to(basis.dtype), interpolation.to(basis.dtype)


def num_nodes(half_width: float, spread: float, tolerance: float) -> int | None:
    """Chebyshev nodes that give K' on an interval to `tolerance * spread`; None if no number would.

    For f analytic and bounded by M in the ellipse around [-h, h] with half-axis y = h (rho - 1 / rho) / 2 across, the
    error of m nodes is at most 4 M rho^(1 - m) / (rho - 1). With |Im t| <= y = phi / spread, the terms of
    sum_j exp(t p_j) lie within an angle phi < pi of each other, so that |K' - centre| <= spread / (2 cos(phi / 2)).

    Args:
        half_width: h of the interval, half of max basis - min basis.
        spread: max p - min p.
    """
    if not (math.isfinite(half_width) and math.isfinite(spread)):
        return None
    if half_width * spread < tolerance:
        return 1
    counts = []
    for share in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95):
        phi = share * math.pi
        across = phi / (spread * half_width)
        growth = across + math.sqrt(1 + across * across)
        if growth == 1:  # features of 1e30, say
            continue
        bound = 2 / (math.cos(phi / 2) * (growth - 1) * tolerance)
        counts.append(1 + max(1, math.ceil(math.log(bound) / math.log(growth))))
    return min(counts, default=None)
