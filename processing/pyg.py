"""The packed graph batch as a `torch_geometric.data.Batch`, and back."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import BatchFeature

from .dialogues import FEATURE_KEYS, TOKEN_KEYS, WAVEFORM_KEYS

if TYPE_CHECKING:
    from torch_geometric.data import Batch

# Keys of the batch contract that hold one row per utterance.
_FIRST_KEYS = (*TOKEN_KEYS, *WAVEFORM_KEYS, *FEATURE_KEYS.values(), "modality_mask", "speaker_ids")
_LAST_KEYS = ("labels", "label_shares")


def batch_to_pyg(batch: Mapping[str, Tensor]) -> "Batch":
    """Turn a packed graph batch into a `torch_geometric.data.Batch` with one `Data` per dialogue.

    Utterance rows keep their names (`text_features`, ..., `labels`); `edge_index` is counted from 0 in each
    graph, as torch-geometric wants it.
    """
    from torch_geometric.data import Batch, Data  # half a second that only this function needs

    lengths = batch["dialogue_lengths"].tolist()
    edge_index, edge_type = batch["edge_index"], batch["edge_type"]
    rows = {key: batch[key].split(lengths) for key in (*_FIRST_KEYS, *_LAST_KEYS) if key in batch}
    graphs, start = [], 0
    for position, length in enumerate(lengths):
        own = (edge_index[1] >= start) & (edge_index[1] < start + length)
        graphs.append(
            Data(
                edge_index=edge_index[:, own] - start,
                edge_type=edge_type[own],
                num_nodes=length,
                **{key: parts[position] for key, parts in rows.items()},
            )
        )
        start += length
    return Batch.from_data_list(graphs)


def pyg_to_batch(batch: "Batch") -> BatchFeature:
    """Turn what `batch_to_pyg` made back into a packed graph batch, in the contract's order."""
    packed: dict[str, Tensor] = {"dialogue_lengths": torch.diff(batch["ptr"])}
    keys = (*_FIRST_KEYS, "edge_index", "edge_type", *_LAST_KEYS)
    packed |= {key: batch[key] for key in keys if key in batch}
    return BatchFeature(packed)
