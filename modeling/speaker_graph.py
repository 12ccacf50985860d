"""The graph of utterances that augmentations and graph encoders see, and the relation ids of its edges."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .packing import DialogueLayout


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
    causal: bool = False
    """Whether edges run from the past alone, also those that are added or moved."""
    is_edge: Tensor | None = None
    """(E,) bool, which of the edges count; all if None. Those that do not fill up where only the device knows how many
    edges there are; they lead from the first utterance to itself."""

    @property
    def edges_that_count(self) -> Tensor:
        """(E,) bool, all of them where `is_edge` is None."""
        return torch.ones_like(self.edge_type, dtype=torch.bool) if self.is_edge is None else self.is_edge

    def with_edges(
        self, edge_index: Tensor, edge_type: Tensor | None = None, is_edge: Tensor | None = None
    ) -> "SpeakerGraph":
        """The same nodes with other edges, whose relations are found anew if not given."""
        if is_edge is not None:
            edge_index = torch.where(is_edge, edge_index, 0)
        if edge_type is None:
            edge_type = self.relations_of(edge_index)
        return replace(self, edge_index=edge_index, edge_type=edge_type, is_edge=is_edge)

    def relations_of(self, edge_index: Tensor) -> Tensor:
        """Relation id of each edge (2, E) -> (E,)."""
        return relation_ids(edge_index, self.speaker_ids, self.relation_scheme, self.max_speakers)


def joined(graphs: Sequence[SpeakerGraph]) -> SpeakerGraph:
    """Graphs of the same utterances as one, their nodes one after the other, for layers that follow its edges alone.

    Its layout and speakers are those of each of them.
    """
    first, is_edge = graphs[0], None
    num_nodes = len(first.nodes)
    if any(graph.is_edge is not None for graph in graphs):
        is_edge = torch.cat([graph.edges_that_count for graph in graphs])
    rest = [graph.edge_index + index * num_nodes for index, graph in enumerate(graphs[1:], 1)]
    edge_index = torch.cat([first.edge_index, *rest], dim=1)
    edge_type = torch.cat([graph.edge_type for graph in graphs])
    nodes = torch.cat([graph.nodes for graph in graphs])
    return replace(first, nodes=nodes, edge_index=edge_index, edge_type=edge_type, is_edge=is_edge)


def relation_ids(edge_index: Tensor, speaker_ids: Tensor, relation_scheme: str, max_speakers: int) -> Tensor:
    """(E,) int64: `2 * (source_speaker * max_speakers + target_speaker) + direction` for `speaker_pair`,
    `2 * (source_speaker != target_speaker) + direction` for `same_or_other`; direction 0 is from the past.
    """
    source, target = edge_index
    direction = source >= target
    if relation_scheme == "speaker_pair":
        return 2 * (speaker_ids[source] * max_speakers + speaker_ids[target]) + direction
    return 2 * (speaker_ids[source] != speaker_ids[target]) + direction
