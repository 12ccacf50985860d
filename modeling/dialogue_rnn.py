"""DialogueRNN's recurrence: a global state, a state of each speaker and an emotion, which follow each other.

Majumder, Poria, Hazarika, Mihalcea, Gelbukh, Cambria (AAAI 2019). All dialogues advance together, one utterance at a
time; whatever depends on the utterances alone is computed for all of them beforehand.
"""

import math
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import initialization as init

from .dropout import Dropout
from .growing_memory import GrowingMemory
from .packing import DialogueLayout
from .reach import Reach
from .recurrence import gru_step, scan_outputs

CONTEXT_ATTENTIONS = ("general", "simple", "dot", "concat")


class States(NamedTuple):
    """The memory of b dialogues of their utterances so far."""

    global_state: Tensor
    """(b, global_size): g_t."""
    parties: Tensor
    """(b, speakers, party_size): q_p,t of each speaker p."""
    emotion: Tensor
    """(b, emotion_size): e_t."""


class GRUStep(nn.Module):
    """`torch.nn.GRUCell` on two inputs: one that is known for all steps beforehand, and one found at each step.

    Args:
        known_size: 0 if all of the input is found at each step.
    """

    def __init__(self, known_size: int, found_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.known = nn.Linear(known_size, 3 * hidden_size) if known_size else None
        self.found = nn.Linear(found_size, 3 * hidden_size, bias=not known_size)
        self.state = nn.Linear(hidden_size, 3 * hidden_size)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights and biases as torch's cell does."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def prepare(self, known: Tensor) -> Tensor:
        """The input that is known (N, known_size) -> its part in the gates (N, 3 * hidden_size)."""
        assert self.known is not None
        return self.known(known)

    def forward(self, prepared: Tensor | None, found: Tensor, state: Tensor) -> Tensor:
        """(..., 3 * hidden_size), (..., found_size), (..., hidden_size) -> (..., hidden_size)."""
        inputs = self.found(found)
        return gru_step(inputs if prepared is None else prepared + inputs, self.state(state), state)


class ContextAttention(nn.Module):
    """c_t: attention of an utterance u_t over the global states before it; the zero state g_0 if there is none.

    The scores of g_j are g_j . (W u_t) ("general"), w . g_j ("simple"), g_j . u_t ("dot") or
    v . tanh(W [g_j ; u_t]) ("concat").
    """

    def __init__(self, kind: str, in_size: int, global_size: int, attention_size: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "general":
            self.transform = nn.Linear(in_size, global_size, bias=False)
        elif kind == "concat":
            self.transform = nn.Linear(in_size, attention_size, bias=False)
            self.memory_transform = nn.Linear(global_size, attention_size, bias=False)
            self.vector = nn.Linear(attention_size, 1, bias=False)
        elif kind == "simple":
            self.vector = nn.Linear(global_size, 1, bias=False)

    def prepare(self, utterances: Tensor) -> Tensor:
        """u (N, in_size) -> what each asks with (N, ...)."""
        return self.transform(utterances) if self.kind in ("general", "concat") else utterances

    def forward(self, query: Tensor, memory: Tensor, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend with a query (b, ...) to states (b, t, global_size): c_t (b, global_size), and its weights (b, t).

        Args:
            seen: (t,) bool, the states that are there; all by default.
        """
        if self.kind == "simple":
            scores = self.vector(memory).squeeze(-1)
        elif self.kind == "concat":
            scores = self.vector(torch.tanh(self.memory_transform(memory) + query[:, None])).squeeze(-1)
        else:
            scores = (memory @ query[..., None].to(memory.dtype)).squeeze(-1)
        if seen is not None:
            scores = scores.masked_fill(~seen, -math.inf)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(memory.dtype)
        return (weights[:, None] @ memory).squeeze(1), weights


class DialogueRNNCell(nn.Module):
    """One step: from u_t, its speaker and the states before it to the states after it.

    Args:
        context_attention: one of `CONTEXT_ATTENTIONS`.
        attention_size: width of the "concat" attention.
        listener_state: whether those who listen change their state too.
        dropout: of the states, fresh at each step: what is dropped is what the next step reads.
    """

    def __init__(
        self,
        in_size: int,
        global_size: int,
        party_size: int,
        emotion_size: int,
        context_attention: str = "general",
        attention_size: int = 100,
        listener_state: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.sizes = (global_size, party_size, emotion_size)
        self.global_cell = GRUStep(in_size, party_size, global_size)
        self.context_attention = ContextAttention(context_attention, in_size, global_size, attention_size)
        self.party_cell = GRUStep(in_size, global_size, party_size)
        self.listener_cell = GRUStep(in_size, party_size, party_size) if listener_state else None
        self.emotion_cell = GRUStep(0, party_size, emotion_size)
        self.dropout = Dropout(dropout)

    def start(self, like: Tensor, num_dialogues: int, num_speakers: int) -> States:
        """The states before the first utterance, which are zeros."""
        global_size, party_size, emotion_size = self.sizes
        return States(
            like.new_zeros(num_dialogues, global_size),
            like.new_zeros(num_dialogues, num_speakers, party_size),
            like.new_zeros(num_dialogues, emotion_size),
        )

    def prepare(self, utterances: Tensor, speaks: Tensor) -> dict[str, Tensor]:
        """Name -> rows of what a step reads: the utterances (N, in_size), who speaks, and what is kept of the states.

        Args:
            speaks: (N, speakers) bool, True at the speaker of each utterance.
        """
        rows = {
            "speaks": speaks[..., None],
            "query": self.context_attention.prepare(utterances),
            "to_global": self.global_cell.prepare(utterances),
            "to_party": self.party_cell.prepare(utterances),
        }
        if self.listener_cell is not None:
            rows["to_listeners"] = self.listener_cell.prepare(utterances)[:, None]
        if self.training and self.dropout.p > 0:
            global_size, party_size, emotion_size = self.sizes
            sizes = {"global": (global_size,), "party": (party_size,), "emotion": (emotion_size,)}
            if self.listener_cell is not None:
                sizes["listeners"] = (speaks.size(1), party_size)
            for name, size in sizes.items():
                rows[f"kept_{name}"] = self.dropout(utterances.new_ones(len(utterances), *size))
        return rows

    def forward(self, step: dict[str, Tensor], states: States, memory: Tensor, seen: Tensor | None = None) -> States:
        """Take one step in b dialogues.

        Args:
            step: rows (b, ...) of `prepare`.
            memory: (b, t, global_size), the global states so far, g_0 = 0 before the first utterance.
            seen: (t,) bool, which of them are there; all by default.
        """

        def keep(name: str, state: Tensor) -> Tensor:
            return state * step[f"kept_{name}"] if f"kept_{name}" in step else state

        before = torch.where(step["speaks"], states.parties, 0).sum(1)
        global_state = keep("global", self.global_cell(step["to_global"], before, states.global_state))
        context, _ = self.context_attention(step["query"], memory, seen)
        party = keep("party", self.party_cell(step["to_party"], context, before))
        parties = states.parties
        if self.listener_cell is not None:
            parties = keep("listeners", self.listener_cell(step["to_listeners"], party[:, None], parties))
        parties = torch.where(step["speaks"], party[:, None], parties)
        return States(global_state, parties, keep("emotion", self.emotion_cell(None, party, states.emotion)))


class DialogueRNN(nn.Module):
    """The cell over the utterances of each dialogue, from the first to the last or the other way round.

    Args:
        backwards: from the last utterance to the first.
    """

    def __init__(self, cell: DialogueRNNCell, backwards: bool = False) -> None:
        super().__init__()
        self.cell = cell
        self.backwards = backwards

    @property
    def reach(self) -> Reach:
        """All utterances on one side."""
        return Reach(future=math.inf) if self.backwards else Reach(past=math.inf)

    def forward(self, utterances: Tensor, speaks: Tensor, layout: DialogueLayout) -> Tensor:
        """u (N, in_size), and (N, speakers) bool who speaks -> e (N, emotion_size)."""
        rows = self.cell.prepare(utterances, speaks)
        if self.backwards:
            rows = {name: row.index_select(0, layout.mirrored) for name, row in rows.items()}
        emotions = self._scan(rows, layout) if torch.compiler.is_compiling() else self._advance(rows, layout)
        return emotions.index_select(0, layout.mirrored) if self.backwards else emotions

    def _advance(self, rows: dict[str, Tensor], layout: DialogueLayout) -> Tensor:
        order = layout.steps
        sizes = order.sizes.tolist()
        split = {name: row.index_select(0, order.order).split(sizes) for name, row in rows.items()}
        states = self.cell.start(rows["to_global"], sizes[0], rows["speaks"].size(1))
        memory, emotions = GrowingMemory(len(sizes)), []
        for index, size in enumerate(sizes):
            if size < len(states.emotion):  # the shorter dialogues, which lie behind, are over
                states = States(*(state[:size] for state in states))
            seen = memory.read(size) if index else states.global_state[:, None]
            states = self.cell({name: steps[index] for name, steps in split.items()}, states, seen)
            memory.write(states.global_state)
            emotions.append(states.emotion)
        # Nothing reads the last states: with them, every parameter has a gradient in single utterances too.
        unread = states.global_state.sum() + states.parties.sum()
        return torch.cat(emotions).index_select(0, order.back) + 0 * unread

    def _scan(self, rows: dict[str, Tensor], layout: DialogueLayout) -> Tensor:
        """The same for a compiler, which knows no lengths: all dialogues are padded, and all memories as long."""
        (block,) = layout.blocks
        steps = {name: block.pad(row).transpose(0, 1) for name, row in rows.items()}
        place = torch.arange(block.longest, device=block.mask.device)
        weights = dict(self.cell.named_parameters())

        def step(*tensors: Tensor) -> tuple[Tensor, ...]:
            given = iter(tensors)
            before, memory = States(*islice(given, 3)), next(given)
            own = dict(zip(steps, islice(given, len(steps)), strict=True))
            now, place, *values = given
            # The first utterance sees one state, of zeros.
            arguments = (own, before, memory, place < now.clamp(min=1))
            states = functional_call(self.cell, dict(zip(weights, values, strict=True)), arguments)
            memory = torch.where((place == now)[:, None], states.global_state[:, None], memory)
            return (*states, memory, states.emotion.clone())

        num_dialogues = block.mask.size(0)  # `len` would ask for a number
        states = self.cell.start(rows["to_global"], num_dialogues, rows["speaks"].size(1))
        memory = states.global_state.new_zeros(num_dialogues, block.longest, states.global_state.size(1))
        start, inputs = [*states, memory], [*steps.values(), place]
        return block.unpad(scan_outputs(step, start, inputs, [place, *weights.values()]).transpose(0, 1))


def who_speaks(speaker_ids: Tensor, layout: DialogueLayout, max_speakers: int | None) -> Tensor:
    """(N,) ids -> (N, speakers) bool, True at the speaker of each utterance.

    Args:
        max_speakers: more than the highest id; None where that is open.
    """
    if torch.compiler.is_compiling():
        num_speakers = layout.longest if max_speakers is None else max_speakers
    else:
        num_speakers = layout.highest_speaker + 1
    if max_speakers is None and (torch.compiler.is_compiling() or num_speakers > layout.longest):
        # No dialogue has more speakers than utterances: each is numbered by the first one that is theirs.
        num_speakers, speaker_ids = layout.longest, _first_utterances(speaker_ids, layout)
    return speaker_ids[:, None] == torch.arange(num_speakers, device=speaker_ids.device)


def _first_utterances(speaker_ids: Tensor, layout: DialogueLayout) -> Tensor:
    """(N,) position in its dialogue of the first utterance of each utterance's speaker."""
    parts = []
    for block, own in zip(layout.blocks, layout.split(layout.arrange(speaker_ids)), strict=True):
        speakers = block.pad(own)
        same = (speakers[:, :, None] == speakers[:, None, :]) & block.mask[:, None, :]
        place = torch.arange(block.longest, device=own.device)
        parts.append(block.unpad(torch.where(same, place, block.longest).amin(-1)))
    return layout.restore(torch.cat(parts) if len(parts) > 1 else parts[0])
