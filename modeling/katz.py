"""Katz proximity of a dialogue's utterances in its graph: which absent edges GP may add (Appendix A)."""

import torch
from torch import Tensor

from .packing import DialogueLayout
from .precision import full_precision
from .tracing import nonzero

# Pairs of utterances whose scores are held in full; more are computed sparsely, in memory linear in the edges.
MAX_DENSE_PAIRS = 2**22


def proximate_pairs(
    edge_index: Tensor, layout: DialogueLayout, threshold: float, attenuation: float, order: int
) -> Tensor:
    """Pairs (2, P), source and target, without an edge and with a Katz proximity of at least `threshold`.

    The Katz index is sum_k beta^k A^k over k = 1 ... `order`. A holds the dialogue's edges without self-loops. beta is
    `attenuation` over A's highest degree, a bound of its largest eigenvalue, so that the sum converges at any order.
    Scores are divided by the highest one among the dialogue's pairs without an edge, for only those compete with the
    threshold. The paper leaves beta, the order and the normalisation open.
    """
    if torch.compiler.is_compiling() or layout.num_dialogues * layout.longest**2 <= MAX_DENSE_PAIRS:
        proximity, linked = dense_proximity(edge_index, layout, attenuation, order)
        near = (proximity >= threshold) & ~linked
        dialogue, source, target = nonzero(near).unbind(1)
        return layout.starts[dialogue] + torch.stack([source, target])
    pairs, proximity = sparse_proximity(edge_index, layout, attenuation, order)
    return pairs[:, proximity >= threshold]


def dense_proximity(
    edge_index: Tensor, layout: DialogueLayout, attenuation: float, order: int
) -> tuple[Tensor, Tensor]:
    """Proximity (B, longest, longest) float32 from source to target, and bool: which pairs are linked already.

    Padding and self-loops count as linked.
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
    real = torch.arange(longest, device=edge_index.device) < layout.lengths[:, None]
    linked = linked | diagonal | ~(real[:, :, None] & real[:, None, :])
    highest = proximity.masked_fill(linked, 0).amax((1, 2), keepdim=True)
    return proximity / highest.clamp(min=torch.finfo(torch.float32).tiny), linked


def sparse_proximity(
    edge_index: Tensor, layout: DialogueLayout, attenuation: float, order: int
) -> tuple[Tensor, Tensor]:
    """The pairs (2, P) without an edge that are `order` steps apart at most, and their proximity (P,) float32."""
    num_utterances = layout.num_utterances
    shape = (num_utterances, num_utterances)
    edges = edge_index[:, edge_index[0] != edge_index[1]]
    ones = torch.ones(edges.size(1), device=edges.device)
    edges = torch.sparse_coo_tensor(edges, ones, shape, check_invariants=False).coalesce().indices()
    dialogue = layout.dialogue[edges[0]]
    degree = torch.zeros(num_utterances, device=edges.device).index_add(0, edges[0], torch.ones_like(edges[0]).float())
    highest_degree = torch.zeros(layout.num_dialogues, device=edges.device)
    highest_degree = highest_degree.scatter_reduce(0, layout.dialogue, degree, "amax").clamp(min=1)
    with full_precision(degree):
        beta = (attenuation / highest_degree)[dialogue]
        step = torch.sparse_coo_tensor(edges, beta, shape, is_coalesced=True, check_invariants=False)
        term = proximity = step
        for _ in range(order - 1):
            term = torch.sparse.mm(term, step)
            proximity = proximity + term
    proximity = proximity.coalesce()
    pairs, scores = proximity.indices(), proximity.values()
    key = pairs[0] * num_utterances + pairs[1]
    absent = (pairs[0] != pairs[1]) & ~torch.isin(key, edges[0] * num_utterances + edges[1])
    pairs, scores = pairs[:, absent], scores[absent]
    highest = torch.zeros(layout.num_dialogues, device=edges.device)
    highest = highest.scatter_reduce(0, layout.dialogue[pairs[0]], scores, "amax")
    return pairs, scores / highest[layout.dialogue[pairs[0]]].clamp(min=torch.finfo(torch.float32).tiny)
