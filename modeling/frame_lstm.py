"""A bidirectional LSTM over padded sequences, whose padding leaves its state as it is."""

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan
from transformers import initialization as init

from .precision import full_precision
from .reach import ALONE
from .recurrent_steps import LSTMSteps
from .steps import mirrored_steps, step_order, step_sizes


class FrameLSTM(nn.Module):
    """Two directions side by side, with gates in the order input, forget, cell, output.

    Args:
        hard: gates by clip(0.2 x + 0.5, 0, 1), the default of TensorFlow 1, in place of the logistic function.
    """

    reach = ALONE

    def __init__(self, in_size: int, hidden_size: int, hard: bool = False) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.hard = hard
        self.input = nn.Linear(in_size, 8 * hidden_size)
        self.recurrent_weight = nn.Parameter(torch.empty(2, hidden_size, 4 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the recurrent weights as torch's LSTM does."""
        bound = self.hidden_size**-0.5
        init.uniform_(self.recurrent_weight, -bound, bound)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """(B, T, in_size), and (B, T) bool, True at real frames, padded at the end -> (B, T, 2 * hidden_size)."""
        if frames.device.type == "cpu" and not torch.compiler.is_compiling():
            return self._forward_packed(frames, mask)
        forwards, backwards = self.input(frames).unflatten(-1, (2, -1)).unbind(2)
        # Time first, with the second direction read from behind, where its padding comes first.
        gates = torch.stack([forwards, backwards.flip(1)]).permute(2, 0, 1, 3)
        real = torch.stack([mask, mask.flip(1)]).permute(2, 0, 1)[..., None]
        start = gates.new_zeros(2, frames.size(0), self.hidden_size)
        if torch.compiler.is_compiling():
            states = scan(self._traced_step, (start, start.clone()), (gates, real))[1]
        else:
            steps, state, cell = [], start, start
            for given, here in zip(gates.unbind(0), real.unbind(0), strict=True):
                state, cell = self._step(state, cell, given, here)
                steps.append(state)
            states = torch.stack(steps)
        forwards, backwards = states.unbind(1)
        return torch.cat([forwards, backwards.flip(0)], dim=-1).transpose(0, 1)

    def _forward_packed(self, frames: Tensor, mask: Tensor) -> Tensor:
        """The same without padding, all first frames, all second ones, ...; zeros where there is no frame."""
        lengths = mask.sum(1)
        sizes = step_sizes(lengths)
        if not len(sizes):
            # Zeros of the parameters, which have a gradient in every process, however empty its batch.
            nothing = 0 * (self.input(frames).sum() + self.recurrent_weight.sum())
            return nothing.expand(*mask.shape, 2 * self.hidden_size)
        cells = step_order(lengths, torch.arange(len(lengths)) * frames.size(1))
        mirrored = mirrored_steps(sizes)
        forwards, backwards = self.input(frames.flatten(0, 1).index_select(0, cells)).unflatten(-1, (2, -1)).unbind(1)
        gates = torch.stack([forwards, backwards.index_select(0, mirrored)])
        weight = self.recurrent_weight
        with full_precision(weight):
            states = LSTMSteps.apply(gates.to(weight.dtype), weight, sizes.tolist(), self.hard)
        states = torch.cat([states[0], states[1].index_select(0, mirrored)], dim=-1)
        return states.new_zeros(mask.numel(), states.size(-1)).index_copy(0, cells, states).unflatten(0, mask.shape)

    def _step(self, state: Tensor, cell: Tensor, given: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
        """One step of both directions: (2, B, size) of state and cell, (2, B, 4 * size), (2, B, 1) bool."""
        gates = given + torch.bmm(state, self.recurrent_weight)
        let_in, forget, new, out = gates.chunk(4, dim=-1)
        kept = self._gate(forget) * cell + self._gate(let_in) * torch.tanh(new)
        shown = self._gate(out) * torch.tanh(kept)
        return torch.where(here, shown, state), torch.where(here, kept, cell)

    def _traced_step(
        self, before: tuple[Tensor, Tensor], inputs: tuple[Tensor, Tensor]
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        state, cell = self._step(*before, *inputs)
        return (state, cell), state.clone()

    def _gate(self, values: Tensor) -> Tensor:
        return (0.2 * values + 0.5).clamp(0, 1) if self.hard else torch.sigmoid(values)
