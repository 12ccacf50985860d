"""M3Net as its authors compute it: both graphs as lists of edges, made in loops, with a message per edge."""

from itertools import permutations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speed.reference import PlainOutput
from benchmarks.speed.rivals.padded import PaddedBatch, PlainNetwork, recur
from joyful_hf import M3NetConfig

NORMS = ("normBNa", "normBNb", "normBNc", "normBNd")
MODALITIES = ("text", "audio", "visual")


class HyperConvolution(nn.Module):
    """V' = lrelu(D^-1 H B^-1 H^T V + b)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, nodes: Tensor, incidence: Tensor, node_weight: Tensor, edge_weight: Tensor) -> Tensor:
        """(nodes, size), (2, incidences) of node and hyperedge, and the weights of each -> (nodes, size)."""
        node, edge = incidence
        weight = nodes.new_zeros(len(edge_weight)).index_add(0, edge, node_weight[node])
        edges = nodes.new_zeros(len(edge_weight), nodes.size(1)).index_add(0, edge, nodes[node]) / weight[:, None]
        weight = nodes.new_zeros(len(nodes)).index_add(0, node, edge_weight[edge])
        found = torch.zeros_like(nodes).index_add(0, node, edges[edge]) / weight[:, None]
        return functional.leaky_relu(found + self.bias)


class FrequencyConvolution(nn.Module):
    """sum_j tanh(q [F_i ; F_j] + p) Ã_ij F_j."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * size, 1)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        """(nodes, size), (2, E) of sender and receiver -> (nodes, size)."""
        sender, receiver = edges
        root = torch.bincount(receiver, minlength=len(nodes)).to(nodes.dtype).rsqrt()
        share = torch.tanh(self.gate(torch.cat([nodes[receiver], nodes[sender]], dim=-1))).squeeze(-1)
        messages = (share * root[receiver] * root[sender])[:, None] * nodes[sender]
        return torch.zeros_like(nodes).index_add(0, receiver, messages)


class Graphs(nn.Module):
    """The speakers and both graphs, with weights by the number in the dialogue."""

    def __init__(self, config: M3NetConfig) -> None:
        super().__init__()
        width, size = config.projection_size, config.graph_hidden_size
        self.speaker_embeddings = nn.Embedding(config.max_speakers, width)
        self.hyperedge_weight = nn.Parameter(torch.ones(config.num_hyperedge_weights))
        self.EW_weight = nn.Parameter(torch.ones(config.num_node_weights))
        self.fc1 = nn.Linear(width, size)
        self.num_hyper, self.num_frequency = config.hyper_num_layers, config.frequency_num_layers
        for number in range(1, self.num_hyper + 1):
            self.add_module(f"hyperconv{number}", HyperConvolution(size))
        for number in range(1, self.num_frequency + 1):
            self.add_module(f"conv{number}", FrequencyConvolution(size))

    def forward(self, streams: list[Tensor], lengths: list[int]) -> Tensor:
        """(N, width) of each modality -> (N, modalities * 2 * size)."""
        parts = [rows.split(lengths) for rows in streams]
        nodes = torch.cat([torch.cat(own) for own in zip(*parts, strict=True)])  # by dialogue, in it by modality
        start = self.fc1(nodes)
        incidence, edge_numbers, node_numbers = hyperedges(lengths, nodes.device)
        weights = self.EW_weight[node_numbers], self.hyperedge_weight[edge_numbers]
        hyper = start
        for number in range(1, self.num_hyper + 1):
            hyper = self.get_submodule(f"hyperconv{number}")(hyper, incidence, *weights)
        frequency, edges = start, frequency_edges(lengths, nodes.device)
        for number in range(1, self.num_frequency + 1):
            frequency = frequency + self.get_submodule(f"conv{number}")(frequency, edges)
        states = torch.cat([hyper, frequency], dim=-1).split([len(streams) * length for length in lengths])
        return torch.cat([torch.cat(own.split(length), dim=-1) for own, length in zip(states, lengths, strict=True)])


class PlainM3Net(PlainNetwork):
    """The whole network, in the form for IEMOCAP."""

    def __init__(self, config: M3NetConfig) -> None:
        super().__init__()
        width, size = config.projection_size, config.text_layer_size
        for name in NORMS:
            self.add_module(name, nn.BatchNorm1d(size))
        self.linear_l = nn.Linear(size, width)
        self.linear_a = nn.Linear(config.audio_dim, width)
        self.linear_v = nn.Linear(config.visual_dim, width)
        self.gru_l = nn.GRU(
            width, width // 2, 2, batch_first=True, bidirectional=True, dropout=config.hidden_dropout_prob
        )
        self.graph_model = Graphs(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.smax_fc = nn.Linear(6 * config.graph_hidden_size, len(config.id2label or ()))

    def forward(self, batch: PaddedBatch, return_loss: bool = True) -> PlainOutput:
        """Compute logits and loss."""
        features, mask = batch.features, batch.mask
        layers = zip(NORMS, features["text"].chunk(len(NORMS), dim=-1), strict=True)
        normed = [self.get_submodule(name)(rows.transpose(1, 2)).transpose(1, 2) for name, rows in layers]
        text = recur(self.gru_l, self.linear_l(torch.stack(normed).mean(0)), batch.lengths)[mask]
        text = text + self.graph_model.speaker_embeddings(batch.speakers[mask])
        audio, visual = self.linear_a(features["audio"])[mask], self.linear_v(features["visual"])[mask]
        rows = self.graph_model([text, audio, visual], batch.lengths)
        return batch.classified(self.smax_fc(torch.relu(self.dropout(rows))), return_loss)


def hyperedges(lengths: list[int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The (2, incidences) of node and hyperedge, and the number in its dialogue of each hyperedge and of each node."""
    nodes, edges, edge_numbers, node_numbers = [], [], [], []
    first_node = first_edge = 0
    for length in lengths:
        for modality in range(len(MODALITIES)):
            nodes += [first_node + modality * length + index for index in range(length)]
            edges += [first_edge + modality] * length
        for index in range(length):
            nodes += [first_node + modality * length + index for modality in range(len(MODALITIES))]
            edges += [first_edge + len(MODALITIES) + index] * len(MODALITIES)
        edge_numbers += range(length + len(MODALITIES))
        node_numbers += range(length * len(MODALITIES))
        first_node += length * len(MODALITIES)
        first_edge += length + len(MODALITIES)
    incidence = torch.tensor([nodes, edges], device=device)
    return incidence, torch.tensor(edge_numbers, device=device), torch.tensor(node_numbers, device=device)


def frequency_edges(lengths: list[int], device: torch.device) -> Tensor:
    """(2, E): all pairs of utterances within a modality, and all pairs of modalities within an utterance."""
    pairs: list[tuple[int, int]] = []
    first = 0
    for length in lengths:
        starts = [first + modality * length for modality in range(len(MODALITIES))]
        for start in starts:
            pairs += permutations(range(start, start + length), 2)
        for index in range(length):
            pairs += permutations([start + index for start in starts], 2)
        first += length * len(MODALITIES)
    return torch.tensor(pairs, device=device).T
