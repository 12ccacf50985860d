"""The graph of utterances that augmentations and graph encoders see, and the relation ids of its edges."""

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


def relation_ids(edge_index: Tensor, speaker_ids: Tensor, relation_scheme: str, max_speakers: int) -> Tensor:
    """(E,) int64: `2 * (source_speaker * max_speakers + target_speaker) + direction` for `speaker_pair`,
    `2 * (source_speaker != target_speaker) + direction` for `same_or_other`; direction 0 is from the past.
    """
    source, target = edge_index
    direction = (source >= target).to(torch.int64)
    if relation_scheme == "speaker_pair":
        return 2 * (speaker_ids[source] * max_speakers + speaker_ids[target]) + direction
    return 2 * (speaker_ids[source] != speaker_ids[target]).to(torch.int64) + direction
