"""M3Net's multi-frequency graph: each node takes the sum of its neighbours, or the difference to them.

The neighbours of a node are the dialogue's other utterances in its modality, and its utterance's other modalities.
"""

import torch
from torch import Tensor, nn

from .dialogue_matrices import multiply
from .packing import DialogueLayout


class FrequencyGraph:
    """Ã = D^-1/2 A D^-1/2 of a batch, made once and used by every layer.

    Args:
        seen: (N, M, 1) bool, the nodes that there are.
    """

    def __init__(self, layout: DialogueLayout, seen: Tensor) -> None:
        self.layout = layout
        here = seen.float()
        in_modality = here.new_zeros(layout.num_dialogues, *here.shape[1:]).index_add(0, layout.dialogue, here)
        degree = in_modality.index_select(0, layout.dialogue) + here.sum(1, keepdim=True) - 2
        root = torch.where(degree > 0, degree, torch.inf).rsqrt() * here  # (N, M, 1)
        others = 1 - torch.eye(here.size(1), device=here.device)
        self.across = root * root.transpose(1, 2) * others
        """(N, M, M): receiver and sender among the modalities of an utterance."""
        self.within = []
        """(M, b, longest, longest) for each block: receiver and sender among the utterances of a modality."""
        for block, own in zip(layout.blocks, layout.split(layout.arrange(root)), strict=True):
            padded = block.pad(own).permute(2, 0, 1, 3)  # (M, b, longest, 1)
            others = 1 - torch.eye(block.longest, device=here.device)
            self.within.append(padded * padded.transpose(-1, -2) * others)


class FrequencyLayer(nn.Module):
    """F_i <- F_i + sum_j r_ij Ã_ij F_j with r_ij = tanh(q [F_i ; F_j] + p), below 0 for a difference."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * size, 1)

    def forward(self, nodes: Tensor, graph: FrequencyGraph) -> Tensor:
        """The sum, (N, M, size) -> (N, M, size)."""
        layout = graph.layout
        of_receiver, of_sender = self.gate.weight.chunk(2, dim=1)
        receiver = nodes @ of_receiver.T + self.gate.bias
        sender = nodes @ of_sender.T
        across = torch.tanh(receiver + sender.transpose(1, 2)) * graph.across.to(nodes.dtype)
        within = []
        scores = layout.split(layout.arrange(torch.cat([receiver, sender], dim=-1)))
        for block, adjacency, own in zip(layout.blocks, graph.within, scores, strict=True):
            first, second = block.pad(own).permute(2, 0, 1, 3).chunk(2, dim=-1)
            within.append(torch.tanh(first + second.transpose(-1, -2)) * adjacency.to(nodes.dtype))
        return layout.restore(multiply(layout, within, layout.arrange(nodes))) + across @ nodes
