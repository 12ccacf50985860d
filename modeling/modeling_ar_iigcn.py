"""AR-IIGCN: adversarial representation with intra-modal and inter-modal graph contrastive learning.

After Shou, Meng, Ai, Yin, Li (arXiv 2312.16778), of which we know only the abstract. It names an MLP per modality into
separate feature spaces, a generator and a discriminator per modality, a graph of the three modalities, and contrast of
different emotions in the same modality and of the same emotion in different modalities. Everything else is ours: the
layers, the losses' formulas, the sizes and the weights.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from .adversarial import AdversarialGame, Generator, judged_right
from .batch_contract import MODALITIES, PackedBatch
from .configuration_ar_iigcn import ARIIGCNConfig
from .emotion_pairs import EmotionPairs
from .graph_encoder import RelationalEncoder
from .mlp import make_mlp
from .modality_inputs import ModalityInputs, silence_absent
from .modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .processes import Processes
from .reach import Reach, in_sequence, side_by_side
from .speech_encoder import SpeechEncoder
from .supervised_contrast import emotion_contrast, inter_modal_pairs, intra_modal_pairs
from .tasks import task_of
from .text_encoder import TextEncoder


class ARIIGCNPreTrainedModel(SpeakerGraphPreTrainedModel):
    """The base of the AR-IIGCN models."""

    config: ARIIGCNConfig
    base_model_prefix = "ar_iigcn"

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        """The encoder of text, and the discriminators where the config gives them a learning rate of their own."""
        base, rate = cast("ARIIGCNModel", self.base_model), self.config.discriminator_learning_rate
        own = [] if base.game is None or rate is None else [(base.game, rate)]
        return super().learning_rates() + own


class ARIIGCNModel(ARIIGCNPreTrainedModel):
    """Spaces, generators and graphs: from utterance features to the representations that are classified."""

    def __init__(self, config: ARIIGCNConfig) -> None:
        super().__init__(config)
        dims, size = config.modality_dims, config.projection_size
        self.text_encoder = TextEncoder.of(config)
        self.speech_encoder = SpeechEncoder.of(config)
        self.inputs = ModalityInputs.of(config)
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

    @property
    def reach(self) -> Reach:
        """As far as the generators' context encoders and the graphs look, one after the other."""
        graphs = side_by_side(*(self.graph_encoders or {}).values())
        return in_sequence(self.text_encoder, self.inputs, side_by_side(*self.generators.values()), graphs)

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the modalities' spaces, what the generators make of them, and their graphs.

        The contrasts compare the utterances of all dialogues of a batch, in training with labels.

        Returns:
            `fused` (N, modalities * projection_size): the separate spaces; `context`, of the same size: what the
            generators make of them; `graph`: the modalities' graphs; `edge_attention`: that of all modalities, side by
            side. `losses` holds "generator" and "discriminator", and in training with labels "intra_modal" and
            "inter_modal"; `metrics` holds "discriminator_accuracy", of which 0.5 is chance.
        """
        features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)
        spaces = {
            name: silence_absent(project(features[name]), present[name], self.config.absent_modality)
            for name, project in self.projections.items()
        }
        generated = {name: generator(spaces[name], batch.layout) for name, generator in self.generators.items()}

        losses, metrics, means = {}, {}, {}
        if self.game is not None and batch.return_loss:
            game = self.game(generated, present)
            losses = {"generator": game.generator_loss, "discriminator": game.discriminator_loss}
            count = torch.stack([here.sum() for here in present.values()])
            metrics = {"discriminator_accuracy": judged_right(game.accuracy, count)}
            means = {"discriminator_accuracy": game.accuracy}
        nodes, attention = generated, None
        if self.graph_encoders is not None:
            nodes, attention = self._encode_graphs(generated, batch)
        if self.training and batch.labels is not None:
            labels = task_of(self.config).contrast_labels(batch.labels)
            losses |= self._contrast(nodes, present, labels, batch.loss_shares is not None)
        return EmotionRecognitionOutput(
            losses=losses or None,
            metrics=metrics or None,
            means=means or None,
            features=torch.cat(list(features.values()), dim=-1),
            fused=torch.cat(list(spaces.values()), dim=-1),
            context=torch.cat(list(generated.values()), dim=-1),
            graph=torch.cat(list(nodes.values()), dim=-1),
            edge_attention=attention if batch.output_edge_attention else None,
        )

    def _encode_graphs(
        self, generated: dict[str, Tensor], batch: PackedBatch
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Z_m of each modality (N, hidden), and the attention (E, modalities * heads) if there is any."""
        assert self.graph_encoders is not None
        encoded, attentions = {}, []
        for name, encoder in self.graph_encoders.items():
            encoded[name], attention = encoder(self.speaker_graph(batch, generated[name]))
            if attention is not None:
                attentions.append(attention)
        return encoded, torch.cat(attentions, dim=-1) if attentions else None

    def contrasted_pairs(self) -> dict[str, list[tuple[str, str]]]:
        """Each contrast of emotions that is part of the loss -> the pairs of modalities that it compares."""
        config, modalities = self.config, self.config.modality_dims
        if not task_of(config).has_classes:
            return {}
        pairs = {}
        if config.intra_modal_loss_weight > 0:
            pairs["intra_modal"] = intra_modal_pairs(modalities)
        if config.inter_modal_loss_weight > 0 and len(modalities) > 1:
            pairs["inter_modal"] = inter_modal_pairs(modalities)
        return pairs

    def _contrast(
        self, nodes: dict[str, Tensor], present: dict[str, Tensor], labels: Tensor, across_processes: bool = False
    ) -> dict[str, Tensor]:
        contrasts = self.contrasted_pairs()
        if not contrasts:
            return {}
        processes = Processes(labels.size(0), across_processes)
        emotions = EmotionPairs.of({name: here.squeeze(-1) for name, here in present.items()}, labels, processes)
        candidates = {name: processes.gather(rows) for name, rows in nodes.items()}
        temperature = self.config.contrastive_temperature
        return {
            part: emotion_contrast(nodes, candidates, emotions, pairs, temperature)
            for part, pairs in contrasts.items()
        }


class ARIIGCNForEmotionRecognition(SpeakerGraphClassifierMixin, ARIIGCNPreTrainedModel):
    """AR-IIGCN with a classifier on each utterance, or a regressor for `problem_type="regression"`.

    The loss is the sum of the classification's, the discriminators' and the others times their weights. The
    discriminators share no parameter with the rest: their own learning rate takes the place of a weight.
    """

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

    def loss_weights(self) -> dict[str, float]:
        """Weight of each part of the loss."""
        return super().loss_weights() | {
            "generator": self.config.adversarial_loss_weight,
            "discriminator": 1.0,
            "intra_modal": self.config.intra_modal_loss_weight,
            "inter_modal": self.config.inter_modal_loss_weight,
        }

    def loss_counts(self, batch: Mapping[str, Tensor], across_processes: bool = False) -> dict[str, Tensor]:
        """Count what each part of the loss is a mean over: the game's parts have a count for each modality, the
        contrasts one for each pair of modalities that they compare.

        Modalities that training hides (`modality_dropout_prob`) are counted: who hides is drawn in `forward`.
        """
        counts = super().loss_counts(batch, across_processes)
        present = self._present(batch)
        in_game = torch.stack([here.sum() for here in present.values()]).float()
        counts |= dict.fromkeys(("generator", "discriminator", "discriminator_accuracy"), in_game)
        contrasts, labels = self.ar_iigcn.contrasted_pairs(), batch.get("labels")
        if self.training and contrasts and labels is not None:
            emotions = EmotionPairs.of(
                present, self.task.contrast_labels(labels), Processes(labels.size(0), across_processes)
            )
            for part, pairs in contrasts.items():
                counts[part] = torch.stack([emotions.with_positive(*pair) for pair in pairs]).float()
        return counts

    def _present(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Modality -> (N,) bool."""
        mask = batch.get("modality_mask")
        if mask is None:
            rows = next(batch[f"{name}_features"] for name in self.config.modality_dims if f"{name}_features" in batch)
            mask = torch.ones(rows.size(0), len(MODALITIES), dtype=torch.bool, device=rows.device)
        columns = {name: MODALITIES.index(name) for name in self.config.modality_dims}
        return {name: mask[:, column] for name, column in columns.items()}


__all__ = ["ARIIGCNForEmotionRecognition", "ARIIGCNModel", "ARIIGCNPreTrainedModel"]
