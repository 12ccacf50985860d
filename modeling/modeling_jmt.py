"""JMT: streams of the modalities and a joint one attend to each other, and a transformer reads what each pair gave.

After Waligora et al. (CVPRW 2024, arXiv 2403.10488) and what their code computes; for three modalities, the
generalisation is ours. A step of a video there is an utterance of a dialogue here.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import WholeDialogueAttention
from .batch_contract import MODALITIES, PackedBatch
from .concordance import concordance
from .configuration_jmt import JMTConfig
from .context_encoder import TransformerLayer
from .mlp import make_mlp
from .modality_inputs import ModalityInputs, readable
from .modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from .multi_head_attention import MultiHeadAttention, TokenAttention
from .outputs import EmotionRecognitionOutput
from .processes import Processes
from .reach import ALONE, WHOLE_DIALOGUE, Reach, in_sequence
from .speech_encoder import SpeechEncoder
from .text_encoder import TextEncoder

JOINT = "joint"


class TokenTransformer(nn.Module):
    """Transformer layers over the tokens of an utterance, and one attention without a skip behind them."""

    reach = ALONE

    def __init__(self, config: JMTConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_layer(config) for _ in range(config.num_hidden_layers))
        self.attention = MultiHeadAttention(
            config.projection_size, config.num_attention_heads, config.hidden_dropout_prob
        )

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """(N, tokens, d), and (N, tokens) bool of those that others may see -> (N, tokens, d)."""
        attention = TokenAttention(present)
        for layer in self.layers:
            tokens = layer(tokens, attention)
        return self.attention(tokens, tokens, tokens, attention)


class JMTPreTrainedModel(SpeakerGraphPreTrainedModel):
    """The base of the JMT models."""

    config: JMTConfig
    base_model_prefix = "jmt"


class JMTModel(JMTPreTrainedModel):
    """Streams, encoders, cross attentions and their fusion: from utterance features to what is classified."""

    def __init__(self, config: JMTConfig) -> None:
        super().__init__(config)
        size = config.projection_size
        self.text_encoder = TextEncoder.of(config)
        self.speech_encoder = SpeechEncoder.of(config)
        self.inputs = ModalityInputs.of(config)
        # The released order; the stream that asks in the last token comes last: text, where there is some.
        names = [name for name in reversed(MODALITIES) if name in config.modality_dims]
        dims = {name: config.modality_dims[name] for name in names}
        self.projections = nn.ModuleDict({name: nn.Linear(dim, size) for name, dim in dims.items() if dim != size})
        has_joint = config.fusion != "vanilla"
        self.joint = nn.Linear(len(names) * size, size) if has_joint else None
        # Who asks, and who is asked.
        self.pairs = [pair for first, second in combinations(names, 2) for pair in ((first, second), (second, first))]
        streams = list(names)
        if has_joint:
            self.pairs += [pair for name in names for pair in ((JOINT, name), (name, JOINT))]
            streams.append(JOINT)
        if config.fusion == "concatenation":
            streams, self.pairs = [], []
        self.names = names
        self.encoders = nn.ModuleDict(
            {name: nn.ModuleList(_layer(config) for _ in range(config.num_hidden_layers)) for name in streams}
        )
        asking = list(dict.fromkeys(first for first, _ in self.pairs))
        self.cross_attention = nn.ModuleDict(
            {name: MultiHeadAttention(size, config.num_attention_heads, config.hidden_dropout_prob) for name in asking}
        )
        self.token_transformer = TokenTransformer(config) if config.fusion == "self_attention" else None
        num_tokens = len(self.pairs) or 1  # a modality alone is not asked by another one
        reads_tokens = config.fusion in ("linear", "vanilla")
        self.output = nn.Linear(num_tokens * size, config.hidden_size) if reads_tokens else None
        self.hidden_size = config.hidden_size
        self.post_init()

    @property
    def reach(self) -> Reach:
        """The whole dialogue, unless nothing attends to anything."""
        return in_sequence(self.text_encoder, self.inputs, WHOLE_DIALOGUE if self.encoders else ALONE)

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the streams and their fusion.

        Returns:
            `fused` (N, d): J, the joint stream, where there is one; `context`: the encoded streams side by side;
            `graph`: what is classified.
        """
        features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)
        seen, layout = readable(present, self.config.absent_modality), batch.layout
        streams = {name: self.stream(name, features[name], present[name], seen[name]) for name in self.names}
        joint = None
        if self.joint is not None:
            joint = streams[JOINT] = self.joint(torch.cat(list(streams.values()), dim=-1))
            seen = seen | {JOINT: torch.stack(list(seen.values())).any(0)}
        if not self.encoders:
            return EmotionRecognitionOutput(
                features=torch.cat(list(features.values()), dim=-1), fused=joint, graph=joint
            )
        attentions = {name: WholeDialogueAttention(layout, keys=here) for name, here in seen.items()}
        encoded = {
            name: self.encode(name, layout.arrange(stream), attentions[name]) for name, stream in streams.items()
        }
        tokens = self.cross(encoded, attentions)
        # A token takes part where the stream that asks and the one that is asked are there.
        takes_part = [seen[first] & seen[second] for first, second in self.pairs] or list(seen.values())
        fused = self.fuse(tokens, layout.arrange(torch.cat(takes_part, dim=-1)))
        return EmotionRecognitionOutput(
            features=torch.cat(list(features.values()), dim=-1),
            fused=joint,
            context=layout.restore(torch.cat(list(encoded.values()), dim=-1)),
            graph=layout.restore(fused),
        )

    def stream(self, name: str, features: Tensor, present: Tensor, seen: Tensor) -> Tensor:
        """(N, dim) features -> (N, d): unit vectors, projected; zeros where there is nothing."""
        # A learnt vector begins at zero, where the length has no gradient.
        rows = torch.where(present, functional.normalize(features, dim=-1), features)
        if name in self.projections:
            rows = self.projections[name](rows)
        return torch.where(seen, rows, 0)

    def encode(self, name: str, rows: Tensor, attention: WholeDialogueAttention) -> Tensor:
        """(N, d) -> (N, d) along the dialogue."""
        for layer in cast("Iterable[TransformerLayer]", self.encoders[name]):
            rows = layer(rows, attention)
        return rows

    def cross(self, encoded: dict[str, Tensor], attentions: dict[str, WholeDialogueAttention]) -> Tensor:
        """(N, tokens, d): one token for each pair X <- Y, X asking and Y being asked; X's map serves all its pairs."""
        crossed = [
            self.cross_attention[first](encoded[first], encoded[second], encoded[second], attentions[second])
            for first, second in self.pairs
        ]
        return torch.stack(crossed or list(encoded.values()), dim=1)

    def fuse(self, tokens: Tensor, present: Tensor) -> Tensor:
        """(N, tokens, d), and (N, tokens) bool of those that count -> (N, hidden size)."""
        if self.output is not None:
            return self.output(torch.where(present[..., None], tokens, 0).flatten(1))
        assert self.token_transformer is not None
        tokens = self.token_transformer(tokens, present)
        if self.config.token_pooling == "mean":
            shares = present / present.sum(-1, keepdim=True).clamp(min=1)
            return (shares.to(tokens.dtype)[..., None] * tokens).sum(1)
        order = torch.arange(1, present.size(1) + 1, device=present.device)
        last = (present * order).argmax(-1)
        return tokens.gather(1, last.view(-1, 1, 1).expand(-1, 1, tokens.size(-1))).squeeze(1)


class JMTForEmotionRecognition(SpeakerGraphClassifierMixin, JMTPreTrainedModel):
    """JMT with a classifier on each utterance, or a regressor for `problem_type="regression"`.

    The regressor of several values has the hidden layers of the authors' side by side. Their concordance with the
    labels is computed in training alone, since it depends on who shares the batch; in evaluation the loss is the
    absolute error.
    """

    reach = SpeakerGraphClassifierMixin.reach  # the losses change nothing of it

    def __init__(self, config: JMTConfig) -> None:
        super().__init__(config)
        self.jmt = JMTModel(config)
        self.classifier = make_mlp(
            config.hidden_size, config.classifier_hidden_size, len(config.id2label or ()), config.hidden_dropout_prob
        )
        self.post_init()

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the logits and, with labels, the losses: in training, values are compared over the whole batch."""
        output = super().forward_batch(batch)
        if self.training and batch.labels is not None and not self.task.has_classes:
            assert output.logits is not None
            assert output.losses is not None
            processes = Processes(len(output.logits), batch.loss_shares is not None)
            labels = batch.labels.view(output.logits.shape)
            agreement = concordance(processes.gather(output.logits.float()), processes.gather(labels.float()))
            output.losses["concordance"] = 1 - agreement
        return output

    def loss_weights(self) -> dict[str, float]:
        """Weight of each part of the loss."""
        weights = super().loss_weights()
        if self.task.has_classes:
            return weights
        if self.training and self.config.regression_loss == "concordance":
            weights["classification"] = 0.0
        return weights | {"concordance": 1.0}

    def loss_counts(self, batch: Mapping[str, Tensor], across_processes: bool = False) -> dict[str, Tensor]:
        """Count what each part of the loss is a mean over: a concordance belongs to the known labels of its value."""
        counts = super().loss_counts(batch, across_processes)
        labels = batch.get("labels")
        if labels is not None and "concordance" in counts:
            counts["concordance"] = (~labels.view(len(labels), -1).isnan()).sum(0).float()
        return counts


def _layer(config: JMTConfig) -> TransformerLayer:
    return TransformerLayer(
        config.projection_size,
        config.num_attention_heads,
        config.intermediate_size,
        config.hidden_dropout_prob,
        norm_first=False,
    )


__all__ = ["JMTForEmotionRecognition", "JMTModel", "JMTPreTrainedModel"]
