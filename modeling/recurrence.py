"""GRUs and LSTMs in one direction or both, on packed sequences, and as a scan under a compiler or in an export."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan, scan_op
from torch.nn import functional

from .members import are_together
from .precision import full_precision
from .recurrent_steps import GRUSteps
from .steps import StepOrder


class PackedRNN(nn.RNNBase):
    """One layer of `torch.nn.GRU` or `torch.nn.LSTM`, with its parameters.

    Not those classes themselves: `torch.compile` refuses to trace one.

    Args:
        mode: `"GRU"` or `"LSTM"`.
        hidden_size: of each direction.
    """

    def __init__(self, mode: str, input_size: int, hidden_size: int, bidirectional: bool = True) -> None:
        super().__init__(mode, input_size, hidden_size, bidirectional=bidirectional)

    def forward(self, rows: Tensor, order: StepOrder, before: Tensor | None = None) -> Tensor:
        """(N, input_size) of sequences that advance together -> (N, size), in the same order.

        Args:
            before: (dialogues, size) state of a GRU of one direction before the first utterances; zeros by default.
                The output is its state after each utterance.
        """
        if before is None and self.mode == "GRU" and goes_by_steps(self.parameters_of("")[1]):
            return self._step_by_step(rows, order)
        steps = rows.index_select(0, order.order)
        if before is None:
            state = steps.new_zeros(1 + self.bidirectional, int(order.sizes[0]), self.hidden_size)
        else:
            state = before[None].to(steps)
        weights = [getattr(self, name) for name in cast("list[str]", self._flat_weights_names)]
        settings = (weights, True, 1, 0.0, self.training, self.bidirectional)
        if self.mode == "LSTM":
            after = torch._VF.lstm(steps, order.sizes, (state, state), *settings)[0]
        else:
            after = torch._VF.gru(steps, order.sizes, state, *settings)[0]
        return after.index_select(0, order.back)

    def parameters_of(self, suffix: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights and biases of the input and of the state, of one direction: "" or "_reverse"."""
        weight_ih, weight_hh, bias_ih, bias_hh = (
            getattr(self, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        return weight_ih, weight_hh, bias_ih, bias_hh

    def _step_by_step(self, rows: Tensor, order: StepOrder) -> Tensor:
        """The same of a GRU, both directions in one product per step."""
        ways = 1 + self.bidirectional
        parameters = [self.parameters_of(suffix) for suffix in ("", "_reverse")[:ways]]
        weight_ih, weight_hh, bias_ih, bias_hh = (torch.stack(own) for own in zip(*parameters, strict=True))
        gates = functional.linear(rows, weight_ih.flatten(0, 1), bias_ih.flatten()).unflatten(-1, (ways, -1))
        with full_precision(weight_hh):
            states, *_ = GRUSteps.apply(
                gates.transpose(0, 1).to(weight_hh.dtype),
                weight_hh.transpose(1, 2),
                bias_hh[:, None],
                order.both_ways[:ways],
                order.both_back[:ways],
                order.sizes.tolist(),
            )
        return states.transpose(0, 1).flatten(1)

    def scan(self, steps: Tensor, real: Tensor, begins: Tensor | None = None, ends: Tensor | None = None) -> Tensor:
        """The same on (longest, B, size), and bool (longest, B, 1): True at real utterances.

        Args:
            begins, ends: (longest, B, 1) bool of a GRU, True at the first and the last utterance of each of several
                sequences that follow each other: no state goes from one to the next.
        """
        forwards = self._scan_one_way(steps, real, "", begins)
        if not self.bidirectional:
            return forwards
        return torch.cat([forwards, self._scan_one_way(steps, real, "_reverse", ends)], dim=-1)

    def _scan_one_way(self, steps: Tensor, real: Tensor, suffix: str, begins: Tensor | None) -> Tensor:
        weight_ih, weight_hh, bias_ih, bias_hh = self.parameters_of(suffix)
        inputs = [functional.linear(steps, weight_ih, bias_ih), real]
        if begins is not None:
            inputs.append(begins)
        if suffix:
            inputs = [tensor.flip(0) for tensor in inputs]
        start = steps.new_zeros(steps.size(1), self.hidden_size)
        if self.mode == "LSTM":
            outputs = scan_outputs(_lstm_scan_step, [start, start.clone()], inputs, [weight_hh, bias_hh])
        else:
            gru = _gru_scan_step if begins is None else _restarting_gru_scan_step
            outputs = scan_outputs(gru, [start], inputs, [weight_hh, bias_hh])
        return outputs.flip(0) if suffix else outputs


class PackedGRU(PackedRNN):
    """A GRU of the width of its input: `GRU(size, size)`, or `GRU(size, size // 2, bidirectional=True)`."""

    def __init__(self, size: int, bidirectional: bool = True) -> None:
        super().__init__("GRU", size, size // 2 if bidirectional else size, bidirectional)


def goes_by_steps(weight: Tensor) -> bool:
    """Whether a GRU of this weight is computed step by step: CUDA has a kernel for the whole layer of one network."""
    if torch.compiler.is_compiling():
        return False
    return are_together(weight) or (weight.device.type != "cuda" and torch.is_grad_enabled())


def gru_step(from_input: Tensor, from_state: Tensor, state: Tensor) -> Tensor:
    """The next state (..., size) of a GRU, from what its two linear layers (..., 3 * size) make of input and state."""
    reset, update, new = from_input.chunk(3, dim=-1)
    state_reset, state_update, state_new = from_state.chunk(3, dim=-1)
    update = torch.sigmoid(update + state_update)
    new = torch.tanh(new + torch.sigmoid(reset + state_reset) * state_new)
    return new + update * (state - new)


def scan_outputs(
    step: Callable[..., tuple[Tensor, ...]], start: list[Tensor], inputs: list[Tensor], read: list[Tensor]
) -> Tensor:
    """Every output (longest, B, size) of a step that is repeated, for a compiler or an export.

    Args:
        step: from states, this step's inputs and what each step reads, to the next states and an output.
        start: the first states.
        inputs: (longest, B, ...) each.
        read: every other tensor that a step reads, parameters included.
    """
    if torch.compiler.is_dynamo_compiling():

        def combine(states: list[Tensor], here: list[Tensor]) -> tuple[list[Tensor], Tensor]:
            *after, output = step(*states, *here, *read)
            return after, output

        return scan(combine, start, inputs)[1]
    # Elsewhere `scan` compiles itself, and forgets by that that no dialogue is empty.
    return scan_op(step, start, inputs, additional_inputs=tuple(read))[-1]


def _gru_scan_step(
    state: Tensor, from_input: Tensor, here: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """The next state (B, size), and the same to be kept."""
    # Padding leaves the state as it is: 0 before the last utterance, seen from behind.
    state = torch.where(here, gru_step(from_input, functional.linear(state, weight, bias), state), state)
    return state, state.clone()


def _restarting_gru_scan_step(
    state: Tensor, from_input: Tensor, here: Tensor, begins: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """The same, from a state of zeros where a sequence begins (B, 1)."""
    return _gru_scan_step(torch.where(begins, 0.0, state), from_input, here, weight, bias)


def _lstm_scan_step(
    hidden: Tensor, cell: Tensor, from_input: Tensor, here: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The next states (B, size), and the hidden one to be kept; padding leaves them as they are."""
    into, forget, new, out = (from_input + functional.linear(hidden, weight, bias)).chunk(4, dim=-1)
    changed = torch.sigmoid(forget) * cell + torch.sigmoid(into) * torch.tanh(new)
    hidden = torch.where(here, torch.sigmoid(out) * torch.tanh(changed), hidden)
    return hidden, torch.where(here, changed, cell), hidden.clone()
