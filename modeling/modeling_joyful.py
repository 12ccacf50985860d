"""JOYFUL: joint modality fusion and graph contrastive learning for emotion recognition in conversation.

Li, Wang, Funakoshi, Okumura (EMNLP 2023). `JoyfulModel` is the method of section 3,
`JoyfulForEmotionRecognition` adds the classifier and the joint objective (Eq. 15).
"""

import copy
from collections.abc import Iterable
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
from .batch_contract import PackedBatch, check_labels
from .configuration_joyful import JoyfulConfig
from .contrast import info_nce_loss, view_to_view_loss
from .fusion import AutoencoderFusion, ContextualBasisFusion, make_context_encoder
from .graph_encoder import make_graph_encoder
from .losses import task_loss
from .mlp import make_mlp
from .modality_inputs import ModalityInputs
from .modeling_graph import SpeakerGraphPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .packing import DialogueLayout
from .prediction import EmotionRecognitionMixin
from .speaker_graph import SpeakerGraph
from .text_encoder import TextEncoder


class JoyfulPreTrainedModel(SpeakerGraphPreTrainedModel):
    """What all JOYFUL models share."""

    config: JoyfulConfig
    base_model_prefix = "joyful"


class JoyfulModel(JoyfulPreTrainedModel):
    """Fusion, context and graph: from utterance features to the representations that are classified."""

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__(config)
        self.text_encoder = TextEncoder.of(config)
        self.inputs = ModalityInputs(
            config.modality_dims, config.input_dropout_prob, config.modality_dropout_prob, config.absent_modality
        )
        self.fusion: AutoencoderFusion | ContextualBasisFusion
        self.context_encoder: nn.Module | None = None
        if config.fusion == "autoencoder":
            self.fusion = AutoencoderFusion(config)
            self.context_encoder = make_context_encoder(config, self.fusion.hidden_size)
        else:
            self.fusion = ContextualBasisFusion(config)
        size = self.fusion.hidden_size
        self.graph_projection: nn.Linear | None = None
        if config.graph_encoder == "relational" and config.graph_hidden_size:
            self.graph_projection = nn.Linear(size, config.graph_hidden_size)
            size = config.graph_hidden_size
        self.context_size = size
        self.graph_encoder = make_graph_encoder(config, size) if config.graph_num_layers else None
        self.hidden_size = self.graph_encoder.hidden_size if self.graph_encoder is not None else size
        self.post_init()

    def forward(
        self,
        dialogue_lengths: Tensor,
        text_features: Tensor | None = None,
        audio_features: Tensor | None = None,
        visual_features: Tensor | None = None,
        modality_mask: Tensor | None = None,
        speaker_ids: Tensor | None = None,
        edge_index: Tensor | None = None,
        edge_type: Tensor | None = None,
        output_edge_attention: bool = False,
        return_loss: bool = True,
        recurrent_states: dict[nn.Module, Tensor] | None = None,
        text_input_ids: Tensor | None = None,
        text_attention_mask: Tensor | None = None,
    ) -> EmotionRecognitionOutput:
        """A packed graph batch as `JoyfulProcessor` makes it; N utterances, E edges, B dialogues.

        In training mode the graph encoder sees two augmented views, and the contrastive loss compares them; in
        evaluation mode it sees the graph as it is.

        Args:
            dialogue_lengths: (B,).
            text_features, audio_features, visual_features: (N, dim) of each modality of the model.
            modality_mask: (N, 3) bool, text, audio and visual present; all by default.
            speaker_ids: (N,); edge_index: (2, E); edge_type: (E,). Needed unless the graph is off.
            output_edge_attention: return the graph attention's weights.
            return_loss: compute the self-supervised losses, in `losses` as "fusion" and "contrastive".
            recurrent_states: for a causal model that gets a dialogue piece by piece (one dialogue a batch): the
                state of each recurrent layer before the first utterance, none at the dialogue's beginning. Each
                is replaced by the layer's states after every utterance, (N, size).
            text_input_ids, text_attention_mask: (N, T) of a model with an encoder of text, in place of text_features:
                tokens and their mask, 1 = real, padded at the end; a row without any is an utterance without text.

        Raises:
            ValueError: the batch does not fit the model.
        """
        batch = self.read_batch(
            dialogue_lengths,
            text_features,
            audio_features,
            visual_features,
            modality_mask,
            speaker_ids,
            edge_index,
            edge_type,
            recurrent_states,
            text_input_ids,
            text_attention_mask,
        )
        return self.encode(batch, output_edge_attention, return_loss)

    def encode(
        self, batch: PackedBatch, output_edge_attention: bool = False, return_loss: bool = True
    ) -> EmotionRecognitionOutput:
        """`forward` of a batch that has been read."""
        features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)

        layout = batch.layout
        fusion = self.fusion(features, present, layout, return_loss)
        context = fusion.fused
        if self.context_encoder is not None:
            context = self.context_encoder(context, layout)
        if self.graph_projection is not None:
            context = self.graph_projection(context)

        losses = {} if fusion.loss is None else {"fusion": fusion.loss.mean()}
        graph, attention = context, None
        if self.graph_encoder is not None:
            if batch.speaker_ids is None or batch.edge_index is None or batch.edge_type is None:
                raise self.batch_error("the model has a graph: the batch needs speaker_ids, edge_index and edge_type")
            clean = SpeakerGraph(
                nodes=context,
                edge_index=batch.edge_index,
                edge_type=batch.edge_type,
                speaker_ids=batch.speaker_ids,
                layout=layout,
                relation_scheme=self.config.relation_scheme,
                max_speakers=self.config.max_speakers,
                causal=self.config.causal,
            )
            graph, attention, contrastive = self._encode_graph(clean, return_loss)
            if contrastive is not None:
                losses["contrastive"] = contrastive
        return EmotionRecognitionOutput(
            losses=losses or None,
            features=torch.cat(list(features.values()), dim=-1),
            fused=fusion.fused,
            context=context,
            graph=graph,
            edge_attention=attention if output_edge_attention else None,
        )

    def _encode_graph(self, clean: SpeakerGraph, return_loss: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Representations (N, hidden), attention over the clean edges (E, heads) or None, and L_ct or None."""
        encoder, config = self.graph_encoder, self.config
        assert encoder is not None
        summed = config.contrast == "view_to_view"  # H = H1 + H2
        if not self.training:
            graph, attention = encoder.attend(encoder.convolve(clean), clean)
            return (2 * graph if summed else graph), attention, None

        with_contrast = return_loss and config.contrastive_loss_weight > 0
        views = [self._augment(clean, names) for names in config.views] if summed or with_contrast else []
        convolved = [encoder.convolve(view) for view in views]
        contrastive = None
        if summed:
            if with_contrast:
                contrastive = self._contrast(*convolved, clean.layout)
            # No attention: its edges are those of a perturbed copy.
            parts = [encoder.attend(nodes, view)[0] for nodes, view in zip(convolved, views, strict=True)]
            return parts[0] + parts[1], None, contrastive
        anchor = encoder.convolve(clean)
        if with_contrast:
            losses = [self._contrast(anchor, nodes, clean.layout) for nodes in convolved]
            contrastive = torch.stack(losses).sum()
        graph, attention = encoder.attend(anchor, clean)
        return graph, attention, contrastive

    def _contrast(self, view1: Tensor, view2: Tensor, layout: DialogueLayout) -> Tensor:
        config = self.config
        loss = view_to_view_loss if config.contrast == "view_to_view" else info_nce_loss
        return loss(
            view1,
            view2,
            layout,
            config.contrast_scope,
            config.contrastive_temperature,
            config.contrast_exclude_self,
        )

    def _augment(self, graph: SpeakerGraph, names: Iterable[str]) -> SpeakerGraph:
        """One view: the augmentations of its list, in turn, each on a copy."""
        config = self.config
        for name in names:
            if name == "feature_mask":
                mask = mask_dimensions if config.feature_mask_unit == "dimension" else mask_elements
                graph = mask(graph, config.feature_mask_rate)
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
    """What classifies the representations of a `JoyfulModel`, and, on a path of its own, the plain features."""

    def __init__(self, config: JoyfulConfig, model: JoyfulModel) -> None:
        super().__init__()
        size = model.hidden_size
        self.context_norm: nn.LayerNorm | None = None
        if config.classifier_residual:
            self.context_norm = nn.LayerNorm(model.context_size)
            size += model.context_size
        hidden_size = config.classifier_hidden_size or config.graph_hidden_size or 100
        num_labels = len(config.id2label or ())
        self.graph_path = make_mlp(size, hidden_size, num_labels, config.hidden_dropout_prob)
        self.plain_path: nn.Sequential | None = None
        if config.plain_path_size:
            self.plain_path = make_mlp(
                sum(config.modality_dims.values()), config.plain_path_size, num_labels, config.plain_path_dropout_prob
            )

    def forward(self, features: Tensor, context: Tensor, graph: Tensor) -> Tensor:
        """Representations (N, size) of each stage -> (paths, N, num_labels) logits of each path."""
        if self.context_norm is not None:
            graph = torch.cat([graph, self.context_norm(context)], dim=-1)
        paths = [self.graph_path(graph)]
        if self.plain_path is not None:
            paths.append(self.plain_path(features))
        return torch.stack(paths)


class JoyfulMember(nn.Module):
    """One more network beside the first one, which it shares nothing with but the encoder of text."""

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        own = copy.deepcopy(config)
        own.text_config = None  # text_dim stays: it reads what the encoder has made of the text
        self.joyful = JoyfulModel(own)
        self.classifier = JoyfulClassifier(own, self.joyful)


class JoyfulForEmotionRecognition(EmotionRecognitionMixin, JoyfulPreTrainedModel):
    """JOYFUL with a classifier on each utterance, or a regressor for `problem_type="regression"`.

    With `num_members` networks, each learns for itself, and their logits are averaged.
    """

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__(config)
        self.joyful = JoyfulModel(config)
        self.classifier = JoyfulClassifier(config, self.joyful)
        self.further_members = nn.ModuleList(JoyfulMember(config) for _ in range(config.num_members - 1))
        self.post_init()

    def forward(
        self,
        dialogue_lengths: Tensor,
        text_features: Tensor | None = None,
        audio_features: Tensor | None = None,
        visual_features: Tensor | None = None,
        modality_mask: Tensor | None = None,
        speaker_ids: Tensor | None = None,
        edge_index: Tensor | None = None,
        edge_type: Tensor | None = None,
        labels: Tensor | None = None,
        output_edge_attention: bool = False,
        return_loss: bool = True,
        recurrent_states: dict[nn.Module, Tensor] | None = None,
        text_input_ids: Tensor | None = None,
        text_attention_mask: Tensor | None = None,
    ) -> EmotionRecognitionOutput:
        """As `JoyfulModel.forward`, with labels and logits.

        Args:
            labels: (N,) int64 with -100 where unknown; (N, num_labels) float32 for several emotions at once and
                (N,) float32 for regression, with NaN where unknown.

        Returns:
            `logits` (N, num_labels); with labels also `loss`, Eq. 15: alpha L_mf + beta L_ct + L_ce. With a plain
            path, the mean of its logits and the graph's, and "paths", the loss of each on its own. With several
            members, the mean of their logits and of their losses; the representations are those of the first.
        """
        batch = self.read_batch(
            dialogue_lengths,
            text_features,
            audio_features,
            visual_features,
            modality_mask,
            speaker_ids,
            edge_index,
            edge_type,
            recurrent_states,
            text_input_ids,
            text_attention_mask,
        )
        if labels is not None and return_loss:
            check_labels(self.config, labels, batch.layout.num_utterances, self.batch_error)
        members = [(self.joyful, self.classifier)]
        for member in cast("Iterable[JoyfulMember]", self.further_members):
            members.append((member.joyful, member.classifier))
        outputs, logits, losses = [], [], []
        for model, classifier in members:
            output = model.encode(batch, output_edge_attention, return_loss)
            paths = classifier(output.features, output.context, output.graph)
            outputs.append(output)
            logits.append(paths.mean(0))
            losses.append(dict(output.losses or {}))
            if labels is not None and return_loss:
                losses[-1] |= self._classification_losses(paths, labels)
        means = {name: torch.stack([own[name] for own in losses]).mean(0) for name in losses[0]}
        first = outputs[0]
        return EmotionRecognitionOutput(
            loss=self._weighted_sum(means) if "classification" in means else None,
            losses=means or None,
            logits=torch.stack(logits).mean(0),
            features=first.features,
            fused=first.fused,
            context=first.context,
            graph=first.graph,
            edge_attention=first.edge_attention,
        )

    def _classification_losses(self, paths: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """ "classification" of the paths' mean (paths, N, num_labels), and "paths", the sum of each path's own."""
        losses = {"classification": self._task_loss(paths.mean(0), labels)}
        if len(paths) > 1 and self.config.path_loss_weight > 0:
            losses["paths"] = torch.stack([self._task_loss(path, labels) for path in paths]).sum()
        return losses

    def _task_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        config = self.config
        return task_loss(logits, labels, self.problem_type, config.class_weights, config.label_smoothing)

    def _weighted_sum(self, losses: dict[str, Tensor]) -> Tensor:
        weights = {
            "fusion": self.config.fusion_loss_weight,
            "contrastive": self.config.contrastive_loss_weight,
            "classification": 1.0,
            "paths": self.config.path_loss_weight,
        }
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


__all__ = ["JoyfulForEmotionRecognition", "JoyfulModel", "JoyfulPreTrainedModel"]
