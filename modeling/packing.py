"""Packed rows and padded blocks: where each of N utterances lies in a (dialogues, longest) rectangle."""

import torch
from torch import Tensor
from torch.nn import functional


class DialogueLayout:
    """Which dialogue and which position each packed row belongs to.

    Args:
        dialogue_lengths: (B,) int64.
        num_utterances: N, the sum of the lengths, known from the features' shape without asking the device.
    """

    def __init__(self, dialogue_lengths: Tensor, num_utterances: int) -> None:
        self.lengths = dialogue_lengths
        self.num_dialogues = dialogue_lengths.size(0)
        self.num_utterances = num_utterances
        self.starts = dialogue_lengths.cumsum(0) - dialogue_lengths
        """(B,) first row of each dialogue."""
        self.dialogue = torch.repeat_interleave(dialogue_lengths, output_size=num_utterances)
        """(N,) index of each row's dialogue."""
        rows = torch.arange(num_utterances, device=dialogue_lengths.device)
        self.position = rows - self.starts[self.dialogue]
        """(N,) position of each row in its dialogue."""
        self.longest = int(dialogue_lengths.max())
        """Utterances of the longest dialogue; asks the device, once a batch."""
        self.mask = torch.arange(self.longest, device=dialogue_lengths.device) < dialogue_lengths[:, None]
        """(B, longest) bool, True at real utterances."""
        self._cell = self.dialogue * self.longest + self.position

    def pad(self, rows: Tensor) -> Tensor:
        """(N, ...) -> (B, longest, ...), zeros where there is no utterance."""
        cells = rows.new_zeros(self.num_dialogues * self.longest, *rows.shape[1:])
        cells = cells.index_copy(0, self._cell, rows)
        return cells.view(self.num_dialogues, self.longest, *rows.shape[1:])

    def unpad(self, block: Tensor) -> Tensor:
        """(B, longest, ...) -> (N, ...)."""
        return block.flatten(0, 1).index_select(0, self._cell)

    def shift(self, rows: Tensor, steps: int) -> Tensor:
        """Each row (N, ...) becomes the one `steps` utterances before it in its dialogue, zero where none is."""
        shifted = functional.pad(rows, (0, 0) * (rows.dim() - 1) + (steps, 0))[: self.num_utterances]
        before = (self.position >= steps).view(-1, *[1] * (rows.dim() - 1))
        return torch.where(before, shifted, torch.zeros_like(shifted))
