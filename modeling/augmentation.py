"""Graph augmentation (paper, section 3.4.2 and Appendix A). Each works on copies and leaves its graph as it is.

Numbers of dropped edges and masked dimensions are exact shares of the known sizes, so that nothing has to be
read back from the device. Global proximity adds as many edges as it finds: on an accelerator, which alone would know
how many, there is room for as many as there may be, and those that are not there do not count.
"""

from dataclasses import replace

import torch
from torch import Tensor

from .katz import fits_densely, proximate_pairs, random_proximate_pairs
from .speaker_graph import SpeakerGraph


def mask_dimensions(graph: SpeakerGraph, rate: float, rescale: bool = False) -> SpeakerGraph:
    """FM of the paper: zero a random `rate` of the dimensions, the same ones for all utterances of a dialogue.

    Args:
        rescale: multiply the rest so that the rows keep their size on average, as dropout does.
    """
    nodes = graph.nodes
    size = nodes.size(-1)
    order = torch.rand(graph.layout.num_dialogues, size, device=nodes.device).argsort(dim=-1)
    num_masked = round(rate * size)
    keep = (order >= num_masked).to(nodes.dtype)
    if rescale and num_masked < size:
        keep = keep * (size / (size - num_masked))
    return replace(graph, nodes=nodes * keep[graph.layout.dialogue])


def mask_elements(graph: SpeakerGraph, rate: float, rescale: bool = False) -> SpeakerGraph:
    """FM of the released code: zero each single element with probability `rate`; the code does not rescale."""
    keep = torch.rand_like(graph.nodes, dtype=torch.float32) >= rate
    nodes = graph.nodes * keep
    return replace(graph, nodes=nodes / (1 - rate) if rescale and rate < 1 else nodes)


def drop_and_add_edges(graph: SpeakerGraph, rate: float) -> SpeakerGraph:
    """EP of the paper: drop a random `rate` of the edges and add as many random ones inside the dialogues."""
    edge_index, edge_type = graph.edge_index, graph.edge_type
    num_edges = edge_index.size(1)
    num_moved = round(rate * num_edges)
    if num_moved == 0:
        return graph
    kept = torch.randperm(num_edges, device=edge_index.device)[num_moved:]
    copied = torch.randint(num_edges, (num_moved,), device=edge_index.device)
    target = edge_index[1, copied]
    first, last = graph.layout.bounds(target)
    added = torch.stack([_random_row(first, target if graph.causal else last), target])
    return graph.with_edges(
        torch.cat([edge_index[:, kept], added], dim=1),
        torch.cat([edge_type[kept], graph.relations_of(added)]),
        None if graph.is_edge is None else torch.cat([graph.is_edge[kept], graph.is_edge[copied]]),
    )


def rewire_edges(graph: SpeakerGraph, rate: float) -> SpeakerGraph:
    """EP of the released code, mended: a random `rate` of the edges get another target of their own dialogue."""
    source, target = graph.edge_index
    num_edges = source.size(0)
    moved = torch.randperm(num_edges, device=source.device)[: round(rate * num_edges)]
    first, last = graph.layout.bounds(source[moved])
    target = target.index_copy(0, moved, _random_row(source[moved] if graph.causal else first, last))
    return graph.with_edges(torch.stack([source, target]), is_edge=graph.is_edge)


def add_proximate_edges(
    graph: SpeakerGraph, rate: float, threshold: float, attenuation: float, order: int
) -> SpeakerGraph:
    """GP: add a random `rate` of the absent edges whose Katz proximity reaches the threshold (Appendix A)."""
    if graph.nodes.device.type != "cpu" and fits_densely(graph.layout) and not torch.compiler.is_compiling():
        near = random_proximate_pairs(
            graph.edge_index, graph.layout, threshold, attenuation, order, rate, graph.causal
        )
        return _with_added(graph, *near)
    near = proximate_pairs(graph.edge_index, graph.layout, threshold, attenuation, order)
    chosen = torch.rand(near.size(1), device=near.device) < rate
    if graph.causal:  # a threshold of 0 lets in pairs that no path joins
        chosen = chosen & (near[0] < near[1])
    return _with_added(graph, near[:, chosen])


def _with_added(graph: SpeakerGraph, added: Tensor, is_edge: Tensor | None = None) -> SpeakerGraph:
    """The graph with more edges (2, k), of which those count that are edges (k,)."""
    if is_edge is not None or graph.is_edge is not None:
        more = torch.ones_like(added[0], dtype=torch.bool) if is_edge is None else is_edge
        is_edge = torch.cat([graph.edges_that_count, more])
    return graph.with_edges(
        torch.cat([graph.edge_index, added], dim=1),
        torch.cat([graph.edge_type, graph.relations_of(added)]),
        is_edge,
    )


def _random_row(first: Tensor, last: Tensor) -> Tensor:
    """A random row from `first` to `last`, (k,) each -> (k,)."""
    # In float32 the product, rounded, stays below the number of rows, up to 2**24 of them.
    share = torch.rand(first.shape, dtype=torch.float32, device=first.device)
    return first + (share * (last - first + 1)).long()
