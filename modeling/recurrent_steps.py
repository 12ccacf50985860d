"""The recurrent part of GRUs and LSTMs on packed sequences, with gradients written out.

PyTorch's own layers run one direction after the other on a CPU, each of them as a dozen small operations per step and
twice as many on the way back. Here a step is one matrix product for all directions and layers that lie side by side,
and what the way back does not have to do step by step it does at once.
"""

from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .members import stacked


class GRUSteps(torch.autograd.Function):
    """The recurrent part of GRUs side by side, from what their inputs add to the gates.

    r = sigmoid(a_r + U_r h + b_r);  z = sigmoid(a_z + U_z h + b_z);  n = tanh(a_n + r * (U_n h + b_n));
    h' = (1 - z) * n + z * h, as in `torch.nn.GRU`.
    """

    @staticmethod
    def forward(
        gates: Tensor, weight: Tensor, bias: Tensor, order: Tensor, back: Tensor, batch_sizes: list[int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the states after each utterance (G, N, size), and for the way back all that was computed by steps.

        Args:
            gates: a (G, N, 3 * size), of G sequences of states, in the order of the batch.
            weight: U (G, size, 3 * size), transposed.
            bias: b (G, 1, 3 * size).
            order: (D, N) the rows in the order of the steps of each direction: one, or two that take turns in G.
            back: (D, N) the place of each row in it.
            batch_sizes: how many dialogues have a k-th utterance.
        """
        size = weight.size(1)
        gates = _arrange(gates, order)
        states = gates.new_empty(*gates.shape[:2], size)
        candidates = torch.empty_like(states)
        reset_update = gates.new_empty(*gates.shape[:2], 2 * size)
        state = gates.new_zeros(gates.size(0), batch_sizes[0], size)
        # Each step writes to its place in what is kept: a copy would cost as much as the arithmetic.
        for here, count in _places(batch_sizes):
            from_input, both, new, after = gates[:, here], reset_update[:, here], candidates[:, here], states[:, here]
            state = state[:, :count]
            from_state = torch.baddbmm(bias, state, weight)
            torch.add(from_input[..., : 2 * size], from_state[..., : 2 * size], out=both).sigmoid_()
            torch.addcmul(from_input[..., 2 * size :], both[..., :size], from_state[..., 2 * size :], out=new).tanh_()
            state = torch.lerp(new, state, both[..., size:], out=after)
        return _arrange(states, back), states, reset_update, candidates

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what the way back reads."""
        weight, bias, order, back = inputs[1:5]
        ctx.batch_sizes = inputs[5]
        _, *by_steps = output
        ctx.mark_non_differentiable(*by_steps)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*by_steps, weight, bias, order, back)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """Take the sequences of several networks side by side."""
        networks = info.batch_size
        *tensors, order, back, batch_sizes = inputs
        given = [stacked(tensor, dim, networks).flatten(0, 1) for tensor, dim in zip(tensors, in_dims, strict=False)]
        outputs = GRUSteps.apply(*given, order, back, batch_sizes)
        return tuple(output.unflatten(0, (networks, -1)) for output in outputs), (0,) * 4

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *unused: None) -> tuple[Tensor | None, ...]:
        """Return the gradients of gates, weight and bias."""
        if grad is None:
            return (None,) * 6
        states, reset_update, new, weight, bias, order, back = ctx.saved_tensors
        batch_sizes: list[int] = ctx.batch_sizes
        size = weight.size(1)
        reset, update = reset_update[..., :size], reset_update[..., size:]
        before = _states_before(states, batch_sizes)
        new_from_state = torch.baddbmm(bias[..., 2 * size :], before, weight[..., 2 * size :])
        # The derivatives of a state by a_n, and by U h + b of each gate: none of them depends on what comes back.
        by_new = (1 - update) * (1 - new * new)
        by_gates = torch.cat(
            [by_new * new_from_state * reset * (1 - reset), (before - new) * update * (1 - update), by_new * reset],
            dim=-1,
        ).unflatten(-1, (3, size))
        grad_states = _arrange(grad, order)
        grad_gates = torch.empty_like(by_gates)
        transposed = weight.transpose(1, 2)
        later: Tensor | None = None
        for here, _ in reversed(_places(batch_sizes)):
            own = grad_states[:, here]
            if later is not None:
                own[:, : later.size(1)] += later
            gates = torch.mul(own[:, :, None], by_gates[:, here])
            grad_gates[:, here] = gates
            later = torch.baddbmm(own * update[:, here], gates.flatten(2), transposed)
        grad_gates = grad_gates.flatten(2)
        grad_weight = before.transpose(1, 2) @ grad_gates
        grad_bias = grad_gates.sum(1, keepdim=True)
        grad_input = torch.cat([grad_gates[..., : 2 * size], grad_states * by_new], dim=-1)
        return _arrange(grad_input, back), grad_weight, grad_bias, None, None, None


class LSTMSteps(torch.autograd.Function):
    """The recurrent part of LSTMs side by side, from what their inputs add to the gates.

    i, f, o = s(a + U h) of their own a and U, and g = tanh(a_g + U_g h);  c' = f * c + i * g;  h' = o * tanh(c'). s is
    the logistic function, as in `torch.nn.LSTM`, or clip(0.2 x + 0.5, 0, 1) if `hard`.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, batch_sizes: list[int], hard: bool) -> Tensor:
        """Return the states after each utterance, (G, N, size).

        Args:
            gates: a (G, N, 4 * size), of i, f, g and o: of G sequences of states, time-major as in a `PackedSequence`.
                They hold the biases.
            weight: U (G, size, 4 * size), transposed.
            batch_sizes: how many dialogues have a k-th utterance.
            hard: which of the two functions.
        """
        size = weight.size(1)
        states = gates.new_empty(*gates.shape[:2], size)
        cells, bounded = torch.empty_like(states), torch.empty_like(states)
        opened = torch.empty_like(gates)
        state = gates.new_zeros(gates.size(0), batch_sizes[0], size)
        cell = state
        for here, count in _places(batch_sizes):
            own = torch.baddbmm(gates[:, here], state[:, :count], weight)
            new = own[..., 2 * size : 3 * size].tanh()
            own = own.mul_(0.2).add_(0.5).clamp_(0, 1) if hard else own.sigmoid_()
            own[..., 2 * size : 3 * size] = new
            opened[:, here] = own
            let_in, forget, _, out = own.split(size, dim=-1)
            cell = torch.addcmul(let_in * new, forget, cell[:, :count], out=cells[:, here])
            bound = torch.tanh(cell, out=bounded[:, here])
            state = torch.mul(out, bound, out=states[:, here])
        ctx.save_for_backward(states, cells, bounded, opened, weight)
        ctx.batch_sizes, ctx.hard = batch_sizes, hard
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients of gates and weight."""
        states, cells, bounded, opened, weight = ctx.saved_tensors
        batch_sizes: list[int] = ctx.batch_sizes
        let_in, forget, new, out = opened.split(weight.size(1), dim=-1)
        slopes = 0.2 * ((opened > 0) & (opened < 1)) if ctx.hard else opened * (1 - opened)
        by_in, by_forget, _, by_out = slopes.split(weight.size(1), dim=-1)
        # The derivatives by a + U h: of the cell by i, f and g, and of the state by o and by the cell.
        cell_by_gates = torch.stack(
            [new * by_in, _states_before(cells, batch_sizes) * by_forget, let_in * (1 - new * new)], dim=2
        )
        state_by_out = bounded * by_out
        state_by_cell = out * (1 - bounded * bounded)
        grad_gates = torch.empty_like(opened).unflatten(-1, (4, -1))
        transposed = weight.transpose(1, 2)
        later: Tensor | None = None
        later_cell: Tensor | None = None
        for here, _ in reversed(_places(batch_sizes)):
            own = grad[:, here].clone()
            if later is not None:
                own[:, : later.size(1)] += later
            cell = own * state_by_cell[:, here]
            if later_cell is not None:
                cell[:, : later_cell.size(1)] += later_cell
            gates = grad_gates[:, here]
            gates[:, :, :3] = cell[:, :, None] * cell_by_gates[:, here]
            gates[:, :, 3] = own * state_by_out[:, here]
            later, later_cell = torch.bmm(gates.flatten(2), transposed), cell * forget[:, here]
        grad_gates = grad_gates.flatten(2)
        grad_weight = _states_before(states, batch_sizes).transpose(1, 2) @ grad_gates
        return grad_gates, grad_weight, None, None


def _arrange(rows: Tensor, order: Tensor) -> Tensor:
    """(G, N, ...) of sequences whose directions take turns, in the order of each direction (D, N)."""
    turns = rows.unflatten(0, (-1, len(order)))
    return torch.stack([turns[:, way].index_select(1, own) for way, own in enumerate(order)], dim=1).flatten(0, 1)


def _places(batch_sizes: list[int]) -> list[tuple[slice, int]]:
    """Where the rows of each step lie, and how many they are."""
    ends = accumulate(batch_sizes)
    return [(slice(end - count, end), count) for end, count in zip(ends, batch_sizes, strict=True)]


def _states_before(states: Tensor, batch_sizes: list[int]) -> Tensor:
    """The state from which each step began, (G, N, size): zeros, then those of the step before."""
    parts = [states.new_zeros(states.size(0), batch_sizes[0], states.size(2))]
    parts += [
        states[:, here.start : here.start + following]
        for (here, _), following in zip(_places(batch_sizes), batch_sizes[1:], strict=False)
    ]
    return torch.cat(parts, dim=1)
