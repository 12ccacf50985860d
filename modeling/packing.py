"""Packed rows and padded blocks: where each of N utterances lies, and which dialogues are worked on side by side."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .steps import StepOrder, inverse, mirrored_steps, step_order, step_sizes
from .tracing import as_number

# Cells (pairs of utterances) of padding that cost as much as one more block does by its calls alone; measured.
_CELLS_OF_A_BLOCK = 2**14


class DialogueBlock:
    """Some dialogues of similar length as one rectangle.

    Args:
        rows: (n,) packed rows of the block's utterances, dialogue after dialogue.
        mask: (b, longest) bool, True at real utterances.
        cells: (n,) where the mask is True, in the flattened rectangle.
    """

    def __init__(self, rows: Tensor, mask: Tensor, cells: Tensor) -> None:
        self.rows = rows
        self.mask = mask
        self.cells = cells

    @property
    def longest(self) -> int:
        """Utterances of the longest dialogue in the block."""
        return self.mask.size(1)

    @property
    def _is_full(self) -> bool:
        """Whether no utterance is missing, as far as a compiler may know."""
        return not torch.compiler.is_compiling() and len(self.cells) == self.mask.numel()

    def pad(self, own: Tensor) -> Tensor:
        """The block's rows (n, ...) -> (b, longest, ...), zeros where there is no utterance."""
        if self._is_full:
            return own.unflatten(0, self.mask.shape)
        rectangle = own.new_zeros(self.mask.numel(), *own.shape[1:]).index_copy(0, self.cells, own)
        return rectangle.view(*self.mask.shape, *own.shape[1:])

    def unpad(self, rectangle: Tensor) -> Tensor:
        """(b, longest, ...) -> (n, ...)."""
        if self._is_full:
            return rectangle.flatten(0, 1)
        return rectangle.flatten(0, 1).index_select(0, self.cells)


class DialogueLayout:
    """Which dialogue and which position each packed row belongs to, and what follows from it.

    What depends on the lengths is computed on the CPU. There a layout computes it when it is asked for. `to` brings
    all of it to a device at once, and no more is asked of that device, or sent there. A layout that is made of lengths
    on a device has to read them back, and waits.

    Args:
        dialogue_lengths: (B,) int64.
        num_utterances: N, the sum of the lengths, known from the features' shape without asking the device.
        recurrent_states: for a piece of one dialogue, the state (1, size) of each recurrent layer of a causal model
            before the first row, which the layer replaces by its states after each row (N, size).
        speaker_ids: (N,) int64, for layers that keep a state of each speaker.
    """

    def __init__(
        self,
        dialogue_lengths: Tensor,
        num_utterances: int,
        recurrent_states: dict[nn.Module, Tensor] | None = None,
        speaker_ids: Tensor | None = None,
    ) -> None:
        self.lengths = dialogue_lengths
        self.speaker_ids = speaker_ids
        self.recurrent_states = recurrent_states
        self.num_dialogues = dialogue_lengths.size(0)
        self.num_utterances = num_utterances
        self.starts = dialogue_lengths.cumsum(0) - dialogue_lengths
        """(B,) first row of each dialogue."""
        rows = torch.arange(num_utterances, device=dialogue_lengths.device)
        # Not repeat_interleave: ONNX does not know it with a given size.
        firsts = torch.zeros_like(rows).scatter(0, self.starts, torch.ones_like(self.starts))
        self.dialogue = firsts.cumsum(0) - 1
        """(N,) index of each row's dialogue."""
        self.first = self.starts[self.dialogue]
        """(N,) first row of each row's dialogue."""
        self.last = self.first + (dialogue_lengths - 1)[self.dialogue]
        """(N,) last row of each row's dialogue."""
        self.position = rows - self.first
        """(N,) position of each row in its dialogue."""
        self._host: DialogueLayout | None = None
        self._tables: dict[str, Tensor] = {}
        self._buffers: list[Tensor] | None = None
        self._groups: list[Tensor] | None = None
        self._step_orders: dict[str, StepOrder] = {}
        self._longest: int | None = None
        self._blocks: list[DialogueBlock] | None = None

    @property
    def host(self) -> "DialogueLayout":
        """The same on the CPU; where it is not known yet, the device is asked, once, for all that may be read back."""
        if self.lengths.device.type == "cpu":
            return self
        if self._host is None:
            numbers = [self.lengths] if self.speaker_ids is None else [self.lengths, self.speaker_ids]
            lengths, speakers = torch.cat(numbers).cpu().tensor_split([self.num_dialogues])
            known = None if self.speaker_ids is None else speakers
            self._host = DialogueLayout(lengths, self.num_utterances, speaker_ids=known)
        return self._host

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "DialogueLayout":
        """The same on a device, in two copies."""
        device, own, host = torch.device(device), self.lengths.device, self.host
        if device.type == own.type and device.index in (None, own.index):
            return self
        if device.type == "cpu":
            return host
        moved = copy.copy(host)
        moved._host, moved._buffers, moved._blocks = host, None, None
        moved._tables, moved._step_orders = {}, {}
        arrived = [buffer.to(device, non_blocking=non_blocking) for buffer in host._joined()]
        for is_mask, buffer in zip((False, True), arrived, strict=True):
            tables = {name: table for name, table in host._all_tables().items() if (name == "masks") == is_mask}
            parts = buffer.split([table.numel() for table in tables.values()])
            moved._tables |= dict(zip(tables, parts, strict=True))
        for name in _PLACES:
            setattr(moved, name, moved._tables.pop(name, None))
        return moved

    def pin_memory(self) -> "DialogueLayout":
        """The same with what `to` copies in page-locked memory; a `DataLoader` calls it."""
        pinned = copy.copy(self.host)
        pinned._buffers = [buffer.pin_memory() for buffer in pinned._joined()]
        return pinned

    def _all_tables(self) -> dict[str, Tensor]:
        """Every tensor of this layout on the CPU."""
        places = {name: getattr(self, name) for name in _PLACES if getattr(self, name) is not None}
        known = [name for name in _TABLES if self.speaker_ids is not None or not name.startswith("speaker")]
        return places | {name: self._table(name) for name in known}

    def _joined(self) -> list[Tensor]:
        """All numbers in one tensor, and all masks in another."""
        if self._buffers is not None:
            return self._buffers
        tables = self._all_tables()
        masks = tables.pop("masks")
        return [torch.cat(list(tables.values())), masks]

    def _table(self, name: str) -> Tensor:
        """One of `_TABLES`, on this layout's device."""
        if name not in self._tables:
            host = self.host
            made = _TABLES[name](self) if host is self else host._table(name)
            self._tables[name] = made.to(self.lengths.device)
        return self._tables[name]

    def bounds(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """First and last row of the dialogues that these rows (k,) belong to, (k,) each."""
        return self.first[rows], self.last[rows]

    @property
    def mirrored(self) -> Tensor:
        """(N,) the row at which each row lies when its dialogue is turned round; doing it twice changes nothing."""
        return self.last - self.position

    @property
    def highest_speaker(self) -> int:
        """The highest of the speakers' ids in the batch."""
        speaker_ids = self.host.speaker_ids
        assert speaker_ids is not None  # without them nobody asks
        return int(speaker_ids.max())

    @property
    def longest(self) -> int:
        """Utterances of the longest dialogue."""
        if self._longest is None:
            if torch.compiler.is_compiling():
                # At least 2: whether a size is 1, and broadcasts, a compiler has to know beforehand.
                self._longest = as_number(self.lengths.max().clamp(min=2), 2, self.num_utterances + 1)
            else:
                self._longest = int(self.host.lengths.max())
        return self._longest

    @property
    def padded(self) -> "DialogueLayout":
        """The layout of as many dialogues that are all as long as the longest."""
        count, longest = self.num_dialogues, self.longest
        padded = DialogueLayout(torch.full_like(self.lengths, longest), count * longest)
        if not torch.compiler.is_compiling() and self.lengths.device.type != "cpu":
            padded._host = DialogueLayout(torch.full((count,), longest), count * longest)
            rows = torch.arange(count * longest, device=self.lengths.device)
            padded._tables = {
                "step_order": rows.view(count, longest).T.flatten(),
                "step_back": rows.view(longest, count).T.flatten(),
                "step_mirrored": rows.view(longest, count).flip(0).flatten(),
            }
        return padded

    @property
    def groups(self) -> list[Tensor]:
        """The dialogues of each block, on the CPU."""
        if self._groups is None:
            self._groups = similar_lengths(self.host.lengths)
        return self._groups

    @property
    def blocks(self) -> list[DialogueBlock]:
        """All dialogues in blocks of similar length, so that little is padding; one block of all under a compiler."""
        if self._blocks is None:
            self._blocks = [self._traced_block()] if torch.compiler.is_compiling() else self._known_blocks()
        return self._blocks

    def _known_blocks(self) -> list[DialogueBlock]:
        own = [self.host.lengths[dialogues] for dialogues in self.host.groups]
        shapes = [(len(lengths), int(lengths.max())) for lengths in own]
        sizes = [int(lengths.sum()) for lengths in own]
        rows, cells = (self._table(name).split(sizes) for name in ("block_rows", "cells"))
        masks = self._table("masks").split([lines * longest for lines, longest in shapes])
        return [
            DialogueBlock(of_block, mask.view(shape), own_cells)
            for of_block, mask, own_cells, shape in zip(rows, masks, cells, shapes, strict=True)
        ]

    def _traced_block(self) -> DialogueBlock:
        longest = self.longest
        mask = torch.arange(longest, device=self.lengths.device) < self.lengths[:, None]
        rows = torch.arange(self.num_utterances, device=self.lengths.device)
        return DialogueBlock(rows, mask, self.dialogue * longest + self.position)

    def arrange(self, rows: Tensor) -> Tensor:
        """(N, ...) in the order of the batch -> in the order of the blocks, each block's rows together."""
        if len(self.blocks) == 1:
            return rows
        return rows.index_select(0, self._table("block_rows"))

    def restore(self, rows: Tensor) -> Tensor:
        """Undo `arrange`."""
        if len(self.blocks) == 1:
            return rows
        return rows.index_select(0, self._table("block_back"))

    def split(self, arranged: Tensor) -> list[Tensor]:
        """Rows in the order of the blocks (N, ...) -> each block's own (n, ...)."""
        if len(self.blocks) == 1:
            return [arranged]
        return list(arranged.split([len(block.rows) for block in self.blocks]))

    @property
    def steps(self) -> StepOrder:
        """The dialogues, as they advance together."""
        return self._step_order("step", lambda host: host.lengths)

    @property
    def speaker_steps(self) -> StepOrder:
        """Each speaker's own utterances of a dialogue as a sequence, as these advance together."""
        return self._step_order("speaker", lambda host: _by_speaker(host)[1])

    def _step_order(self, name: str, lengths_of: Callable[["DialogueLayout"], Tensor]) -> StepOrder:
        if name not in self._step_orders:
            tables = [self._table(f"{name}_{table}") for table in ("order", "back", "mirrored")]
            self._step_orders[name] = StepOrder(*tables, step_sizes(lengths_of(self.host)))
        return self._step_orders[name]

    def shift(self, rows: Tensor, steps: int) -> Tensor:
        """Each row (N, ...) becomes the one `steps` utterances before it in its dialogue, zero where there is none."""
        shifted = functional.pad(rows, (0, 0) * (rows.dim() - 1) + (steps, 0))[: self.num_utterances]
        before = (self.position >= steps).view(-1, *[1] * (rows.dim() - 1))
        return shifted.masked_fill(~before, 0)


# What follows from the lengths, each of a layout on the CPU.


def _block_rows(layout: DialogueLayout) -> Tensor:
    """(N,) the packed rows in the order of the blocks."""
    groups = layout.groups
    if len(groups) == 1:
        return torch.arange(layout.num_utterances)
    return _rows_of(layout.lengths[torch.cat(groups)], layout.starts[torch.cat(groups)])


def _masks(layout: DialogueLayout) -> Tensor:
    """The masks of the blocks, flat, one after the other."""
    own = [layout.lengths[dialogues] for dialogues in layout.groups]
    return torch.cat([(torch.arange(int(lengths.max())) < lengths[:, None]).flatten() for lengths in own])


def _cells(layout: DialogueLayout) -> Tensor:
    """(N,) the cell of each row of a block in its rectangle, block after block."""
    parts = []
    for dialogues in layout.groups:
        lengths = layout.lengths[dialogues]
        parts.append(_rows_of(lengths, torch.arange(len(lengths)) * lengths.max()))
    return torch.cat(parts)


def _rows_of(lengths: Tensor, starts: Tensor) -> Tensor:
    """The rows from each start on, as many as the lengths say, one after the other."""
    return torch.arange(int(lengths.sum())) + (starts - lengths.cumsum(0) + lengths).repeat_interleave(lengths)


def _by_speaker(layout: DialogueLayout) -> tuple[Tensor, Tensor]:
    """The rows (N,) speaker after speaker, dialogue after dialogue, and how many each speaker has."""
    assert layout.speaker_ids is not None  # without them nobody asks
    speaker = layout.dialogue * (layout.highest_speaker + 1) + layout.speaker_ids
    order = speaker.argsort(stable=True)
    return order, speaker[order].unique_consecutive(return_counts=True)[1]


def _speaker_order(layout: DialogueLayout) -> Tensor:
    rows, lengths = _by_speaker(layout)
    return rows[step_order(lengths, lengths.cumsum(0) - lengths)]


_PLACES = ("lengths", "starts", "dialogue", "first", "last", "position", "speaker_ids")
_TABLES: dict[str, Callable[[DialogueLayout], Tensor]] = {
    "block_rows": _block_rows,
    "block_back": lambda layout: inverse(layout._table("block_rows")),
    "cells": _cells,
    "masks": _masks,
    "step_order": lambda layout: step_order(layout.lengths, layout.starts),
    "step_back": lambda layout: inverse(layout._table("step_order")),
    "step_mirrored": lambda layout: mirrored_steps(step_sizes(layout.lengths)),
    "speaker_order": _speaker_order,
    "speaker_back": lambda layout: inverse(layout._table("speaker_order")),
    "speaker_mirrored": lambda layout: mirrored_steps(step_sizes(_by_speaker(layout)[1])),
}


def layout_of(batch: Mapping[str, Any], num_utterances: int) -> DialogueLayout:
    """The layout of a batch: the one that came with it, or a new one."""
    given = batch.get("layout")
    if given is None:
        return DialogueLayout(batch["dialogue_lengths"], num_utterances, speaker_ids=batch.get("speaker_ids"))
    return given


def check_layout(
    layout: DialogueLayout, dialogue_lengths: Tensor, num_utterances: int, speaker_ids: Tensor | None
) -> str | None:
    """Say what is wrong with a batch's own layout, by its sizes, and on the CPU by its values; None if nothing is."""
    same = (layout.num_dialogues, layout.num_utterances) == (len(dialogue_lengths), num_utterances)
    if same and dialogue_lengths.device.type == "cpu":
        pairs = [(layout.host.lengths, dialogue_lengths), (layout.host.speaker_ids, speaker_ids)]
        same = all(known is None or given is None or torch.equal(known, given) for known, given in pairs)
    if same and (speaker_ids is None or layout.speaker_ids is not None):
        return None
    return (
        f"the batch's layout is that of other dialogues or speakers ({layout.num_dialogues} dialogues with "
        f"{layout.num_utterances} utterances; the batch has {len(dialogue_lengths)} with {num_utterances}); leave "
        "`layout` out, or make it anew"
    )


def similar_lengths(lengths: Tensor) -> list[Tensor]:
    """Groups of dialogues (B,) whose rectangles hold little padding; one group if more would not pay.

    A group ends where the padding of all shorter dialogues costs more than a block of their own.
    """
    ordered, order = lengths.sort(descending=True, stable=True)
    squares = ordered.square().tolist()
    cuts, first = [], 0
    for index, square in enumerate(squares):
        if (squares[first] - square) * (len(squares) - index) > _CELLS_OF_A_BLOCK:
            cuts.append(index)
            first = index
    if not cuts:
        return [torch.arange(len(lengths))]
    return list(order.tensor_split(cuts))
