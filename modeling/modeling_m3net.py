"""M3Net: a hypergraph and a multi-frequency graph of the modalities of a dialogue.

After Chen, Shao, Zhu and Shen, "Multivariate, Multi-Frequency and Multimodal: Rethinking Graph Neural Networks for
Emotion Recognition in Conversation" (CVPR 2023), and what is known of the authors' code.
"""

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from .batch_contract import PackedBatch
from .batch_norm import PackedBatchNorm
from .configuration_m3net import M3NetConfig
from .context_encoder import DialogueGRU
from .dropout import Dropout
from .focal_loss import ClassificationLossMixin
from .frequency_graph import FrequencyGraph, FrequencyLayer
from .hypergraph import HyperConvolution, NumberedHyperWeights, WeightsOfKinds
from .modality_inputs import ModalityInputs, readable
from .modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .packing import DialogueLayout
from .reach import Reach
from .speaker_vectors import SpeakerVectors
from .speech_encoder import SpeechEncoder
from .text_encoder import TextEncoder


class M3NetPreTrainedModel(SpeakerGraphPreTrainedModel):
    """The base of the M3Net models."""

    config: M3NetConfig
    base_model_prefix = "m3net"


class TextContext(nn.Module):
    """u = mean of the text's normalised vectors, mapped; c_t = two BiGRU layers over it."""

    def __init__(self, config: M3NetConfig) -> None:
        super().__init__()
        self.num_layers = config.text_layers
        self.reads_padding = config.reads_padding
        size, width = config.text_layer_size, config.projection_size
        norms = [] if config.text_norm == "none" else range(config.text_layers)
        self.norms = nn.ModuleList(PackedBatchNorm(size, config.text_norm == "padded_batch") for _ in norms)
        self.projection = nn.Linear(size, width) if config.text_projection else nn.Identity()
        self.layers = nn.ModuleList(DialogueGRU(width, 1, 0.0) for _ in range(2))
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, text: Tensor, present: Tensor, layout: DialogueLayout) -> Tensor:
        """(N, text_dim), and where there is text (N, 1) bool -> (N, projection_size)."""
        if not self.reads_padding:
            return self.recur(self.projection(self.mean(text, present, layout)), layout)
        # As in a padded batch: all dialogues are as long as the longest, zeros before the normalisation.
        column = torch.arange(layout.longest, device=text.device)
        real = column < layout.lengths[:, None]
        rows = torch.cat([text, torch.zeros_like(text[:1])])
        read = self.projection(self.mean(rows, torch.cat([present, torch.zeros_like(present[:1])]), layout))
        place = torch.where(real, layout.starts[:, None] + column, layout.num_utterances).flatten()
        context = self.recur(read.index_select(0, place), layout.padded)
        return context.index_select(0, layout.dialogue * layout.longest + layout.position)

    def mean(self, text: Tensor, present: Tensor, layout: DialogueLayout) -> Tensor:
        """(N, layers * size) -> (N, size)."""
        vectors = list(text.chunk(self.num_layers, dim=-1))
        for index, norm in enumerate(self.norms):
            vectors[index] = norm(vectors[index], present, layout)
        return torch.stack(vectors).mean(0)

    def recur(self, rows: Tensor, layout: DialogueLayout) -> Tensor:
        """(N, width) -> (N, width)."""
        first, second = self.layers
        return second(self.dropout(first(rows, layout)), layout)


class M3NetModel(M3NetPreTrainedModel):
    """A recurrence over the text, maps of the other modalities, and two graphs side by side."""

    def __init__(self, config: M3NetConfig) -> None:
        super().__init__(config)
        dims, width, size = config.modality_dims, config.projection_size, config.graph_hidden_size
        self.hidden_size = config.hidden_size
        self.text_encoder = TextEncoder.of(config)
        self.speech_encoder = SpeechEncoder.of(config)
        self.inputs = ModalityInputs.of(config)
        self.text_context = TextContext(config) if "text" in dims else None
        self.projections = nn.ModuleDict({name: nn.Linear(dim, width) for name, dim in dims.items() if name != "text"})
        has_speakers = config.speakers == "all" or "text" in dims
        self.speakers = SpeakerVectors(config.max_speakers, width) if has_speakers else None
        self.graph_projection = nn.Linear(width, size)
        self.hyper_weights: WeightsOfKinds | NumberedHyperWeights
        if config.hyper_weights == "kind":
            self.hyper_weights = WeightsOfKinds(len(dims))
        else:
            numbers = (config.num_node_weights, config.num_hyperedge_weights)
            self.hyper_weights = NumberedHyperWeights(len(dims), *numbers, config.hyper_weights == "batch")
        self.hyper_layers = nn.ModuleList(HyperConvolution(size) for _ in range(config.hyper_num_layers))
        self.frequency_layers = nn.ModuleList(FrequencyLayer(size) for _ in range(config.frequency_num_layers))
        self.post_init()

    @property
    def reach(self) -> Reach:
        """The whole dialogue."""
        return Reach(math.inf, math.inf)

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the utterances in their context and both graphs.

        Returns:
            `fused` (N, modalities * projection_size): h of each modality, the graphs' nodes; `graph`
            (N, modalities * width): what the classifier reads of each modality's node.
        """
        features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)
        available = readable(present, self.config.absent_modality)
        seen = torch.stack(list(available.values()), dim=1)
        nodes = torch.where(seen, torch.stack(list(self.contexts(features, available, batch).values()), dim=1), 0)
        start = torch.where(seen, self.graph_projection(nodes), 0)
        hyper, frequency = start, start
        weights, graph = self.hyper_weights(batch.layout), FrequencyGraph(batch.layout, seen)
        for layer in cast("Iterable[HyperConvolution]", self.hyper_layers):
            hyper = layer(hyper, seen, weights, batch.layout)
        for layer in cast("Iterable[FrequencyLayer]", self.frequency_layers):
            frequency = frequency + layer(frequency, graph)
        states = [nodes, hyper, frequency] if self.config.use_residue else [hyper, frequency]
        return EmotionRecognitionOutput(
            features=torch.cat(list(features.values()), dim=-1),
            fused=nodes.flatten(1),
            graph=torch.where(seen, torch.cat(states, dim=-1), 0).flatten(1),
        )

    def contexts(
        self, features: dict[str, Tensor], available: dict[str, Tensor], batch: PackedBatch
    ) -> dict[str, Tensor]:
        """h_m = c_m + S[speaker], (N, projection_size) of each modality; the authors' code has S for text alone."""
        contexts = {}
        for name, rows in features.items():
            if name == "text":
                assert self.text_context is not None
                contexts[name] = self.text_context(rows, available[name], batch.layout)
            else:
                contexts[name] = self.projections[name](rows)
        if self.speakers is not None:
            if batch.speaker_ids is None:
                raise self.batch_error("the model knows speakers: the batch needs speaker_ids")
            speaker = self.speakers(batch.speaker_ids)
            spoken = contexts if self.config.speakers == "all" else ["text"]
            contexts |= {name: contexts[name] + speaker for name in spoken}
        return contexts


class M3NetForEmotionRecognition(ClassificationLossMixin, SpeakerGraphClassifierMixin, M3NetPreTrainedModel):
    """M3Net with a classifier on each utterance, or a regressor for `problem_type="regression"`."""

    def __init__(self, config: M3NetConfig) -> None:
        super().__init__(config)
        self.m3net = M3NetModel(config)
        self.classifier = nn.Sequential(
            Dropout(config.hidden_dropout_prob),
            nn.ReLU(),
            nn.Linear(self.m3net.hidden_size, len(config.id2label or ())),
        )
        self.post_init()


__all__ = ["M3NetForEmotionRecognition", "M3NetModel", "M3NetPreTrainedModel"]
