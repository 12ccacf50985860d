"""DialogueGCN as its authors compute it: a tensor per edge, and a product per relation."""

import torch
from torch import Tensor, nn

from benchmarks.speed.reference import PlainOutput, edges_by_tensors
from benchmarks.speed.rivals.padded import MatchingAttention, PaddedBatch, PlainNetwork, recur
from joyful_hf import DialogueGCNConfig

WINDOW = 10


class RelationalConvolution(nn.Module):
    """R_i = X_i root + bias + sum_{j -> i} w_ji X_j W_r with W_r = sum_b att_rb basis_b."""

    def __init__(self, in_size: int, out_size: int, num_relations: int, num_bases: int) -> None:
        super().__init__()
        bound = (num_bases * in_size) ** -0.5
        self.basis = nn.Parameter(torch.empty(num_bases, in_size, out_size).uniform_(-bound, bound))
        self.att = nn.Parameter(torch.empty(num_relations, num_bases).uniform_(-bound, bound))
        self.root = nn.Parameter(torch.empty(in_size, out_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_size).uniform_(-bound, bound))

    def forward(self, nodes: Tensor, edge_index: Tensor, edge_type: Tensor, edge_weight: Tensor) -> Tensor:
        """(N, in_size) -> (N, out_size)."""
        weights = torch.einsum("rb,bio->rio", self.att, self.basis)
        found = nodes @ self.root + self.bias
        for relation, weight in enumerate(weights):
            here = edge_type == relation
            source, target = edge_index[:, here]
            messages = (nodes[source] @ weight) * edge_weight[here, None]
            found = found.index_add(0, target, messages)
        return found


class GraphConvolution(nn.Module):
    """G_i = (R_i lin + b) + sum_{j -> i} R_j W."""

    def __init__(self, in_size: int, out_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_size, out_size).uniform_(-(in_size**-0.5), in_size**-0.5))
        self.lin = nn.Linear(in_size, out_size)

    def forward(self, nodes: Tensor, edge_index: Tensor) -> Tensor:
        """(N, in_size) -> (N, out_size)."""
        source, target = edge_index
        return self.lin(nodes).index_add(0, target, (nodes @ self.weight)[source])


class EdgeAttention(nn.Module):
    """A row of weights for each position in a dialogue."""

    def __init__(self, size: int, max_position: int) -> None:
        super().__init__()
        self.scalar = nn.Linear(size, max_position, bias=False)

    def forward(self, context: Tensor, dialogue: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """(B, L, size), and of each edge (E,) its dialogue and positions -> (E,) shares of what leaves a node."""
        shares = self.scalar(context).transpose(1, 2).softmax(-1)[:, : context.size(1)]  # (B, position, others)
        near = torch.full_like(shares, 1e-10)
        near[dialogue, source, target] = 1
        shares = shares * near
        return (shares / shares.sum(-1, keepdim=True))[dialogue, source, target]


class GraphNetwork(nn.Module):
    """Two convolutions, the attention over nodes and the classifier."""

    def __init__(self, config: DialogueGCNConfig) -> None:
        super().__init__()
        size, hidden = 2 * config.recurrent_size, config.graph_hidden_size
        self.conv1 = RelationalConvolution(size, hidden, config.num_relations, config.num_bases or 30)
        self.conv2 = GraphConvolution(hidden, hidden)
        self.matchatt = MatchingAttention(size + hidden, bounded=True)
        self.linear = nn.Linear(size + hidden, config.classifier_hidden_size)
        self.smax_fc = nn.Linear(config.classifier_hidden_size, len(config.id2label or ()))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)


class PlainDialogueGCN(PlainNetwork):
    """The whole network, on an LSTM."""

    def __init__(self, config: DialogueGCNConfig) -> None:
        super().__init__()
        in_size, size = sum(config.modality_dims.values()), config.recurrent_size
        self.max_speakers = config.max_speakers
        self.lstm = nn.LSTM(
            in_size,
            size,
            config.num_hidden_layers,
            batch_first=True,
            bidirectional=True,
            dropout=config.hidden_dropout_prob,
        )
        self.att_model = EdgeAttention(2 * size, config.max_position)
        self.graph_net = GraphNetwork(config)

    def forward(self, batch: PaddedBatch, return_loss: bool = True) -> PlainOutput:
        """Compute logits and loss."""
        graph, mask = self.graph_net, batch.mask
        context = recur(self.lstm, torch.cat(list(batch.features.values()), dim=-1), batch.lengths)
        speakers = [own[:length] for own, length in zip(batch.speakers, batch.lengths, strict=True)]
        edge_index, edge_type = edges_by_tensors(speakers, WINDOW, WINDOW, self.max_speakers)
        edge_index, edge_type = edge_index.to(context.device), edge_type.to(context.device)
        dialogue, position = (rows[edge_index] for rows in mask.nonzero().T)
        weights = self.att_model(context, dialogue[0], *position)
        nodes = context[mask]
        convolved = graph.conv2(graph.conv1(nodes, edge_index, edge_type, weights), edge_index)
        padded = nodes.new_zeros(*mask.shape, nodes.size(1) + convolved.size(1))
        padded[mask] = torch.cat([nodes, convolved], dim=-1)
        attended = graph.matchatt(padded, padded, mask)[mask]
        logits = graph.smax_fc(graph.dropout(torch.relu(graph.linear(attended))))
        return batch.classified(logits, return_loss)
