"""Katz proximity of a dialogue's utterances in its graph: which absent edges GP may add (Appendix A)."""

import math

import torch
from torch import Tensor

from .packing import DialogueLayout
from .precision import full_precision
from .tracing import nonzero

# Pairs of utterances whose scores are held in full; more are computed sparsely, in memory linear in the edges.
MAX_DENSE_PAIRS = 2**22
MAX_DENSE_PAIRS_ON_DEVICES = 2**25


def proximate_pairs(
    edge_index: Tensor, layout: DialogueLayout, threshold: float, attenuation: float, order: int
) -> Tensor:
    """Pairs (2, P), source and target, without an edge and with a Katz proximity of at least `threshold`.

    The Katz index is sum_k beta^k A^k over k = 1 ... `order`. A holds the dialogue's edges without self-loops. beta is
    `attenuation` over A's highest degree, a bound of its largest eigenvalue, so that the sum converges at any order.
    Scores are divided by the highest one among the dialogue's pairs without an edge, for only those compete with the
    threshold. The paper leaves beta, the order and the normalisation open.
    """
    if torch.compiler.is_compiling() or fits_densely(layout):
        proximity, linked = dense_proximity(edge_index, layout, attenuation, order)
        near = (proximity >= threshold) & ~linked
        dialogue, source, target = nonzero(near).unbind(1)
        return layout.starts[dialogue] + torch.stack([source, target])
    pairs, proximity = sparse_proximity(edge_index, layout, attenuation, order)
    return pairs[:, proximity >= threshold]


def fits_densely(layout: DialogueLayout) -> bool:
    """Whether the scores of all pairs of a batch are held in full."""
    limit = MAX_DENSE_PAIRS if layout.lengths.device.type == "cpu" else MAX_DENSE_PAIRS_ON_DEVICES
    return layout.num_dialogues * layout.longest**2 <= limit


def random_proximate_pairs(
    edge_index: Tensor,
    layout: DialogueLayout,
    threshold: float,
    attenuation: float,
    order: int,
    rate: float,
    causal: bool,
) -> tuple[Tensor, Tensor]:
    """A random `rate` of `proximate_pairs` without asking the device how many these are.

    Args:
        causal: only pairs whose source comes first.

    Returns:
        (2, k), and which of them are such pairs (k,) bool; the others lead from the first utterance to itself. k is
        more than all pairs of the dialogues would give, by six standard deviations.
    """
    longest = layout.longest
    proximity, linked = dense_proximity(edge_index, layout, attenuation, order)
    chosen = (proximity >= threshold) & ~linked & (torch.rand_like(proximity) < rate)
    if causal:
        chosen = chosen.triu(1)
    most = sum(length * (length - 1) for length in layout.host.lengths.tolist()) // (2 if causal else 1)
    room = min(most, math.ceil(rate * most + 6 * math.sqrt(rate * (1 - rate) * most)))
    chosen = chosen.flatten()
    # Each pair goes to its place among the chosen ones, and the rest to one behind them that is cut off.
    place = torch.where(chosen, chosen.cumsum(0) - 1, room).clamp(max=room)
    cells = torch.arange(chosen.numel(), device=chosen.device)
    cells = torch.full_like(cells[: room + 1], -1).scatter(0, place, cells)[:room]
    there = cells >= 0
    cells = cells.clamp(min=0)
    pairs = torch.stack([cells // longest % longest, cells % longest]) + layout.starts[cells // longest**2]
    return torch.where(there, pairs, 0), there


def dense_proximity(
    edge_index: Tensor, layout: DialogueLayout, attenuation: float, order: int
) -> tuple[Tensor, Tensor]:
    """Proximity (B, longest, longest) float32 from source to target, and bool: which pairs are linked already.

    Padding and self-loops count as linked.
    """
    longest = layout.longest
    source, target = edge_index
    cells = (layout.dialogue[source] * longest + layout.position[source]) * longest + layout.position[target]
    linked = torch.zeros(layout.num_dialogues * longest**2, dtype=torch.bool, device=edge_index.device)
    linked = linked.index_fill(0, cells, True).view(-1, longest, longest)
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
