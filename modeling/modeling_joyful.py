"""JOYFUL: joint modality fusion and graph contrastive learning for emotion recognition in conversation.

Li, Wang, Funakoshi, Okumura (EMNLP 2023). `JoyfulModel` is the method of section 3,
`JoyfulForEmotionRecognition` adds the classifier and the joint objective (Eq. 15).
"""

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from .augmentation import (
    add_proximate_edges,
    drop_and_add_edges,
    mask_dimensions,
    mask_elements,
    rewire_edges,
)
from .batch_contract import PackedBatch
from .configuration_joyful import JoyfulConfig
from .contrast import info_nce_loss, view_to_view_loss
from .fusion import (
    AutoencoderFusion,
    ContextualBasisFusion,
    JoinFusion,
    make_context_encoder,
)
from .graph_encoder import convolve_together, make_graph_encoder
from .members import compute_together, is_plain
from .mlp import Highway, make_mlp
from .modality_inputs import ModalityInputs
from .modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .reach import ALONE, Reach, in_sequence, side_by_side
from .speaker_encoder import SpeakerGRU
from .speaker_graph import SpeakerGraph
from .speech_encoder import SpeechEncoder
from .text_encoder import TextEncoder

_REPRESENTATIONS = ("features", "fused", "context", "graph", "edge_attention")


class JoyfulPreTrainedModel(SpeakerGraphPreTrainedModel):
    """The base of the JOYFUL models."""

    config: JoyfulConfig
    base_model_prefix = "joyful"


class JoyfulModel(JoyfulPreTrainedModel):
    """Fusion, context and graph: from utterance features to the representations that are classified.

    Args:
        config: sizes and choices.
        with_encoders: hold the encoders of the config's `text_config` and `audio_config`; a further member of a model
            reads what the first one's have made.
    """

    def __init__(self, config: JoyfulConfig, with_encoders: bool = True) -> None:
        super().__init__(config)
        self.text_encoder = TextEncoder.of(config) if with_encoders else None
        self.speech_encoder = SpeechEncoder.of(config) if with_encoders else None
        self.inputs = ModalityInputs.of(config)
        fusions = {"autoencoder": AutoencoderFusion, "contextual_basis": ContextualBasisFusion, "join": JoinFusion}
        self.fusion: AutoencoderFusion | ContextualBasisFusion | JoinFusion = fusions[config.fusion](config)
        self.context_encoder: nn.Module | None = None
        if config.fusion != "contextual_basis":  # whose contextual branch holds one
            self.context_encoder = make_context_encoder(config, self.fusion.hidden_size)
        size = self.fusion.hidden_size
        self.graph_projection: nn.Linear | None = None
        if config.graph_encoder == "relational" and config.graph_hidden_size:
            self.graph_projection = nn.Linear(size, config.graph_hidden_size)
            size = config.graph_hidden_size
        self.speaker_encoder: SpeakerGRU | None = None
        if config.speaker_encoder is not None:
            self.speaker_encoder = SpeakerGRU(size, config.hidden_dropout_prob, config.causal)
        self.context_size = size
        self.graph_encoder = make_graph_encoder(config, size) if config.graph_num_layers else None
        self.hidden_size = self.graph_encoder.hidden_size if self.graph_encoder is not None else size
        self.post_init()

    @property
    def reach(self) -> Reach:
        """As far as fusion, context encoder and graph look, one after the other."""
        return in_sequence(
            self.text_encoder,
            self.inputs,
            self.fusion,
            self.context_encoder,
            self.graph_projection,
            self.speaker_encoder,
            self.graph_encoder,
        )

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute fusion, context and graph.

        With a contrast, or with `contrast="view_to_view"` also without, the graph encoder sees two augmented views in
        training, which the contrastive loss compares; otherwise, and in evaluation mode, it sees the graph as it is.
        The losses are "fusion" and "contrastive".
        """
        # What a batch lacks is said before anything is computed.
        if self.graph_encoder is not None:
            self.edges(batch)
        elif self.speaker_encoder is not None:
            self.speaker_ids(batch)
        features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)
        fusion = self.fusion(features, present, batch.layout, batch.return_loss)
        context = fusion.fused
        if self.context_encoder is not None:
            context = self.context_encoder(context, batch.layout)
        if self.graph_projection is not None:
            context = self.graph_projection(context)
        if self.speaker_encoder is not None:
            context = context + self.speaker_encoder(context, batch.layout)
        losses = {} if fusion.loss is None else {"fusion": fusion.loss.mean()}
        graph, attention = context, None
        if self.graph_encoder is not None:
            clean = self.speaker_graph(batch, context)
            graph, attention, contrastive = self._encode_graph(clean, batch)
            if contrastive is not None:
                losses["contrastive"] = contrastive
        return EmotionRecognitionOutput(
            losses=losses or None,
            features=torch.cat(list(features.values()), dim=-1),
            fused=fusion.fused,
            context=context,
            graph=graph,
            edge_attention=attention if batch.output_edge_attention else None,
        )

    def goes_together(self, batch: PackedBatch) -> bool:
        """Whether networks of this form can be one computation on a batch.

        Not those with views, each of which has edges of its own, nor quantised ones, and not where hidden states are
        asked for, whose gradients would not be those of one network.
        """
        config = self.config
        if torch.compiler.is_compiling() or batch.layout.recurrent_states is not None or batch.output_hidden_states:
            return False
        with_views = config.contrast == "view_to_view" or (batch.return_loss and config.contrastive_loss_weight > 0)
        recurrent = config.fusion == "contextual_basis" and config.context_encoder == "gru"
        normalized = config.graph_encoder == "aggregate_combine" or config.graph_residual
        return recurrent and normalized and not (self.training and with_views) and is_plain(self)

    def _encode_graph(self, clean: SpeakerGraph, batch: PackedBatch) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Representations (N, hidden), attention over the clean edges (E, heads) or None, and L_ct or None."""
        encoder, config = self.graph_encoder, self.config
        assert encoder is not None
        summed = config.contrast == "view_to_view"  # H = H1 + H2
        if not self.training:
            graph, attention = encoder.attend(encoder.convolve(clean), clean)
            return (2 * graph if summed else graph), attention, None

        with_contrast = batch.return_loss and config.contrastive_loss_weight > 0
        views = [self._augment(clean, names) for names in config.views] if summed or with_contrast else []
        convolved = convolve_together(encoder, views if summed else [clean, *views])
        contrastive = self._contrast(convolved[0], torch.stack(convolved[1:]), batch) if with_contrast else None
        if summed:
            # No attention: its edges are those of a perturbed copy.
            parts = [encoder.attend(nodes, view)[0] for nodes, view in zip(convolved, views, strict=True)]
            return parts[0] + parts[1], None, contrastive
        graph, attention = encoder.attend(convolved[0], clean)
        return graph, attention, contrastive

    def _contrast(self, view1: Tensor, others: Tensor, batch: PackedBatch) -> Tensor:
        """L_ct between one view (N, D) and each of the others (views, N, D), added up."""
        config = self.config
        taking_part = None
        if batch.loss_shares is not None:
            # A process without a dialogue of its own computes one that has no share and is nobody's negative.
            taking_part = (batch.loss_shares["contrastive"] > 0).expand(view1.size(0))
        loss = view_to_view_loss if config.contrast == "view_to_view" else info_nce_loss
        return loss(
            view1,
            others,
            batch.layout,
            config.contrast_scope,
            config.contrastive_temperature,
            config.contrast_exclude_self,
            taking_part,
        )

    def _augment(self, graph: SpeakerGraph, names: Iterable[str]) -> SpeakerGraph:
        """One view: the augmentations of its list, in turn, each on a copy."""
        config = self.config
        for name in names:
            if name == "feature_mask":
                mask = mask_dimensions if config.feature_mask_unit == "dimension" else mask_elements
                graph = mask(graph, config.feature_mask_rate, config.feature_mask_rescale)
            elif name == "edge_perturb":
                perturb = drop_and_add_edges if config.edge_perturb_mode == "drop_and_add" else rewire_edges
                graph = perturb(graph, config.edge_perturb_rate)
            else:
                graph = add_proximate_edges(
                    graph,
                    config.global_proximity_rate,
                    config.global_proximity_threshold,
                    config.katz_attenuation,
                    config.katz_order,
                )
        return graph


class JoyfulClassifier(nn.Module):
    """The classifier of a `JoyfulModel`'s representations, with an optional second path for the plain features."""

    reach = ALONE

    def __init__(self, config: JoyfulConfig, model: JoyfulModel) -> None:
        super().__init__()
        size = model.hidden_size
        self.context_norm: nn.Module | None = None
        if config.classifier_residual:
            norm = nn.LayerNorm if config.classifier_residual_norm else nn.Identity
            self.context_norm = norm(model.context_size)
            size += model.context_size
        self.highway = Highway(size) if config.classifier_highway else nn.Identity()
        hidden_size = config.classifier_hidden_size or config.graph_hidden_size or 100
        num_labels = len(config.id2label or ())
        self.graph_path = make_mlp(size, hidden_size, num_labels, config.hidden_dropout_prob)
        self.plain_path: nn.Sequential | None = None
        if config.plain_path_size:
            self.plain_path = make_mlp(
                sum(config.modality_dims.values()), config.plain_path_size, num_labels, config.plain_path_dropout_prob
            )

    def forward(self, features: Tensor, context: Tensor, graph: Tensor) -> list[Tensor]:
        """Representations (N, size) of each stage -> the logits (N, num_labels) of each path."""
        if self.context_norm is not None:
            graph = torch.cat([graph, self.context_norm(context)], dim=-1)
        paths = [self.graph_path(self.highway(graph))]
        if self.plain_path is not None:
            paths.append(self.plain_path(features))
        return paths


class JoyfulMember(nn.Module):
    """A network beside the first one, with weights of its own except for the encoder of text."""

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        # The one config, not a copy: what is changed in it during training (a temperature, a loss weight) counts for
        # every member.
        self.joyful = JoyfulModel(config, with_encoders=False)
        self.classifier = JoyfulClassifier(config, self.joyful)


class JoyfulForEmotionRecognition(SpeakerGraphClassifierMixin, JoyfulPreTrainedModel):
    """JOYFUL with a classifier on each utterance, or a regressor for `problem_type="regression"`.

    With `num_members` networks, each learns for itself, and their logits are averaged. With a
    `consistency_loss_weight` a training step computes each of them twice, under different dropout.
    """

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__(config)
        self.joyful = JoyfulModel(config)
        self.classifier = JoyfulClassifier(config, self.joyful)
        self.further_members = nn.ModuleList(JoyfulMember(config) for _ in range(config.num_members - 1))
        self.post_init()

    def loss_weights(self) -> dict[str, float]:
        """Weight of each part of the loss: alpha of the fusion's, beta of the contrast's, and those beside them."""
        return super().loss_weights() | {
            "fusion": self.config.fusion_loss_weight,
            "contrastive": self.config.contrastive_loss_weight,
            "consistency": self.config.consistency_loss_weight,
            "paths": self.config.path_loss_weight,
        }

    def loss_counts(self, batch: Mapping[str, Tensor], across_processes: bool = False) -> dict[str, Tensor]:
        """Count what each part of the loss is a mean over; the paths' losses as "classification"."""
        counts = super().loss_counts(batch, across_processes)
        return counts | {"paths": counts["classification"]}

    @property
    def reach(self) -> Reach:
        """The reach of the networks, side by side; a classifier sees each utterance on its own."""
        return side_by_side(*(in_sequence(*member) for member in self._members()))

    def _members(self) -> list[tuple[JoyfulModel, nn.Module]]:
        """Each network and its classifier."""
        further = cast("Iterable[JoyfulMember]", self.further_members)
        return [(self.joyful, self.classifier), *((member.joyful, member.classifier) for member in further)]

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the logits and, with labels, the loss.

        Returns:
            `logits` (N, num_labels); with labels also `loss`, Eq. 15: alpha L_mf + beta L_ct + L_ce. With a plain
            path, the logits are the mean of its own and the graph's, and "paths" is the loss of each separately. With
            several members, logits and losses are the means of theirs; the representations are those of the first.
        """
        members = self._members()
        twice = self.training and batch.return_loss and self.config.consistency_loss_weight > 0
        if twice:
            members = members * 2
        if len(members) == 1:
            return self._compute(*members[0], batch)
        if self.joyful.goes_together(batch):
            networks = [nn.ModuleList(member) for member in members]
            each = compute_together(networks, lambda parts: self._compute(*parts, batch))
            first = {name: each[name][0] for name in _REPRESENTATIONS if name in each}
            logits, losses = cast("Tensor", each.logits), each.losses or {}
        else:
            outputs = [self._compute(*member, batch) for member in members]
            first = {name: getattr(outputs[0], name) for name in _REPRESENTATIONS}
            logits = torch.stack([cast("Tensor", output.logits) for output in outputs])
            parts = [output.losses or {} for output in outputs]
            losses = {name: torch.stack([own[name] for own in parts]) for name in parts[0]}
        means = {name: own.mean(0) for name, own in losses.items()}
        if twice:
            means["consistency"] = self._consistency_loss(*logits.chunk(2))
        return EmotionRecognitionOutput(losses=means or None, logits=logits.mean(0), **first)

    def _compute(self, model: JoyfulModel, classifier: nn.Module, batch: PackedBatch) -> EmotionRecognitionOutput:
        """The same of one network."""
        output = model.forward_batch(batch)
        paths = classifier(output.features, output.context, output.graph)
        output.logits = torch.stack(paths).mean(0) if len(paths) > 1 else paths[0]
        if batch.targets is not None:
            output.losses = (output.losses or {}) | self._classification_losses(output.logits, paths, batch.targets)
        return output

    def _consistency_loss(self, one: Tensor, other: Tensor) -> Tensor:
        """() how far two passes (members, N, num_labels) that dropout makes different are from each other (R-Drop)."""
        divergence = self.task.divergence
        return torch.stack([divergence(one, other), divergence(other, one)]).mean()

    def _classification_losses(self, logits: Tensor, paths: list[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """The loss "classification" of the logits (N, num_labels), and "paths", the sum of those of each path."""
        losses = {"classification": self.task_loss(logits, labels)}
        if len(paths) > 1 and self.config.path_loss_weight > 0:
            losses["paths"] = torch.stack([self.task_loss(path, labels) for path in paths]).sum()
        return losses


__all__ = ["JoyfulForEmotionRecognition", "JoyfulModel", "JoyfulPreTrainedModel"]
