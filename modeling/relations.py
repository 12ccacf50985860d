"""Relation ids of edges that the model itself adds or moves; the same rule as the processor's."""

import torch
from torch import Tensor


def relation_ids(edge_index: Tensor, speaker_ids: Tensor, relation_scheme: str, max_speakers: int) -> Tensor:
    """(E,) int64: `2 * (source_speaker * max_speakers + target_speaker) + direction` for `speaker_pair`,
    `2 * (source_speaker != target_speaker) + direction` for `same_or_other`; direction 0 is from the past.
    """
    source, target = edge_index
    direction = (source >= target).to(torch.int64)
    if relation_scheme == "speaker_pair":
        return 2 * (speaker_ids[source] * max_speakers + speaker_ids[target]) + direction
    return 2 * (speaker_ids[source] != speaker_ids[target]).to(torch.int64) + direction
