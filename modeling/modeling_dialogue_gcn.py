"""DialogueGCN: a graph convolutional neural network for emotion recognition in conversation.

Ghosal, Majumder, Poria, Chhaya, Gelbukh (EMNLP 2019). Utterances in their context are nodes, edges reach over a window
and know who speaks to whom, and two convolutions follow each other.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .batch_contract import PackedBatch
from .configuration_dialogue_gcn import DialogueGCNConfig
from .context_encoder import DialogueRecurrence
from .edge_attention import softmax_at_targets
from .graph_convolution import NeighbourConvolution, WeightedRelationalConvolution
from .matching_attention import MatchingAttention
from .mlp import make_mlp
from .modality_inputs import ModalityInputs
from .modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .reach import Reach, in_sequence
from .speaker_graph import SpeakerGraph
from .speech_encoder import SpeechEncoder
from .text_encoder import TextEncoder


class EdgeWeights(nn.Module):
    """a_ij of the edges j -> i: a softmax over those that arrive at i or leave j, of x_j W x_i or a row per position.

    Args:
        kind: `edge_attention` of the config.
        max_position: rows of the table of `"position"`.
    """

    def __init__(self, kind: str, size: int, max_position: int) -> None:
        super().__init__()
        self.kind = kind
        self.weight = nn.Parameter(torch.empty(max_position if kind == "position" else size, size))
        self.reset_parameters()

    @property
    def reach(self) -> Reach:
        """One edge more where those that leave a node share its weight; a position counts all of the past."""
        past = math.inf if self.kind == "position" else 0
        return Reach(past, graph_steps=0 if self.kind == "incoming" else 1)

    def reset_parameters(self) -> None:
        """Glorot for the bilinear form, torch's choice for a linear layer otherwise."""
        rows, size = self.weight.shape
        if self.kind == "position":
            init.uniform_(self.weight, -(size**-0.5), size**-0.5)
        else:
            init.normal_(self.weight, std=math.sqrt(2 / (rows + size)))

    def forward(self, graph: SpeakerGraph) -> Tensor:
        """(E,) float32."""
        source, target = graph.edge_index
        if self.kind == "position":
            asking = self.weight.index_select(0, graph.layout.position)
            scores = (asking.index_select(0, source) * graph.nodes.index_select(0, target)).sum(-1)
        else:
            asked = graph.nodes @ self.weight.T
            scores = (graph.nodes.index_select(0, source) * asked.index_select(0, target)).sum(-1)
        sharing = target if self.kind == "incoming" else source
        return softmax_at_targets(scores[:, None], sharing, graph.nodes.size(0)).squeeze(-1)


class DialogueGCNPreTrainedModel(SpeakerGraphPreTrainedModel):
    """The base of the DialogueGCN models."""

    config: DialogueGCNConfig
    base_model_prefix = "dialogue_gcn"


class DialogueGCNModel(DialogueGCNPreTrainedModel):
    """Context, graph and nodal attention: from utterance features to the representations that are classified."""

    def __init__(self, config: DialogueGCNConfig) -> None:
        super().__init__(config)
        in_size, size = sum(config.modality_dims.values()), 2 * config.recurrent_size
        self.text_encoder = TextEncoder.of(config)
        self.speech_encoder = SpeechEncoder.of(config)
        self.inputs = ModalityInputs.of(config)
        self.sequence_encoder: DialogueRecurrence | nn.Linear
        if config.sequence_encoder == "none":
            self.sequence_encoder = nn.Linear(in_size, size)
        else:
            self.sequence_encoder = DialogueRecurrence(
                config.sequence_encoder.upper(),
                in_size,
                config.recurrent_size,
                config.num_hidden_layers,
                config.hidden_dropout_prob,
            )
        self.edge_weights = EdgeWeights(config.edge_attention, size, config.max_position)
        num_bases = config.num_bases or min(config.num_relations, 30)
        self.relational = WeightedRelationalConvolution(
            size, config.graph_hidden_size, config.num_relations, num_bases
        )
        self.neighbours = NeighbourConvolution(
            config.graph_hidden_size, config.graph_out_size, config.graph_aggregation == "mean"
        )
        self.activation: Callable[[Tensor], Tensor] = nn.ReLU() if config.graph_activation else nn.Identity()
        self.nodal_attention: MatchingAttention | None = None
        if config.nodal_attention != "none":
            self.nodal_attention = MatchingAttention(config.hidden_size, config.nodal_attention == "bounded")
        self.hidden_size = config.hidden_size
        self.post_init()

    @property
    def reach(self) -> Reach:
        """As far as the sequence encoder, the edges' weights, two convolutions and the nodal attention look."""
        graph = in_sequence(self.edge_weights, Reach(graph_steps=2))
        return in_sequence(self.text_encoder, self.inputs, self.sequence_encoder, graph, self.nodal_attention)

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute context and graph.

        Returns:
            `fused` (N, sum of the modalities' sizes): u, the features side by side; `context` (N, 2 * recurrent_size):
            X; `graph` (N, hidden_size): [X ; G], or what the nodal attention makes of it; `edge_attention` (E, 1): the
            weights of the edges.
        """
        features, _ = self.inputs(batch.features, batch.modality_mask, self.dtype)
        utterances = torch.cat(list(features.values()), dim=-1)
        if isinstance(self.sequence_encoder, DialogueRecurrence):
            context = self.sequence_encoder(utterances, batch.layout)
        else:
            context = self.sequence_encoder(utterances)
        graph = self.speaker_graph(batch, context)
        self._check_length(batch)
        weights = self.edge_weights(graph)
        hidden = self.activation(self.relational(context, graph.edge_index, graph.edge_type, weights))
        convolved = self.activation(self.neighbours(hidden, graph.edge_index))
        joined = torch.cat([context, convolved], dim=-1)
        return EmotionRecognitionOutput(
            features=utterances,
            fused=utterances,
            context=context,
            graph=joined if self.nodal_attention is None else self.nodal_attention(joined, batch.layout),
            edge_attention=weights.detach()[:, None] if batch.output_edge_attention else None,
        )

    def _check_length(self, batch: PackedBatch) -> None:
        limit = self.config.max_position
        if self.config.edge_attention == "position" and not torch.compiler.is_compiling():
            longest = batch.layout.longest
            if longest > limit:
                raise self.batch_error(
                    f"a dialogue has {longest} utterances, and edge_attention='position' knows {limit} "
                    "(max_position); raise it, or take edge_attention='incoming', and train again"
                )


class DialogueGCNForEmotionRecognition(SpeakerGraphClassifierMixin, DialogueGCNPreTrainedModel):
    """DialogueGCN with a classifier on each utterance, or a regressor for `problem_type="regression"`."""

    def __init__(self, config: DialogueGCNConfig) -> None:
        super().__init__(config)
        self.dialogue_gcn = DialogueGCNModel(config)
        self.classifier = make_mlp(
            config.hidden_size, config.classifier_hidden_size, len(config.id2label or ()), config.hidden_dropout_prob
        )
        self.post_init()


__all__ = ["DialogueGCNForEmotionRecognition", "DialogueGCNModel", "DialogueGCNPreTrainedModel"]
