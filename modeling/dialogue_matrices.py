"""Square matrices over the utterances of each dialogue, filled from the edges of a graph, without a row per edge."""

import torch
from torch import Tensor

from .packing import DialogueLayout


class DialogueMatrices:
    """Where the edges of a batch stand in one matrix for each dialogue: row of the target, column of the source.

    The matrices of dialogues of similar length lie together, in the blocks of the layout.

    Args:
        edge_index: (2, E), source and target; no edge twice.
    """

    def __init__(self, layout: DialogueLayout, edge_index: Tensor) -> None:
        self.layout = layout
        firsts, widths, first = [], [], 0
        for block in layout.blocks:
            firsts.append(first + block.cells * block.longest)
            widths.append(torch.full_like(block.cells, block.longest))
            first = first + block.mask.numel() * block.longest
        self.num_cells = first
        rows = layout.restore(torch.cat(firsts))
        source, target = edge_index
        self.cells = rows.index_select(0, target) + layout.position.index_select(0, source)

    def fill(self, values: Tensor) -> list[Tensor]:
        """Values of the edges (k, E) -> k matrices for each dialogue, (k, b, longest, longest) for each block."""
        flat = values.new_zeros(values.size(0), self.num_cells).index_copy(1, self.cells, values)
        sizes = [block.mask.numel() * block.longest for block in self.layout.blocks]
        parts = [flat] if len(sizes) == 1 else flat.split(sizes, dim=1)
        return [
            part.view(-1, block.mask.size(0), block.longest, block.longest)
            for part, block in zip(parts, self.layout.blocks, strict=True)
        ]


def multiply(layout: DialogueLayout, matrices: list[Tensor], rows: Tensor) -> Tensor:
    """Each matrix times the rows of its dialogue.

    Args:
        matrices: (k, b, longest, longest) for each block.
        rows: (N, k, size), arranged in the order of the layout's blocks.
    """
    products = []
    for block, matrix, own in zip(layout.blocks, matrices, layout.split(rows), strict=True):
        padded = block.pad(own).permute(2, 0, 1, 3)
        products.append(block.unpad((matrix.to(padded.dtype) @ padded).permute(1, 2, 0, 3)))
    return torch.cat(products) if len(products) > 1 else products[0]
