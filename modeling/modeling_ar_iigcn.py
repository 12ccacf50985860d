"""AR-IIGCN: adversarial representation with intra-modal and inter-modal graph contrastive learning.

After Shou, Meng, Ai, Yin, Li (arXiv 2312.16778), of which the abstract alone is known to us. The abstract's: an MLP a
modality into separate feature spaces, a generator and a discriminator a modality, a graph of the three modalities,
contrast of different emotions in the same modality and of the same emotion in different modalities. Ours: everything
else, that is the layers, the losses' formulas, the sizes and the weights.
"""

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from .adversarial import AdversarialGame, Generator
from .batch_contract import check_labels
from .configuration_ar_iigcn import ARIIGCNConfig
from .graph_encoder import RelationalEncoder
from .losses import task_loss
from .mlp import make_mlp
from .modality_inputs import ModalityInputs, silence_absent
from .modeling_graph import SpeakerGraphPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .prediction import REGRESSION, EmotionRecognitionMixin
from .speaker_graph import SpeakerGraph
from .supervised_contrast import inter_modal_loss, intra_modal_loss
from .text_encoder import TextEncoder


class ARIIGCNPreTrainedModel(SpeakerGraphPreTrainedModel):
    """What all AR-IIGCN models share."""

    config: ARIIGCNConfig
    base_model_prefix = "ar_iigcn"

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        """That of an encoder of text, and the discriminators' where the config gives them one of their own."""
        base, rate = cast("ARIIGCNModel", self.base_model), self.config.discriminator_learning_rate
        own = [] if base.game is None or rate is None else [(base.game, rate)]
        return super().learning_rates() + own


class ARIIGCNModel(ARIIGCNPreTrainedModel):
    """Spaces, generators and graphs: from utterance features to the representations that are classified."""

    def __init__(self, config: ARIIGCNConfig) -> None:
        super().__init__(config)
        dims, size = config.modality_dims, config.projection_size
        self.text_encoder = TextEncoder.of(config)
        self.inputs = ModalityInputs(
            dims, config.input_dropout_prob, config.modality_dropout_prob, config.absent_modality
        )
        self.projections = nn.ModuleDict(
            {name: make_mlp(dim, size, size, config.hidden_dropout_prob) for name, dim in dims.items()}
        )
        self.generators = nn.ModuleDict(
            {
                name: Generator(size, config.generator == "gru", config.hidden_dropout_prob, config.causal)
                for name in dims
            }
        )
        self.game = AdversarialGame(list(dims), size, config.discriminator_hidden_size) if len(dims) > 1 else None
        self.graph_encoders: nn.ModuleDict | None = None
        self.hidden_size = size * len(dims)
        if config.graph_num_layers:
            encoders = {name: RelationalEncoder(config, size) for name in dims}
            self.hidden_size = sum(encoder.hidden_size for encoder in encoders.values())
            self.graph_encoders = nn.ModuleDict(encoders)
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
        """A packed graph batch as `JoyfulProcessor` makes it; N utterances, E edges, B dialogues.

        Args:
            dialogue_lengths: (B,).
            text_features, audio_features, visual_features: (N, dim) of each modality of the model.
            modality_mask: (N, 3) bool, text, audio and visual present; all by default.
            speaker_ids: (N,); edge_index: (2, E); edge_type: (E,). Needed unless the graph is off.
            labels: (N,) int64 with -100 where unknown, or (N, num_labels) float32 with NaN where unknown; only the
                contrasts need them.
            output_edge_attention: return the graph attentions' weights, those of all modalities side by side.
            return_loss: compute "generator" and "discriminator" in `losses`, and, in training with labels,
                "intra_modal" and "inter_modal", which compare the utterances of all dialogues of the batch.
            recurrent_states: for a causal model that gets a dialogue piece by piece (one dialogue a batch): the
                state of each recurrent layer before the first utterance, none at the dialogue's beginning. Each
                is replaced by the layer's states after every utterance, (N, size).
            text_input_ids, text_attention_mask: (N, T) of a model with an encoder of text, in place of text_features:
                tokens and their mask, 1 = real, padded at the end; a row without any is an utterance without text.

        Returns:
            `fused` (N, modalities * projection_size): the separate spaces; `context`, of the same size: what the
            generators make of them; `graph`: what the modalities' graphs return. In `metrics`
            "discriminator_accuracy"; 0.5 is chance.

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
        features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)
        spaces = {
            name: silence_absent(project(features[name]), present[name], self.config.absent_modality)
            for name, project in self.projections.items()
        }
        generated = {name: generator(spaces[name], batch.layout) for name, generator in self.generators.items()}

        losses, metrics = {}, {}
        if self.game is not None and return_loss:
            game = self.game(generated, present)
            losses = {"generator": game.generator_loss, "discriminator": game.discriminator_loss}
            metrics = {"discriminator_accuracy": game.accuracy}
        nodes, attention = generated, None
        if self.graph_encoders is not None:
            if speaker_ids is None or edge_index is None or edge_type is None:
                raise self.batch_error("the model has a graph: the batch needs speaker_ids, edge_index and edge_type")
            graph = SpeakerGraph(
                nodes=generated[next(iter(generated))],
                edge_index=edge_index,
                edge_type=edge_type,
                speaker_ids=speaker_ids,
                layout=batch.layout,
                relation_scheme=self.config.relation_scheme,
                max_speakers=self.config.max_speakers,
                causal=self.config.causal,
            )
            nodes, attention = self._encode_graphs(generated, graph)
        if self.training and return_loss and labels is not None:
            check_labels(self.config, labels, batch.layout.num_utterances, self.batch_error)
            losses |= self._contrast(nodes, present, labels)
        return EmotionRecognitionOutput(
            losses=losses or None,
            metrics=metrics or None,
            features=torch.cat(list(features.values()), dim=-1),
            fused=torch.cat(list(spaces.values()), dim=-1),
            context=torch.cat(list(generated.values()), dim=-1),
            graph=torch.cat(list(nodes.values()), dim=-1),
            edge_attention=attention if output_edge_attention else None,
        )

    def _encode_graphs(
        self, generated: dict[str, Tensor], graph: SpeakerGraph
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Z_m of each modality (N, hidden), and the attention (E, modalities * heads) if there is any."""
        assert self.graph_encoders is not None
        encoded, attentions = {}, []
        for name, encoder in self.graph_encoders.items():
            encoded[name], attention = encoder(replace(graph, nodes=generated[name]))
            if attention is not None:
                attentions.append(attention)
        return encoded, torch.cat(attentions, dim=-1) if attentions else None

    def _contrast(self, nodes: dict[str, Tensor], present: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        config, losses = self.config, {}
        if config.problem_type == REGRESSION:
            return losses
        if config.intra_modal_loss_weight > 0:
            losses["intra_modal"] = intra_modal_loss(nodes, present, labels, config.contrastive_temperature)
        if config.inter_modal_loss_weight > 0 and len(nodes) > 1:
            losses["inter_modal"] = inter_modal_loss(nodes, present, labels, config.contrastive_temperature)
        return losses


class ARIIGCNForEmotionRecognition(EmotionRecognitionMixin, ARIIGCNPreTrainedModel):
    """AR-IIGCN with a classifier on each utterance, or a regressor for `problem_type="regression"`."""

    def __init__(self, config: ARIIGCNConfig) -> None:
        super().__init__(config)
        self.ar_iigcn = ARIIGCNModel(config)
        self.classifier = make_mlp(
            self.ar_iigcn.hidden_size,
            config.classifier_hidden_size,
            len(config.id2label or ()),
            config.hidden_dropout_prob,
        )
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
        """As `ARIIGCNModel.forward`, with logits.

        Args:
            labels: (N,) int64 with -100 where unknown; (N, num_labels) float32 for several emotions at once and
                (N,) float32 for regression, with NaN where unknown.

        Returns:
            `logits` (N, num_labels); with labels also `loss`: the classification's, the discriminators', and the
            others times their weights. The discriminators share no parameter with the rest: their own learning
            rate takes the place of a weight.
        """
        output = self.ar_iigcn(
            dialogue_lengths=dialogue_lengths,
            text_features=text_features,
            audio_features=audio_features,
            visual_features=visual_features,
            modality_mask=modality_mask,
            speaker_ids=speaker_ids,
            edge_index=edge_index,
            edge_type=edge_type,
            labels=labels,
            output_edge_attention=output_edge_attention,
            return_loss=return_loss,
            recurrent_states=recurrent_states,
            text_input_ids=text_input_ids,
            text_attention_mask=text_attention_mask,
        )
        output.logits = self.classifier(output.graph)
        if labels is not None and return_loss:
            check_labels(self.config, labels, output.logits.size(0), self.batch_error)
            config = self.config
            classification = task_loss(
                output.logits, labels, self.problem_type, config.class_weights, config.label_smoothing
            )
            output.losses = {"classification": classification} | (output.losses or {})
            output.loss = self._weighted_sum(output.losses)
        return output

    def _weighted_sum(self, losses: dict[str, Tensor]) -> Tensor:
        weights = {
            "classification": 1.0,
            "generator": self.config.adversarial_loss_weight,
            "discriminator": 1.0,
            "intra_modal": self.config.intra_modal_loss_weight,
            "inter_modal": self.config.inter_modal_loss_weight,
        }
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


__all__ = ["ARIIGCNForEmotionRecognition", "ARIIGCNModel", "ARIIGCNPreTrainedModel"]
