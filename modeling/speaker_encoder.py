"""A GRU over each speaker's own utterances: what somebody has said before, however much the others said in between."""

import math

import torch
from torch import Tensor, nn

from .dropout import Dropout
from .packing import DialogueLayout
from .reach import Reach
from .recurrence import PackedGRU


class SpeakerGRU(nn.Module):
    """A GRU that reads the utterances of each speaker of a dialogue as a sequence of their own.

    Args:
        hidden_size: of input and output; each of two directions has half of it.
        dropout: of the input.
        causal: only from the first utterance to the last, instead of in both directions.
    """

    def __init__(self, hidden_size: int, dropout: float, causal: bool = False) -> None:
        super().__init__()
        if hidden_size % 2 and not causal:
            raise ValueError(f"a GRU of two directions needs an even width, got {hidden_size}; set graph_hidden_size")
        self.dropout = Dropout(dropout)
        self.gru = PackedGRU(hidden_size, bidirectional=not causal)

    @property
    def reach(self) -> Reach:
        """The whole dialogue; with `causal` all of the past, which the speakers' states stand for."""
        return Reach(math.inf, math.inf) if self.gru.bidirectional else Reach(carries_state=True)

    def forward(self, rows: Tensor, layout: DialogueLayout) -> Tensor:
        """(N, hidden_size) -> (N, hidden_size)."""
        steps = self.dropout(rows)
        states = layout.recurrent_states if self.reach.carries_state else None
        if torch.compiler.is_compiling() and states is None:
            return self._scan(steps, layout)
        speakers = layout.speaker_steps
        firsts = speakers.order[: int(speakers.sizes[0])]
        before = None if states is None else self._states(states.get(self), layout, firsts, steps)
        after = self.gru(steps, speakers, before)
        if states is not None:
            states[self] = self._states_after(states.get(self), after, layout)
        return after

    def _states(self, table: Tensor | None, layout: DialogueLayout, firsts: Tensor, like: Tensor) -> Tensor:
        """The state (sequences, size) before the first utterances (sequences,), from all speakers'."""
        assert layout.speaker_ids is not None  # without them there are no sequences
        return self._with_all(table, layout, like)[layout.speaker_ids[firsts]]

    def _states_after(self, table: Tensor | None, after: Tensor, layout: DialogueLayout) -> Tensor:
        """The states of all speakers after each utterance of a dialogue, (N, speakers, size)."""
        assert layout.speaker_ids is not None
        states, tables = self._with_all(table, layout, after).clone(), []
        for speaker, state in zip(layout.speaker_ids, after, strict=True):
            states[speaker] = state
            tables.append(states.clone())
        return torch.stack(tables)

    def _with_all(self, table: Tensor | None, layout: DialogueLayout, like: Tensor) -> Tensor:
        """(speakers, size): states (1, some speakers, size), and zeros for those who had not spoken before."""
        known = like.new_zeros(0, self.gru.hidden_size) if table is None else table[0].to(like)
        missing = layout.highest_speaker + 1 - len(known)
        return torch.cat([known, known.new_zeros(max(missing, 0), self.gru.hidden_size)])

    def _scan(self, steps: Tensor, layout: DialogueLayout) -> Tensor:
        """The same for a compiler, which knows no lengths: speaker after speaker, each from a fresh state."""
        assert layout.speaker_ids is not None
        (block,) = layout.blocks
        ids = block.pad(layout.speaker_ids)
        place = torch.arange(block.longest, device=ids.device)
        real = block.mask[:, None, :]
        same = (ids[:, :, None] == ids[:, None, :]) & real
        earlier = place < place[:, None]
        later = place > place[:, None]
        before = ((ids[:, None, :] < ids[:, :, None]) & real) | (same & earlier)
        # The cell of each utterance where its dialogue is sorted by speaker.
        cells = block.unpad(before.sum(-1) + block.longest * torch.arange(ids.size(0), device=ids.device)[:, None])

        def sort(rows: Tensor) -> Tensor:
            """(N, size) -> (longest, b, size)."""
            rectangle = rows.new_zeros(block.mask.numel(), rows.size(-1)).index_copy(0, cells, rows)
            return rectangle.view(*block.mask.shape, -1).transpose(0, 1)

        begins, ends = (sort(block.unpad(~(same & side).any(-1))[:, None]) for side in (earlier, later))
        scanned = self.gru.scan(sort(steps), block.mask.T[..., None], begins, ends)
        return scanned.transpose(0, 1).flatten(0, 1).index_select(0, cells)
