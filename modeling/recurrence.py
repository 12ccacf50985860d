"""A GRU in one direction or both, on a packed sequence, and as a scan under a compiler or in an export."""

from typing import cast

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan, scan_op
from torch.nn import functional


class PackedGRU(nn.RNNBase):
    """`torch.nn.GRU(size, size)`, or `torch.nn.GRU(size, size // 2, bidirectional=True)`, with its parameters.

    Not that class itself: `torch.compile` refuses to trace one.
    """

    def __init__(self, size: int, bidirectional: bool = True) -> None:
        super().__init__("GRU", size, size // 2 if bidirectional else size, bidirectional=bidirectional)

    def forward(self, steps: Tensor, batch_sizes: Tensor, before: Tensor | None = None) -> Tensor:
        """(N, size) of a `PackedSequence`, time-major, and its batch sizes (longest,) on the CPU -> (N, size).

        Args:
            before: (dialogues, size) state of a GRU of one direction before the first utterances; zeros by default.
                The output is its state after each utterance.
        """
        if before is None:
            state = steps.new_zeros(1 + self.bidirectional, int(batch_sizes[0]), self.hidden_size)
        else:
            state = before[None].to(steps)
        weights = cast("list[Tensor]", self._flat_weights)
        packed = torch._VF.gru(steps, batch_sizes, state, weights, True, 1, 0.0, self.training, self.bidirectional)
        return packed[0]

    def scan(self, steps: Tensor, real: Tensor) -> Tensor:
        """The same on (longest, B, size), and bool (longest, B, 1): True at real utterances."""
        forwards = self._scan_one_way(steps, real, "")
        if not self.bidirectional:
            return forwards
        return torch.cat([forwards, self._scan_one_way(steps, real, "_reverse")], dim=-1)

    def _scan_one_way(self, steps: Tensor, real: Tensor, suffix: str) -> Tensor:
        weight_ih, weight_hh, bias_ih, bias_hh = (
            getattr(self, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )

        inputs = [functional.linear(steps, weight_ih, bias_ih), real]
        if suffix:
            inputs = [tensor.flip(0) for tensor in inputs]
        start = steps.new_zeros(steps.size(1), self.hidden_size)
        states = _states(start, inputs, weight_hh, bias_hh)
        return states.flip(0) if suffix else states


def _states(start: Tensor, inputs: list[Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    """Every state (longest, B, size) after the one at the start (B, size)."""
    if torch.compiler.is_dynamo_compiling():
        return scan(lambda state, here: _step(state, *here, weight, bias), start, inputs)[1]
    # Elsewhere `scan` compiles itself, and forgets by that that no dialogue is empty.
    return scan_op(_step, [start], inputs, additional_inputs=(weight, bias))[1]


def _step(state: Tensor, from_input: Tensor, here: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The next state (B, size), and the same to be kept; padding leaves it as it is."""
    reset, update, new = from_input.chunk(3, dim=-1)
    state_reset, state_update, state_new = functional.linear(state, weight, bias).chunk(3, dim=-1)
    update = torch.sigmoid(update + state_update)
    new = torch.tanh(new + torch.sigmoid(reset + state_reset) * state_new)
    # 0 before the last utterance, seen from behind.
    state = torch.where(here, new + update * (state - new), state)
    return state, state.clone()
