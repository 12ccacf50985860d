"""A vector for each speaker of a dialogue, to be added to that speaker's utterances."""

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .reach import ALONE


class SpeakerVectors(nn.Module):
    """A table of learnt vectors, by a speaker's index in the dialogue; speakers beyond the table have none."""

    reach = ALONE

    def __init__(self, max_speakers: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(max_speakers, size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw them from N(0, 1), as `torch.nn.Embedding` does."""
        init.normal_(self.weight)

    def forward(self, speaker_ids: Tensor) -> Tensor:
        """(N,) -> (N, size)."""
        known = speaker_ids < self.weight.size(0)
        rows = self.weight.index_select(0, torch.where(known, speaker_ids, 0))
        return torch.where(known[:, None], rows, 0)
