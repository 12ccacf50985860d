"""Packed rows and padded blocks: where each of N utterances lies, and which dialogues are worked on side by side."""

import torch
from torch import Tensor, nn
from torch.nn import functional

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

    def pad(self, own: Tensor) -> Tensor:
        """The block's rows (n, ...) -> (b, longest, ...), zeros where there is no utterance."""
        if self.mask.size(0) == 1 and not torch.compiler.is_compiling():
            return own[None]
        rectangle = own.new_zeros(self.mask.numel(), *own.shape[1:]).index_copy(0, self.cells, own)
        return rectangle.view(*self.mask.shape, *own.shape[1:])

    def unpad(self, rectangle: Tensor) -> Tensor:
        """(b, longest, ...) -> (n, ...)."""
        if self.mask.size(0) == 1 and not torch.compiler.is_compiling():
            return rectangle[0]
        return rectangle.flatten(0, 1).index_select(0, self.cells)


class DialogueLayout:
    """Which dialogue and which position each packed row belongs to.

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
        self.position = rows - self.starts[self.dialogue]
        """(N,) position of each row in its dialogue."""
        self._host_numbers: Tensor | None = None
        self._by_speaker: tuple[Tensor, DialogueLayout] | None = None
        self._longest: int | None = None
        self._blocks: list[DialogueBlock] | None = None

    def bounds(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """First and last row of the dialogues that these rows (k,) belong to, (k,) each."""
        dialogue = self.dialogue[rows]
        first = self.starts[dialogue]
        return first, first + self.lengths[dialogue] - 1

    @property
    def mirrored(self) -> Tensor:
        """(N,) the row at which each row lies when its dialogue is turned round; doing it twice changes nothing."""
        return self.starts[self.dialogue] + self.lengths[self.dialogue] - 1 - self.position

    @property
    def host_lengths(self) -> Tensor:
        """(B,) the lengths on the CPU."""
        return self._on_host()[: self.num_dialogues]

    @property
    def highest_speaker(self) -> int:
        """The highest of the speakers' ids in the batch."""
        return int(self._on_host()[self.num_dialogues :].max())

    @property
    def by_speaker(self) -> tuple[Tensor, "DialogueLayout"]:
        """Each speaker's own utterances of a dialogue as a dialogue: their rows (N,) in that order, and the layout."""
        if self._by_speaker is None:
            speaker_ids = self._on_host()[self.num_dialogues :]
            dialogue = torch.arange(self.num_dialogues).repeat_interleave(self.host_lengths)
            speaker = dialogue * (self.highest_speaker + 1) + speaker_ids
            order = speaker.argsort(stable=True)
            lengths = speaker[order].unique_consecutive(return_counts=True)[1]
            own = DialogueLayout(lengths.to(self.lengths.device), self.num_utterances)
            own._host_numbers = lengths
            self._by_speaker = order.to(self.lengths.device), own
        return self._by_speaker

    def _on_host(self) -> Tensor:
        """(B,) or (B + N,) lengths and speaker ids on the CPU: all that a batch may read back, at once."""
        if self._host_numbers is None:
            numbers = [self.lengths] if self.speaker_ids is None else [self.lengths, self.speaker_ids]
            self._host_numbers = torch.cat(numbers).cpu()
        return self._host_numbers

    @property
    def longest(self) -> int:
        """Utterances of the longest dialogue."""
        if self._longest is None:
            if torch.compiler.is_compiling():
                # At least 2: whether a size is 1, and broadcasts, a compiler has to know beforehand.
                self._longest = as_number(self.lengths.max().clamp(min=2), 2, self.num_utterances + 1)
            else:
                self._longest = int(self.host_lengths.max())
        return self._longest

    @property
    def blocks(self) -> list[DialogueBlock]:
        """All dialogues in blocks of similar length, so that little is padding; one block of all under a compiler."""
        if self._blocks is None:
            if torch.compiler.is_compiling():
                self._blocks = [self._traced_block()]
            else:
                self._blocks = [self._block(dialogues) for dialogues in similar_lengths(self.host_lengths)]
        return self._blocks

    def _block(self, dialogues: Tensor) -> DialogueBlock:
        lengths = self.host_lengths
        own = lengths[dialogues]
        column = torch.arange(int(own.max()))
        mask = column < own[:, None]
        first = (lengths.cumsum(0) - lengths)[dialogues]
        rows = (first[:, None] + column)[mask]
        cells = mask.flatten().nonzero().squeeze(1)
        device = self.lengths.device
        return DialogueBlock(rows.to(device), mask.to(device), cells.to(device))

    def _traced_block(self) -> DialogueBlock:
        longest = self.longest
        mask = torch.arange(longest, device=self.lengths.device) < self.lengths[:, None]
        rows = torch.arange(self.num_utterances, device=self.lengths.device)
        return DialogueBlock(rows, mask, self.dialogue * longest + self.position)

    def arrange(self, rows: Tensor) -> Tensor:
        """(N, ...) in the order of the batch -> in the order of the blocks, each block's rows together."""
        if len(self.blocks) == 1:
            return rows
        return rows.index_select(0, self._block_order())

    def restore(self, rows: Tensor) -> Tensor:
        """Undo `arrange`."""
        if len(self.blocks) == 1:
            return rows
        return rows.index_select(0, inverse(self._block_order()))

    def _block_order(self) -> Tensor:
        return torch.cat([block.rows for block in self.blocks])

    def split(self, arranged: Tensor) -> list[Tensor]:
        """Rows in the order of the blocks (N, ...) -> each block's own (n, ...)."""
        if len(self.blocks) == 1:
            return [arranged]
        return list(arranged.split([len(block.rows) for block in self.blocks]))

    def time_major(self) -> tuple[Tensor, Tensor]:
        """The order of a `PackedSequence`: all first utterances, all second ones, ..., longest dialogue first.

        Returns:
            Packed rows (N,) in that order, and how many dialogues have a k-th utterance, (longest,) on the CPU.
        """
        lengths, order = self.host_lengths.sort(descending=True, stable=True)
        starts = self.host_lengths.cumsum(0) - self.host_lengths
        step = torch.arange(int(lengths[0]))[:, None]
        real = step < lengths
        return (step + starts[order])[real].to(self.lengths.device), real.sum(1)

    def shift(self, rows: Tensor, steps: int) -> Tensor:
        """Each row (N, ...) becomes the one `steps` utterances before it in its dialogue, zero where there is none."""
        shifted = functional.pad(rows, (0, 0) * (rows.dim() - 1) + (steps, 0))[: self.num_utterances]
        before = (self.position >= steps).view(-1, *[1] * (rows.dim() - 1))
        return torch.where(before, shifted, torch.zeros_like(shifted))


def inverse(order: Tensor) -> Tensor:
    """The place of each row in an order (N,): `rows[order][inverse(order)]` are the rows again."""
    return torch.empty_like(order).index_copy_(0, order, torch.arange(len(order), device=order.device))


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
