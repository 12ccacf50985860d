"""Graph augmentation (paper, section 3.4.2 and Appendix A). Each works on copies; the graph that came in stays.

Numbers of dropped edges and masked dimensions are exact shares of the known sizes, so that no result of the device is
asked for; global proximity alone adds as many edges as it finds.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .packing import DialogueLayout
from .precision import full_precision
from .relations import relation_ids


@dataclass(frozen=True)
class SpeakerGraph:
    """The nodes and edges of one batch, as an augmentation or an encoder sees them."""

    nodes: Tensor
    """(N, D)."""
    edge_index: Tensor
    """(2, E)."""
    edge_type: Tensor
    """(E,)."""
    speaker_ids: Tensor
    """(N,)."""
    layout: DialogueLayout
    relation_scheme: str
    max_speakers: int

    def with_edges(self, edge_index: Tensor, edge_type: Tensor | None = None) -> "SpeakerGraph":
        """The same nodes with other edges, whose relations are found anew if not given."""
        if edge_type is None:
            edge_type = self.relations_of(edge_index)
        return replace(self, edge_index=edge_index, edge_type=edge_type)

    def relations_of(self, edge_index: Tensor) -> Tensor:
        """Relation id of each edge (2, E) -> (E,)."""
        return relation_ids(edge_index, self.speaker_ids, self.relation_scheme, self.max_speakers)


def mask_dimensions(graph: SpeakerGraph, rate: float) -> SpeakerGraph:
    """FM of the paper: zero a random `rate` of the dimensions, the same ones for all utterances of a dialogue."""
    nodes = graph.nodes
    size = nodes.size(-1)
    order = torch.rand(graph.layout.num_dialogues, size, device=nodes.device).argsort(dim=-1)
    keep = (order >= round(rate * size)).to(nodes.dtype)
    return replace(graph, nodes=nodes * keep[graph.layout.dialogue])


def mask_elements(graph: SpeakerGraph, rate: float) -> SpeakerGraph:
    """FM of the released code: zero each single element with probability `rate`, without rescaling."""
    keep = torch.rand_like(graph.nodes, dtype=torch.float32) >= rate
    return replace(graph, nodes=graph.nodes * keep)


def drop_and_add_edges(graph: SpeakerGraph, rate: float) -> SpeakerGraph:
    """EP of the paper: drop a random `rate` of the edges and add as many random ones inside the dialogues."""
    edge_index, edge_type = graph.edge_index, graph.edge_type
    num_edges = edge_index.size(1)
    num_moved = round(rate * num_edges)
    if num_moved == 0:
        return graph
    kept = torch.randperm(num_edges, device=edge_index.device)[num_moved:]
    target = edge_index[1, torch.randint(num_edges, (num_moved,), device=edge_index.device)]
    added = torch.stack([_random_neighbour(target, graph.layout), target])
    return graph.with_edges(
        torch.cat([edge_index[:, kept], added], dim=1),
        torch.cat([edge_type[kept], graph.relations_of(added)]),
    )


def rewire_edges(graph: SpeakerGraph, rate: float) -> SpeakerGraph:
    """EP of the released code, mended: a random `rate` of the edges get another target of their own dialogue."""
    source, target = graph.edge_index
    num_edges = source.size(0)
    moved = torch.randperm(num_edges, device=source.device)[: round(rate * num_edges)]
    target = target.index_copy(0, moved, _random_neighbour(source[moved], graph.layout))
    return graph.with_edges(torch.stack([source, target]))


def add_proximate_edges(
    graph: SpeakerGraph, rate: float, threshold: float, attenuation: float, order: int
) -> SpeakerGraph:
    """GP: add a random `rate` of the absent edges whose Katz proximity reaches the threshold (Appendix A)."""
    layout = graph.layout
    proximity, linked = katz_proximity(graph.edge_index, layout, attenuation, order)
    near = (proximity >= threshold) & ~linked
    chosen = near & (torch.rand_like(proximity) < rate)
    dialogue, source, target = chosen.nonzero(as_tuple=True)
    start = layout.starts[dialogue]
    added = torch.stack([start + source, start + target])
    return graph.with_edges(
        torch.cat([graph.edge_index, added], dim=1),
        torch.cat([graph.edge_type, graph.relations_of(added)]),
    )


def katz_proximity(
    edge_index: Tensor, layout: DialogueLayout, attenuation: float, order: int
) -> tuple[Tensor, Tensor]:
    """Katz index sum_k beta^k A^k of every pair of a dialogue's utterances, k = 1 ... `order`.

    A holds the dialogue's edges without self-loops. beta is `attenuation` over A's highest degree, a bound of
    its largest eigenvalue, so that the sum converges at any order. Scores are divided by the highest one among
    the pairs that are not linked yet, for only those compete with the threshold. The paper leaves beta, the
    order and the normalisation open.

    Returns:
        Proximity (B, longest, longest) float32 from source to target, and bool: which pairs are linked already
        (padding and self-loops count as linked).
    """
    longest = layout.longest
    source, target = edge_index
    linked = torch.zeros(layout.num_dialogues, longest, longest, dtype=torch.bool, device=edge_index.device)
    linked[layout.dialogue[source], layout.position[source], layout.position[target]] = True
    diagonal = torch.eye(longest, dtype=torch.bool, device=edge_index.device)
    adjacency = (linked & ~diagonal).float()
    highest_degree = adjacency.sum(-1).amax(-1).clamp(min=1)
    beta = (attenuation / highest_degree)[:, None, None]
    term = proximity = beta * adjacency
    with full_precision(adjacency):  # half precision would shift scores over the threshold
        for _ in range(order - 1):
            term = beta * term @ adjacency
            proximity = proximity + term
    real = layout.mask[:, :, None] & layout.mask[:, None, :]
    linked = linked | diagonal | ~real
    highest = proximity.masked_fill(linked, 0).amax((1, 2), keepdim=True)
    return proximity / highest.clamp(min=torch.finfo(torch.float32).tiny), linked


def _random_neighbour(nodes: Tensor, layout: DialogueLayout) -> Tensor:
    """A random utterance of the same dialogue for each node (k,) -> (k,)."""
    dialogue = layout.dialogue[nodes]
    lengths = layout.lengths[dialogue]
    offset = (torch.rand(nodes.shape, device=nodes.device) * lengths).long()
    return layout.starts[dialogue] + torch.minimum(offset, lengths - 1)
