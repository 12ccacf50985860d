"""MMGCN as its authors compute it: one dense matrix over the nodes of the whole batch."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speed.reference import PlainOutput
from benchmarks.speed.rivals.padded import PaddedBatch, PlainNetwork, recur
from joyful_hf import MMGCNConfig

SHRINK = 0.99999


class ConvolutionII(nn.Module):
    """H' = ReLU(theta [M ; H0] W + (1 - theta) ((1 - alpha) M + alpha H0)) with M = Â H."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(2 * size, size).uniform_(-(size**-0.5), size**-0.5))

    def forward(self, rows: Tensor, adjacency: Tensor, first: Tensor, theta: float, alpha: float) -> Tensor:
        """(nodes, size) -> (nodes, size)."""
        received = adjacency @ rows
        support = torch.cat([received, first], dim=-1)
        kept = (1 - alpha) * received + alpha * first
        return torch.relu(theta * (support @ self.weight) + (1 - theta) * kept)


class GCNII(nn.Module):
    """The first map and all layers."""

    def __init__(self, config: MMGCNConfig) -> None:
        super().__init__()
        size = config.graph_hidden_size
        self.fcs = nn.ModuleList([nn.Linear(2 * config.recurrent_size, size)])
        self.convs = nn.ModuleList(ConvolutionII(size) for _ in range(config.graph_num_layers))
        self.alpha, self.decay = config.graph_residual, config.graph_decay
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """(nodes, in_size) -> (nodes, in_size + size)."""
        nodes = self.dropout(nodes)
        rows = first = torch.relu(self.fcs[0](nodes))
        for number, layer in enumerate(self.convs, start=1):
            theta = math.log(self.decay / number + 1)
            rows = layer(self.dropout(rows), adjacency, first, theta, self.alpha)
        return torch.cat([nodes, self.dropout(rows)], dim=-1)


class Graph(nn.Module):
    """Speakers, the adjacency and the network over it."""

    def __init__(self, config: MMGCNConfig) -> None:
        super().__init__()
        self.speaker_embeddings = nn.Embedding(config.max_speakers, 2 * config.recurrent_size)
        self.graph_net = GCNII(config)

    def forward(self, streams: list[Tensor], lengths: list[int]) -> Tensor:
        """(N, size) of each modality -> (N, modalities * width)."""
        nodes = torch.cat(streams)
        out = self.graph_net(nodes, adjacency(streams, lengths))
        return torch.cat(out.split(len(streams[0])), dim=-1)


class PlainMMGCN(PlainNetwork):
    """The whole network, with speakers in the text alone."""

    def __init__(self, config: MMGCNConfig) -> None:
        super().__init__()
        size, labels = config.recurrent_size, len(config.id2label or ())
        self.linear_a = nn.Linear(config.audio_dim, 2 * size)
        self.linear_v = nn.Linear(config.visual_dim, 2 * size)
        self.linear_l = nn.Linear(config.text_dim, config.text_projection_size)
        self.lstm_l = nn.LSTM(
            config.text_projection_size,
            size,
            config.num_hidden_layers,
            batch_first=True,
            bidirectional=True,
            dropout=config.hidden_dropout_prob,
        )
        self.graph_model = Graph(config)
        self.smax_fc = nn.Linear(3 * (2 * size + config.graph_hidden_size), labels)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, batch: PaddedBatch, return_loss: bool = True) -> PlainOutput:
        """Compute logits and loss."""
        features, mask = batch.features, batch.mask
        text = recur(self.lstm_l, self.linear_l(features["text"]), batch.lengths)[mask]
        text = text + self.graph_model.speaker_embeddings(batch.speakers[mask])
        audio, visual = self.linear_a(features["audio"])[mask], self.linear_v(features["visual"])[mask]
        rows = self.graph_model([audio, visual, text], batch.lengths)
        return batch.classified(self.smax_fc(torch.relu(self.dropout(rows))), return_loss)


def adjacency(streams: list[Tensor], lengths: list[int]) -> Tensor:
    """D^-1/2 S D^-1/2 over all nodes of the batch (3 N, 3 N), modality after modality."""
    total = sum(lengths)
    whole = streams[0].new_zeros(len(streams) * total, len(streams) * total)
    start = 0
    for length in lengths:
        own = [rows[start : start + length] for rows in streams]
        places = [start + index * total + torch.arange(length, device=whole.device) for index in range(len(streams))]
        for one, rows in enumerate(own):
            first = one * total + start
            whole[first : first + length, first : first + length] = similarity(rows[:, None], rows[None])
            for other in range(one):
                across = similarity(rows, own[other])
                whole[places[one], places[other]] = across
                whole[places[other], places[one]] = across
        start += length
    root = whole.sum(-1).rsqrt().diag()
    return root @ whole @ root


def similarity(first: Tensor, second: Tensor) -> Tensor:
    """1 - arccos(0.99999 cos) / pi of two rows, broadcast."""
    return 1 - torch.arccos(SHRINK * functional.cosine_similarity(first, second, dim=-1)) / math.pi
