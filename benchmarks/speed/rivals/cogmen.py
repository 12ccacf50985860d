"""COGMEN as its authors compute it: a padded transformer, a tensor per edge, and torch-geometric's layers."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import RGCNConv, TransformerConv

from benchmarks.speed.reference import PlainOutput, edges_by_tensors
from benchmarks.speed.rivals.padded import PaddedBatch, PlainNetwork
from joyful_hf import JoyfulConfig

WINDOW = 5


class Context(nn.Module):
    """Transformer over the features of all modalities, and a projection."""

    def __init__(self, width: int, config: JoyfulConfig) -> None:
        super().__init__()
        heads, inner, dropout = config.num_attention_heads, config.intermediate_size, config.hidden_dropout_prob
        layer = nn.TransformerEncoderLayer(width, heads, inner, dropout, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, config.num_hidden_layers, enable_nested_tensor=False)
        self.transformer_out = nn.Linear(width, config.graph_hidden_size or width)

    def forward(self, rows: Tensor, padding: Tensor) -> Tensor:
        """(B, L, width) -> (B, L, size)."""
        return self.transformer_out(self.transformer_encoder(rows, src_key_padding_mask=padding))


class Graph(nn.Module):
    """Relational convolution, attention over the same edges, and a norm."""

    def __init__(self, size: int, config: JoyfulConfig) -> None:
        super().__init__()
        self.conv1 = RGCNConv(size, size, config.num_relations)  # ty: ignore[abstract-class-instantiation]
        self.conv2 = TransformerConv(size, size, config.graph_num_heads)  # ty: ignore[abstract-class-instantiation]
        self.bn = nn.BatchNorm1d(config.graph_num_heads * size)

    def forward(self, nodes: Tensor, edge_index: Tensor, edge_type: Tensor) -> Tensor:
        """(N, size) -> (N, heads * size)."""
        return functional.leaky_relu(self.bn(self.conv2(self.conv1(nodes, edge_index, edge_type), edge_index)))


class Classifier(nn.Module):
    """Two linear layers."""

    def __init__(self, size: int, config: JoyfulConfig) -> None:
        super().__init__()
        hidden = config.classifier_hidden_size or size
        self.lin1 = nn.Linear(config.graph_num_heads * size, hidden)
        self.drop = nn.Dropout(config.hidden_dropout_prob)
        self.lin2 = nn.Linear(hidden, len(config.id2label or ()))

    def forward(self, rows: Tensor) -> Tensor:
        """(N, heads * size) -> (N, num_labels)."""
        return self.lin2(self.drop(torch.relu(self.lin1(rows))))


class PlainCogmen(PlainNetwork):
    """The whole network."""

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        width = sum(config.modality_dims.values())
        size = config.graph_hidden_size or width
        self.max_speakers = config.max_speakers
        self.rnn, self.gcn, self.clf = Context(width, config), Graph(size, config), Classifier(size, config)

    def forward(self, batch: PaddedBatch, return_loss: bool = True) -> PlainOutput:
        """Compute logits and loss."""
        joined = torch.cat([batch.features[name] for name in ("audio", "text", "visual")], dim=-1)
        nodes = self.rnn(joined, ~batch.mask)[batch.mask]
        speakers = [own[:length] for own, length in zip(batch.speakers, batch.lengths, strict=True)]
        edges = edges_by_tensors(speakers, WINDOW, WINDOW, self.max_speakers)
        logits = self.clf(self.gcn(nodes, *(part.to(nodes.device) for part in edges)))
        return batch.classified(logits, return_loss)
