"""MMGCN: multimodal fusion via a deep graph convolution network for emotion recognition in conversation.

Hu, Liu, Zhao, Jin (ACL-IJCNLP 2021). The modalities of all utterances are the nodes of one graph.
"""

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from .batch_contract import PackedBatch
from .configuration_mmgcn import MMGCNConfig
from .context_encoder import DialogueRecurrence
from .dropout import Dropout
from .focal_loss import ClassificationLossMixin
from .modality_graph import GCNIILayer, ModalityGraph
from .modality_inputs import ModalityInputs, readable
from .modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .packing import DialogueLayout
from .reach import Reach
from .speaker_vectors import SpeakerVectors
from .speech_encoder import SpeechEncoder
from .text_encoder import TextEncoder


class MMGCNPreTrainedModel(SpeakerGraphPreTrainedModel):
    """The base of the MMGCN models."""

    config: MMGCNConfig
    base_model_prefix = "mmgcn"


class GraphNetwork(nn.Module):
    """H0 = ReLU(W N + b) and L layers over the nodes N of each dialogue, with dropout in front of each layer."""

    def __init__(self, config: MMGCNConfig) -> None:
        super().__init__()
        size = config.graph_hidden_size
        self.first = nn.Linear(2 * config.recurrent_size, size)
        self.layers = nn.ModuleList(
            GCNIILayer(size, math.log(config.graph_decay / number + 1), config.graph_residual)
            for number in range(1, config.graph_num_layers + 1)
        )
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, nodes: Tensor, read: Tensor, seen: Tensor, layout: DialogueLayout) -> Tensor:
        """Nodes (N, modalities, size) -> H_L (N, modalities, graph_hidden_size).

        Args:
            read: the nodes as the first layer reads them; the edges compare them without dropout.
            seen: (N, modalities) bool, which of them have edges.
        """
        arranged = (layout.split(layout.arrange(rows)) for rows in (nodes, seen, torch.relu(self.first(read))))
        parts = []
        for block, own, shown, rows in zip(layout.blocks, *arranged, strict=True):
            graph = ModalityGraph.of(block.pad(own).transpose(1, 2), block.pad(shown).transpose(1, 2), block)
            hidden = start = block.pad(rows).transpose(1, 2)
            for layer in cast("Iterable[GCNIILayer]", self.layers):
                hidden = layer(graph.spread(self.dropout(hidden)), start)
            parts.append(block.unpad(hidden.transpose(1, 2)))
        return layout.restore(torch.cat(parts) if len(parts) > 1 else parts[0])


class MMGCNModel(MMGCNPreTrainedModel):
    """Nodes and graph: from utterance features to the representations that are classified."""

    def __init__(self, config: MMGCNConfig) -> None:
        super().__init__(config)
        dims, size = config.modality_dims, 2 * config.recurrent_size
        self.names = [name for name in ("audio", "visual", "text") if name in dims]
        self.text_encoder = TextEncoder.of(config)
        self.speech_encoder = SpeechEncoder.of(config)
        self.inputs = ModalityInputs.of(config)
        widths = dict.fromkeys(self.names, size) | {"text": config.text_projection_size}
        self.projections = nn.ModuleDict({name: nn.Linear(dims[name], widths[name]) for name in self.names})
        self.text_context: DialogueRecurrence | None = None
        if "text" in dims:
            self.text_context = DialogueRecurrence(
                "LSTM",
                config.text_projection_size,
                config.recurrent_size,
                config.num_hidden_layers,
                config.hidden_dropout_prob,
            )
        with_speakers = {"all": self.names, "text": [name for name in self.names if name == "text"], "none": []}
        self.speakers = nn.ModuleDict(
            {name: SpeakerVectors(config.max_speakers, size) for name in with_speakers[config.speaker_modalities]}
        )
        self.modality_vectors = SpeakerVectors(len(self.names), size) if config.modality_vectors else None
        self.graph_network = GraphNetwork(config)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.hidden_size = config.hidden_size
        self.post_init()

    @property
    def reach(self) -> Reach:
        """The whole dialogue: all utterances are joined."""
        return Reach(math.inf, math.inf)

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute nodes and graph.

        Returns:
            `context` (N, modalities * 2 * recurrent_size): the nodes of each utterance, in the order audio, visual,
            text; `graph` (N, hidden_size): [N ; H_L] of each modality, in that order.
        """
        features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)
        nodes = torch.stack([self.node(name, features[name], batch) for name in self.names], dim=1)
        seen = torch.cat([readable(present, self.config.absent_modality)[name] for name in self.names], dim=1)
        read = self.dropout(nodes)
        hidden = self.graph_network(nodes, read, seen, batch.layout)
        beside = nodes
        if self.config.node_activation:  # in the authors' code both are dropped here, and again before the classifier
            beside, hidden = torch.relu(read), self.dropout(hidden)
        # What has no modality to come from is zeros, whatever the layers' biases.
        joined = torch.where(seen[..., None], torch.cat([beside, hidden], dim=-1), 0)
        return EmotionRecognitionOutput(
            features=torch.cat(list(features.values()), dim=-1),
            context=nodes.flatten(1),
            graph=joined.flatten(1),
        )

    def node(self, name: str, features: Tensor, batch: PackedBatch) -> Tensor:
        """(N, dim) features of a modality -> (N, 2 * recurrent_size) its nodes."""
        nodes = self.projections[name](features)
        if name == "text":
            assert self.text_context is not None
            nodes = self.text_context(nodes, batch.layout)
        if name in self.speakers:
            nodes = nodes + self.speakers[name](self.speaker_ids(batch))
        if self.modality_vectors is not None:
            nodes = nodes + self.modality_vectors.weight[self.names.index(name)]
        return nodes


class MMGCNForEmotionRecognition(ClassificationLossMixin, SpeakerGraphClassifierMixin, MMGCNPreTrainedModel):
    """MMGCN with a classifier on each utterance, or a regressor for `problem_type="regression"`."""

    def __init__(self, config: MMGCNConfig) -> None:
        super().__init__(config)
        self.mmgcn = MMGCNModel(config)
        self.classifier = nn.Sequential(
            Dropout(config.hidden_dropout_prob), nn.Linear(config.hidden_size, len(config.id2label or ()))
        )
        self.post_init()


__all__ = ["MMGCNForEmotionRecognition", "MMGCNModel", "MMGCNPreTrainedModel"]
