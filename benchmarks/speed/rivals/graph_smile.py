"""GraphSmile as its authors compute it: for each pair of modalities a dense matrix over the nodes of the batch."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speed.reference import PlainOutput
from benchmarks.speed.rivals.padded import PaddedBatch, PlainNetwork
from joyful_hf import GraphSmileConfig

WINDOW = 17
MODALITIES = {"t": "text", "v": "visual", "a": "audio"}
PAIRS = {"tv": ("text", "visual"), "ta": ("text", "audio"), "va": ("visual", "audio")}


class Convolution(nn.Module):
    """H' = Â H W + b."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size, size).uniform_(-(size**-0.5), size**-0.5))
        self.bias = nn.Parameter(torch.empty(size).uniform_(-(size**-0.5), size**-0.5))

    def forward(self, rows: Tensor, adjacency: Tensor) -> Tensor:
        """(nodes, size) -> (nodes, size)."""
        return adjacency @ (rows @ self.weight) + self.bias


class Layer(nn.Module):
    """A convolution under its name."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.hetergconv = Convolution(size)

    def forward(self, rows: Tensor, adjacency: Tensor) -> Tensor:
        """(nodes, size) -> (nodes, size)."""
        return self.hetergconv(rows, adjacency)


class PairGraph(nn.Module):
    """F = H_0 + sum_l dropout(lrelu(V_l H_l + v_l)) over both modalities of a pair."""

    def __init__(self, config: GraphSmileConfig, num_layers: int) -> None:
        super().__init__()
        size = config.projection_size
        self.edge_weight = nn.Parameter(torch.ones(config.num_edge_weights))
        layer, output = Layer(size), nn.Sequential(nn.Linear(size, size), nn.LeakyReLU())
        self.hetergcn_layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(num_layers))
        self.fc_layers = nn.ModuleList(copy.deepcopy(output) for _ in range(num_layers))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, first: Tensor, second: Tensor, edge_index: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """(N, size) each, (2, E) of receiver and sender, (E,) number of each edge -> the same sizes."""
        fused = rows = torch.cat([first, second])
        adjacency = rows.new_zeros(len(rows), len(rows))
        adjacency[edge_index[0], edge_index[1]] = self.edge_weight[number]
        root = adjacency.sum(-1).rsqrt()
        adjacency = root[:, None] * adjacency * root
        for layer, output in zip(self.hetergcn_layers, self.fc_layers, strict=True):
            rows = layer(rows, adjacency)
            fused = fused + self.dropout(output(rows))
        return fused[: len(first)], fused[len(first) :]


class Shift(nn.Module):
    """The classifier of pairs under its name."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.shift_output_layer = nn.Sequential(nn.Linear(2 * size, 2))


class PlainGraphSmile(PlainNetwork):
    """The whole network, on one layer of text features, with weights by the number of an edge in its dialogue."""

    def __init__(self, config: GraphSmileConfig) -> None:
        super().__init__()
        size, dropout = config.projection_size, config.hidden_dropout_prob
        self.config = config
        self.batchnorms_t = nn.ModuleList([nn.BatchNorm1d(config.text_dim)])
        for short, name in MODALITIES.items():
            layers = nn.Sequential(nn.Linear(config.modality_dims[name], size), nn.LeakyReLU(), nn.Dropout(dropout))
            self.add_module(f"dim_layer_{short}", layers)
        for pair, names in PAIRS.items():
            self.add_module(f"hetergconv_{pair}", PairGraph(config, config.layers_of(names)))
        self.modal_fusion = nn.Sequential(nn.Linear(size, size), nn.LeakyReLU())
        self.emo_output = nn.Linear(size, len(config.id2label or ()))
        self.sen_output = nn.Linear(size, 3)
        self.senshift = Shift(size)

    def forward(self, batch: PaddedBatch, return_loss: bool = True) -> PlainOutput:
        """Compute logits and losses: of the emotions, the sentiments and their shifts."""
        text = self.batchnorms_t[0](batch.features["text"].transpose(1, 2)).transpose(1, 2)
        given = batch.features | {"text": text}
        rows = {
            short: self.get_submodule(f"dim_layer_{short}")(given[name])[batch.mask]
            for short, name in MODALITIES.items()
        }
        edge_index, number = edges(batch.lengths, text.device)
        states: list[Tensor] = []
        for pair in PAIRS:
            first, second = (rows[short] for short in pair)
            states += self.get_submodule(f"hetergconv_{pair}")(first, second, edge_index, number)
        fused = torch.stack([self.modal_fusion(state) for state in states]).mean(0)
        logits = self.emo_output(fused)
        if not return_loss:
            return PlainOutput(logits, {}, None)
        labels = batch.known_labels
        sentiment = torch.tensor(self.config.sentiment_of_labels(), device=labels.device)[labels]
        losses = {
            "classification": functional.cross_entropy(logits, labels),
            "sentiment": functional.cross_entropy(self.sen_output(fused), sentiment),
            "shift": self.shift_loss(fused, sentiment, batch.lengths),
        }
        loss = losses["classification"] + self.config.sentiment_loss_weight * losses["sentiment"]
        return PlainOutput(logits, losses, loss + self.config.shift_loss_weight * losses["shift"])

    def shift_loss(self, fused: Tensor, sentiment: Tensor, lengths: list[int]) -> Tensor:
        """() over all ordered pairs of consecutive blocks."""
        pairs, labels = [], []
        for own, emotions in zip(fused.split(lengths), sentiment.split(lengths), strict=True):
            window = self.config.shift_window
            for block, given in zip(own.split(window), emotions.split(window), strict=True):
                length = len(block)
                pairs.append(torch.cat([block.repeat_interleave(length, 0), block.repeat(length, 1)], dim=-1))
                labels.append(given.repeat_interleave(length) != given.repeat(length))
        logits = self.senshift.shift_output_layer(torch.cat(pairs))
        return functional.cross_entropy(logits, torch.cat(labels).long())


def edges(lengths: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """(2, E) receiver and sender between two modalities in both directions, and (E,) numbers in the dialogue."""
    total, start = sum(lengths), 0
    receivers: list[int] = []
    senders: list[int] = []
    numbers: list[int] = []
    for length in lengths:
        before = len(receivers)
        for own, other in ((0, total), (total, 0)):
            for receiver in range(length):
                for sender in range(max(0, receiver - WINDOW), min(length, receiver + WINDOW + 1)):
                    receivers.append(own + start + receiver)
                    senders.append(other + start + sender)
        numbers += range(len(receivers) - before)
        start += length
    return torch.tensor([receivers, senders], device=device), torch.tensor(numbers, device=device)
