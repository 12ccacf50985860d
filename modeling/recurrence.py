"""A GRU in both directions, which runs on a packed sequence, and as a scan where a compiler or an export looks on."""

from typing import cast

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan
from torch.nn import functional


class BidirectionalGRU(nn.RNNBase):
    """`torch.nn.GRU(size, size // 2, bidirectional=True)`, with its parameters.

    Not that class itself: `torch.compile` refuses to trace one.
    """

    def __init__(self, size: int) -> None:
        super().__init__("GRU", size, size // 2, bidirectional=True)

    def forward(self, steps: Tensor, batch_sizes: Tensor) -> Tensor:
        """(N, size) of a `PackedSequence`, time-major, and its batch sizes (longest,) on the CPU -> (N, size)."""
        state = steps.new_zeros(2, int(batch_sizes[0]), self.hidden_size)
        packed = torch._VF.gru(
            steps, batch_sizes, state, cast("list[Tensor]", self._flat_weights), True, 1, 0.0, self.training, True
        )
        return packed[0]

    def scan(self, steps: Tensor, real: Tensor) -> Tensor:
        """The same on (longest, B, size), and bool (longest, B, 1): True at real utterances."""
        forwards = self._scan_one_way(steps, real, "")
        return torch.cat([forwards, self._scan_one_way(steps, real, "_reverse")], dim=-1)

    def _scan_one_way(self, steps: Tensor, real: Tensor, suffix: str) -> Tensor:
        weight_ih, weight_hh, bias_ih, bias_hh = (
            getattr(self, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )

        def step(state: Tensor, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            from_input, here = inputs
            reset, update, new = from_input.chunk(3, dim=-1)
            state_reset, state_update, state_new = functional.linear(state, weight_hh, bias_hh).chunk(3, dim=-1)
            update = torch.sigmoid(update + state_update)
            new = torch.tanh(new + torch.sigmoid(reset + state_reset) * state_new)
            # Padding leaves the state as it is: 0 before the last utterance, seen from behind.
            state = torch.where(here, new + update * (state - new), state)
            return state, state.clone()

        start = steps.new_zeros(steps.size(1), self.hidden_size)
        return scan(step, start, (functional.linear(steps, weight_ih, bias_ih), real), reverse=suffix == "_reverse")[1]
