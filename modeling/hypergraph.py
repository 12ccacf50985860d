"""M3Net's hypergraph: all nodes of a modality in a dialogue, and the modalities of each utterance.

Each node lies in two hyperedges: the context of its modality, and its utterance. N utterances with M modalities each.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .packing import DialogueLayout


@dataclass
class HyperWeights:
    """The weights of a batch: gamma of each node in a hyperedge, and w of its two hyperedges."""

    node: Tensor
    """(N, M, 1) gamma."""
    context: Tensor
    """(N, M, 1) w of the context of each modality, or (M, 1)."""
    utterance: Tensor
    """(N, 1, 1) w of each utterance, or (1, 1)."""
    are_means: bool
    """Whether a hyperedge is the weighted mean of its nodes, and a node that of its hyperedges. In the authors' code
    the weights are in the denominators alone: sums of members over sums of weights."""


class WeightsOfKinds(nn.Module):
    """Weights that belong to kinds: exp of learnt numbers, 1 at first.

    In the context of a modality all nodes are of one kind, and count the same.
    """

    without_weight_decay = ("log_node", "log_hyperedge")

    def __init__(self, num_modalities: int) -> None:
        super().__init__()
        self.log_node = nn.Parameter(torch.empty(num_modalities))
        self.log_hyperedge = nn.Parameter(torch.empty(num_modalities + 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Zero: all weigh 1."""
        init.zeros_(self.log_node)
        init.zeros_(self.log_hyperedge)

    def forward(self, layout: DialogueLayout) -> HyperWeights:
        """Return the weights of a batch."""
        hyperedge = self.log_hyperedge.exp()[:, None]
        node = self.log_node.exp()[:, None].expand(layout.num_utterances, -1, -1)
        return HyperWeights(node, hyperedge[:-1], hyperedge[-1:], are_means=True)


class NumberedHyperWeights(nn.Module):
    """Weights that belong to numbers in the dialogue or in the batch, as in the authors' code; 1 beyond the last.

    Nodes are counted dialogue by dialogue and in each modality by modality; hyperedges dialogue by dialogue, and in
    each the contexts first.
    """

    without_weight_decay = ("node", "hyperedge")

    def __init__(self, num_modalities: int, num_nodes: int, num_hyperedges: int, in_batch: bool) -> None:
        super().__init__()
        self.num_modalities = num_modalities
        self.in_batch = in_batch
        self.node = nn.Parameter(torch.empty(num_nodes))
        self.hyperedge = nn.Parameter(torch.empty(num_hyperedges))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """One."""
        init.ones_(self.node)
        init.ones_(self.hyperedge)

    def numbers(self, layout: DialogueLayout) -> tuple[Tensor, Tensor, Tensor]:
        """Number of each node (N, M), of the hyperedge of its context (N, M), and of its utterance's (N, 1)."""
        modality = torch.arange(self.num_modalities, device=layout.position.device)
        length, position = layout.lengths.index_select(0, layout.dialogue)[:, None], layout.position[:, None]
        node = position + length * modality
        context = modality.expand_as(node)
        utterance = position + self.num_modalities
        if self.in_batch:
            start = layout.starts.index_select(0, layout.dialogue)[:, None]
            before = start + self.num_modalities * layout.dialogue[:, None]
            node, context, utterance = node + self.num_modalities * start, context + before, utterance + before
        return node, context, utterance

    def forward(self, layout: DialogueLayout) -> HyperWeights:
        """Return the weights of a batch."""
        node, context, utterance = self.numbers(layout)
        return HyperWeights(
            _looked_up(self.node, node),
            _looked_up(self.hyperedge, context),
            _looked_up(self.hyperedge, utterance),
            are_means=False,
        )


class HyperConvolution(nn.Module):
    """V' = lrelu(D^-1 H B^-1 H^T V + b): nodes to their hyperedges and back, with no map between."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Zero."""
        init.zeros_(self.bias)

    def forward(self, nodes: Tensor, seen: Tensor, weights: HyperWeights, layout: DialogueLayout) -> Tensor:
        """(N, M, size), and which nodes there are (N, M, 1) bool -> (N, M, size)."""
        share = seen.to(nodes.dtype)
        gamma = weights.node.to(nodes.dtype) * share
        members = nodes * (gamma if weights.are_means else share)
        # Two hyperedges of each node: e = members / B_e.
        in_context = _over(_sum_of_dialogues(members, layout), _sum_of_dialogues(gamma, layout))
        of_utterance = _over(members.sum(1, keepdim=True), gamma.sum(1, keepdim=True))
        context, utterance = weights.context.to(nodes.dtype), weights.utterance.to(nodes.dtype)
        if weights.are_means:
            in_context, of_utterance = context * in_context, utterance * of_utterance
        return functional.leaky_relu((in_context + of_utterance) / (context + utterance) + self.bias)


def _looked_up(table: Tensor, number: Tensor) -> Tensor:
    """(N, k) numbers -> (N, k, 1) weights, 1 beyond the table."""
    last = table.size(0) - 1
    weights = table.index_select(0, number.clamp(max=last).flatten()).view(number.shape)
    return torch.where(number <= last, weights, 1)[..., None]


def _sum_of_dialogues(rows: Tensor, layout: DialogueLayout) -> Tensor:
    """The sum of each row's dialogue: (N, ...) -> (N, ...)."""
    total = rows.new_zeros(layout.num_dialogues, *rows.shape[1:]).index_add(0, layout.dialogue, rows)
    return total.index_select(0, layout.dialogue)


def _over(members: Tensor, weight: Tensor) -> Tensor:
    """members / weight; 0 where there are none."""
    return members / torch.where(weight == 0, 1, weight)
