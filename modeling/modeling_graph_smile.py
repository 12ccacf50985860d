"""GraphSmile: a graph between each pair of modalities, and the shifts of sentiment in a dialogue.

After Li, Wang and Zeng, "Tracing Intricate Cues in Dialogue: Joint Graph Structure and Sentiment Dynamics for
Multimodal Emotion Recognition" (IEEE TPAMI 2025, arXiv 2407.21536), and what is known of the authors' code.
"""

import math
from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .batch_contract import PackedBatch
from .batch_norm import PackedBatchNorm
from .configuration_graph_smile import GraphSmileConfig
from .dialogue_matrices import DialogueMatrices, multiply
from .dropout import Dropout
from .modality_inputs import ModalityInputs, readable
from .modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .packing import DialogueLayout, layout_of
from .reach import Reach, in_sequence
from .sentiment import UNKNOWN, sentiments_of, shift_pairs, shifts
from .speech_encoder import SpeechEncoder
from .text_encoder import TextEncoder


class OffsetWeights(nn.Module):
    """e of each edge by its direction and its distance in utterances: exp of a learnt table, 1 at first."""

    def __init__(self, max_distance: int) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.log_weight = nn.Parameter(torch.empty(2, 2 * max_distance + 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Zero: every edge weighs 1."""
        init.zeros_(self.log_weight)

    def forward(self, edge_index: Tensor, layout: DialogueLayout) -> Tensor:
        """(2, E): weights of the edges into the first modality of a pair, and of those into the second."""
        del layout
        distance = (edge_index[0] - edge_index[1]).clamp(-self.max_distance, self.max_distance)
        return self.log_weight.exp().index_select(1, distance + self.max_distance)


class NumberedWeights(nn.Module):
    """e of each edge by its number in its dialogue or in the batch, as in the authors' code; 1 beyond the last.

    Edges are counted dialogue by dialogue: in each, those into the first modality, by target and then by source, and
    then those into the second.
    """

    without_weight_decay = ("weight",)

    def __init__(self, num_weights: int, in_batch: bool) -> None:
        super().__init__()
        self.in_batch = in_batch
        self.weight = nn.Parameter(torch.empty(num_weights))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """One."""
        init.ones_(self.weight)

    def forward(self, edge_index: Tensor, layout: DialogueLayout) -> Tensor:
        """(2, E), as `OffsetWeights`."""
        number = self.number(edge_index, layout)
        last = self.weight.size(0) - 1
        weights = self.weight.index_select(0, number.clamp(max=last).flatten()).view(number.shape)
        return torch.where(number <= last, weights, 1)

    def number(self, edge_index: Tensor, layout: DialogueLayout) -> Tensor:
        """(2, E) the number of each edge, in each direction."""
        source, target = edge_index
        order = (target * layout.num_utterances + source).argsort()
        place = torch.arange(order.size(0), device=order.device)
        rank = torch.empty_like(order).index_copy(0, order, place)
        dialogue = layout.dialogue.index_select(0, target)
        count = torch.zeros_like(layout.lengths).index_add(0, dialogue, torch.ones_like(dialogue))
        before = (count.cumsum(0) - count).index_select(0, dialogue)
        first = rank + before if self.in_batch else rank - before
        return torch.stack([first, first + count.index_select(0, dialogue)])


class PairGraph(nn.Module):
    """The graph fusion of a pair of modalities: edges between the two alone, the processor's window in each direction.

    A_xy has the weight e of the edge from y_k to x_i in row i, column k;  Â = D_in^-1/2 A D_out^-1/2.
    H_0 = [x ; y];   H_l = Â H_{l-1} W_l + b_l;   F = H_0 + sum_l dropout(lrelu(V_l H_l + v_l)).
    """

    def __init__(self, config: GraphSmileConfig, num_layers: int) -> None:
        super().__init__()
        size = config.projection_size
        self.edge_weights: OffsetWeights | NumberedWeights
        if config.edge_weights == "offset":
            self.edge_weights = OffsetWeights(config.max_distance)
        else:
            self.edge_weights = NumberedWeights(config.num_edge_weights, config.edge_weights == "batch")
        self.convolutions = nn.ModuleList(nn.Linear(size, size) for _ in range(num_layers))
        self.outputs = nn.ModuleList(nn.Linear(size, size) for _ in range(num_layers))
        self.normalises_by_rows = config.degrees == "rows"
        self.dropout = Dropout(config.hidden_dropout_prob)

    @property
    def reach(self) -> Reach:
        """One edge per layer."""
        return Reach(graph_steps=len(self.convolutions))

    def adjacency(self, edge_index: Tensor, seen: Tensor, matrices: DialogueMatrices) -> list[Tensor]:
        """Â_xy and Â_yx of each dialogue, (2, b, longest, longest) for each block.

        Args:
            seen: (2, N) bool, the utterances that have each of the two modalities: no edge touches the others.
        """
        source, target = edge_index
        targets = seen.index_select(1, target)
        sources = seen.flip(0).index_select(1, source)
        weights = self.edge_weights(edge_index, matrices.layout).float() * (targets & sources)
        return [self.normalise(matrix) for matrix in matrices.fill(weights)]

    def normalise(self, matrix: Tensor) -> Tensor:
        """Divide A by the roots of its degrees: of what arrives at both ends, or of what arrives and what leaves."""
        arriving = matrix.sum(-1)
        leaving = arriving.flip(0) if self.normalises_by_rows else matrix.sum(-2)
        left, right = (torch.where(degree > 0, degree, math.inf).rsqrt() for degree in (arriving, leaving))
        return left[..., None] * matrix * right[..., None, :]

    def forward(self, pair: Tensor, adjacency: list[Tensor], layout: DialogueLayout) -> Tensor:
        """x and y side by side (N, 2, size), arranged in the order of the layout's blocks -> F (N, 2, size)."""
        fused = hidden = pair
        for convolution, output in zip(self.convolutions, self.outputs, strict=True):
            hidden = convolution(multiply(layout, adjacency, hidden.flip(1)))
            fused = fused + self.dropout(functional.leaky_relu(output(hidden)))
        return fused


class GraphSmilePreTrainedModel(SpeakerGraphPreTrainedModel):
    """The base of the GraphSmile models."""

    config: GraphSmileConfig
    base_model_prefix = "graph_smile"


class GraphSmileModel(GraphSmilePreTrainedModel):
    """Projections, a graph for each pair of modalities, and their mean."""

    def __init__(self, config: GraphSmileConfig) -> None:
        super().__init__(config)
        dims, size = config.modality_dims, config.projection_size
        self.hidden_size = size
        self.text_encoder = TextEncoder.of(config)
        self.speech_encoder = SpeechEncoder.of(config)
        self.inputs = ModalityInputs.of(config)
        self.text_norm: PackedBatchNorm | None = None
        if "text" in dims and config.text_norm != "none":
            self.text_norm = PackedBatchNorm(dims["text"], config.text_norm == "padded_batch")
        self.projections = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(dim, size), nn.LeakyReLU(), Dropout(config.hidden_dropout_prob))
                for name, dim in dims.items()
            }
        )
        graphs = {"_".join(pair): PairGraph(config, config.layers_of(pair)) for pair in config.pairs()}
        self.graphs = nn.ModuleDict(graphs)
        self.fusion = nn.Linear(size, size)
        self.post_init()

    @property
    def reach(self) -> Reach:
        """As many edges as the deepest graph has layers."""
        deepest = max(self.config.layers_of(pair) for pair in self.config.pairs())
        return in_sequence(self.text_encoder, self.inputs, self.text_norm, Reach(graph_steps=deepest))

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the pairs' graphs and their mean.

        Returns:
            `fused` (N, modalities * projection_size): the projections side by side; `graph` (N, projection_size): f.
        """
        if batch.edge_index is None:
            raise self.batch_error("the model has a graph: the batch needs edge_index")
        features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)
        seen = readable(present, self.config.absent_modality)
        if self.text_norm is not None:
            features["text"] = self.text_norm(features["text"], seen["text"], batch.layout)
        projected = {name: project(features[name]) for name, project in self.projections.items()}
        matrices = DialogueMatrices(batch.layout, batch.edge_index)
        graphs = cast("Iterable[PairGraph]", self.graphs.values())
        states, shares = [], []
        for (first, second), graph in zip(self.config.pairs(), graphs, strict=True):
            here = torch.stack([seen[first], seen[second]], dim=1)  # (N, 2, 1)
            pair = torch.where(here, torch.stack([projected[first], projected[second]], dim=1), 0)
            adjacency = graph.adjacency(batch.edge_index, here.squeeze(-1).T, matrices)
            states.append(batch.layout.restore(graph(batch.layout.arrange(pair), adjacency, batch.layout)))
            shares.append(here)
        return EmotionRecognitionOutput(
            features=torch.cat(list(features.values()), dim=-1),
            fused=torch.cat(list(projected.values()), dim=-1),
            graph=self.fuse(torch.cat(states, dim=1), torch.cat(shares, dim=1)),
        )

    def fuse(self, states: Tensor, here: Tensor) -> Tensor:
        """f = mean of lrelu(W_f F + b_f): (N, states, size), of those that are there (N, states, 1) -> (N, size)."""
        mapped = torch.where(here, functional.leaky_relu(self.fusion(states)), 0)
        return mapped.sum(1) / here.sum(1).clamp(min=1).to(mapped.dtype)


class GraphSmileForEmotionRecognition(SpeakerGraphClassifierMixin, GraphSmilePreTrainedModel):
    """GraphSmile with a classifier of each utterance's emotion, and in training of its sentiment and of its shifts.

    The loss is the sum of the three times their weights, which may be learnt: L_i / (2 s_i^2) + log(1 + s_i^2).
    """

    reach = SpeakerGraphClassifierMixin.reach  # the losses change nothing of it

    def __init__(self, config: GraphSmileConfig) -> None:
        super().__init__(config)
        self.graph_smile = GraphSmileModel(config)
        size = self.graph_smile.hidden_size
        self.classifier = nn.Linear(size, len(config.id2label or ()))
        self.sentiment_classifier = nn.Linear(size, config.num_sentiments) if config.num_sentiments else None
        self.shift_classifier = nn.Linear(2 * size, 2) if config.num_sentiments else None
        self.balance = LossBalance(3) if config.loss_balance == "learnt" and config.num_sentiments else None
        self.post_init()

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the emotions' logits and, with labels, the losses."""
        output = super().forward_batch(batch)
        if batch.labels is not None and self.sentiment_classifier is not None:
            assert output.losses is not None
            sentiment = self.sentiments(batch.labels)
            output.losses |= self.sentiment_losses(output.graph, sentiment, batch.layout)
            if self.balance is not None:
                output.losses["balance"] = self.balance.constant()
        return output

    def sentiments(self, labels: Tensor) -> Tensor:
        """(N,) sentiment of each utterance, -100 where its label does not tell it."""
        return sentiments_of(labels, self.config.sentiment_of_labels(), self.task.has_classes)

    def pairs(self, layout: DialogueLayout) -> tuple[Tensor, Tensor]:
        """The utterances with which each is compared, and which of these pairs there are: (N, k) each."""
        return shift_pairs(layout, self.config.shift_window, self.config.shift_pairs == "blocks")

    def shift_logits(self, fused: Tensor, partner: Tensor) -> Tensor:
        """W_p [f_i ; f_j] + b_p of each pair: (N, size), (N, k) -> (N, k, 2)."""
        assert self.shift_classifier is not None
        of_first, of_second = self.shift_classifier.weight.chunk(2, dim=1)
        second = functional.linear(fused, of_second).index_select(0, partner.flatten()).view(*partner.shape, 2)
        return functional.linear(fused, of_first, self.shift_classifier.bias)[:, None] + second

    def sentiment_losses(self, fused: Tensor | None, sentiment: Tensor, layout: DialogueLayout) -> dict[str, Tensor]:
        """() of each auxiliary task, from f (N, size) and the sentiments (N,)."""
        assert fused is not None
        assert self.sentiment_classifier is not None
        partner, exists = self.pairs(layout)
        shift = torch.where(exists, shifts(sentiment, partner), UNKNOWN)
        return {
            "sentiment": _mean_cross_entropy(self.sentiment_classifier(fused), sentiment),
            "shift": _mean_cross_entropy(self.shift_logits(fused, partner).flatten(0, 1), shift.flatten()),
        }

    def loss_weights(self) -> dict[str, float]:
        """Weight of each part of the loss; learnt ones come on top."""
        weights = super().loss_weights()
        if self.sentiment_classifier is None:
            return weights
        weights |= {"sentiment": self.config.sentiment_loss_weight, "shift": self.config.shift_loss_weight}
        return weights if self.balance is None else dict.fromkeys(weights, 1.0) | {"balance": 1.0}

    def weighted_sum(self, losses: dict[str, Tensor]) -> Tensor:
        """() sum of the named parts, each times its weight, fixed or learnt."""
        if self.balance is None or "sentiment" not in losses:
            return super().weighted_sum(losses)
        tasks = torch.stack([losses[name] for name in ("classification", "sentiment", "shift")])
        return (tasks * self.balance.weights()).sum() + losses["balance"]

    def loss_counts(self, batch: Mapping[str, Tensor], across_processes: bool = False) -> dict[str, Tensor]:
        """Count what each part of the loss is a mean over: utterances of a known sentiment, and pairs of them."""
        counts = super().loss_counts(batch, across_processes)
        if self.sentiment_classifier is None:
            return counts
        labels = batch.get("labels")
        if labels is None:
            return dict.fromkeys(counts, torch.zeros_like(counts["classification"]))
        sentiment = self.sentiments(labels)
        partner, exists = self.pairs(layout_of(batch, len(labels)))
        counts["sentiment"] = (sentiment != UNKNOWN).sum().float()
        counts["shift"] = (exists & (shifts(sentiment, partner) != UNKNOWN)).sum().float()
        return counts


class LossBalance(nn.Module):
    """Learnt weights of several losses L_i: L_i / (2 s_i^2) + log(1 + s_i^2), with s_i 1 at first."""

    without_weight_decay = ("scale",)

    def __init__(self, num_losses: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(num_losses))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """One."""
        init.ones_(self.scale)

    def weights(self) -> Tensor:
        """(losses,) 1 / (2 s^2)."""
        return 0.5 / self.scale.float().square()

    def constant(self) -> Tensor:
        """() sum of log(1 + s^2), which keeps s from growing."""
        return torch.log1p(self.scale.float().square()).sum()


def _mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """() mean over the known labels; 0 (with a gradient of 0) if there is none."""
    known = labels != UNKNOWN
    losses = functional.cross_entropy(logits.float(), labels.clamp(min=0), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


__all__ = ["GraphSmileForEmotionRecognition", "GraphSmileModel", "GraphSmilePreTrainedModel"]
