"""M2FNet: encoders with skips for each modality, and fusion modules in which audio and video weigh the text.

After Chudasama, Kar, Gudmalwar, Shah, Wasnik, Onoe (CVPRW 2022, arXiv 2206.02187), section 3.3: the level of the
dialogue, on feature vectors. The authors published no code. Letters are the paper's.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from .attention import WholeDialogueAttention
from .batch_contract import PackedBatch
from .configuration_m2fnet import M2FNetConfig
from .context_encoder import TransformerLayer
from .dropout import Dropout
from .mlp import make_mlp
from .modality_inputs import ModalityInputs, readable
from .modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from .multi_head_attention import MultiHeadAttention
from .outputs import EmotionRecognitionOutput
from .packing import DialogueLayout
from .reach import WHOLE_DIALOGUE, Reach, in_sequence, side_by_side
from .speech_encoder import SpeechEncoder
from .text_encoder import TextEncoder


class SkippedEncoder(nn.Module):
    """X + Enc(X): post-norm transformer layers with a skip around all of them."""

    reach = WHOLE_DIALOGUE

    def __init__(self, config: M2FNetConfig, modality: str) -> None:
        super().__init__()
        size, heads = config.stream_sizes[modality], config.of_modality("num_attention_heads", modality)
        self.layers = nn.ModuleList(
            TransformerLayer(size, heads, config.intermediate_size, config.hidden_dropout_prob, norm_first=False)
            for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.LayerNorm(size) if config.encoder_norm else nn.Identity()

    def forward(self, rows: Tensor, attention: WholeDialogueAttention) -> Tensor:
        """(N, size) -> (N, size)."""
        encoded = rows
        for layer in self.layers:
            encoded = layer(encoded, attention)
        return rows + self.norm(encoded)


class FusionModule(nn.Module):
    """F <- FC([P_m ; F ; ...]) with P_m = MHA(query = F, key = F_m, value = F) for each other modality m."""

    reach = WHOLE_DIALOGUE

    def __init__(self, config: M2FNetConfig) -> None:
        super().__init__()
        (first, size), *others = config.fused_sizes.items()
        heads = config.num_fusion_heads or config.of_modality("num_attention_heads", first)
        self.attention = nn.ModuleDict(
            {name: MultiHeadAttention(size, heads, config.hidden_dropout_prob, other) for name, other in others}
        )
        self.output = nn.Linear(size * (1 + len(others)), size)
        self.activation = nn.ReLU() if config.fusion_activation == "relu" else nn.Identity()
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, fused: Tensor, others: dict[str, Tensor], seen: dict[str, WholeDialogueAttention]) -> Tensor:
        """(N, size) and modality -> (N, its size) -> (N, size)."""
        weighed = [weigh(fused, others[name], fused, seen[name]) for name, weigh in self.attention.items()]
        # Figure 3 has F between what audio and what video made of it.
        joined = torch.cat([*weighed[:1], fused, *weighed[1:]], dim=-1)
        return self.dropout(self.activation(self.output(self.activation(joined))))


class M2FNetPreTrainedModel(SpeakerGraphPreTrainedModel):
    """The base of the M2FNet models."""

    config: M2FNetConfig
    base_model_prefix = "m2fnet"


class M2FNetModel(M2FNetPreTrainedModel):
    """Encoders of each modality and their fusion: from utterance features to what is classified."""

    def __init__(self, config: M2FNetConfig) -> None:
        super().__init__(config)
        self.text_encoder = TextEncoder.of(config)
        self.speech_encoder = SpeechEncoder.of(config)
        self.inputs = ModalityInputs.of(config)
        self.dropout = Dropout(config.hidden_dropout_prob)
        sizes = config.stream_sizes
        self.input_projections = nn.ModuleDict()
        if config.projection_size is not None:
            self.input_projections.update(
                {name: nn.Linear(dim, sizes[name]) for name, dim in config.modality_dims.items()}
            )
        self.encoders = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    SkippedEncoder(config, name) for _ in range(config.of_modality("num_encoders", name))
                )
                for name in sizes
            }
        )
        self.projections = nn.ModuleDict()
        if config.fusion_size is not None:
            self.projections.update({name: nn.Linear(size, config.fusion_size) for name, size in sizes.items()})
        # One modality alone has nothing to be fused with.
        num_modules = config.num_fusion_layers if len(sizes) > 1 else 0
        self.fusion = nn.ModuleList(FusionModule(config) for _ in range(num_modules))
        self.hidden_size = sum(config.fused_sizes.values())
        self.post_init()

    @property
    def reach(self) -> Reach:
        """The whole dialogue, unless there is neither an encoder nor a fusion module."""
        encoders = side_by_side(*(in_sequence(*cast("Iterable[nn.Module]", own)) for own in self.encoders.values()))
        return in_sequence(self.text_encoder, self.inputs, encoders, *self.fusion)

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the streams, and the first one fused with the others.

        Returns:
            `context`: the streams behind their encoders; `fused`: the first one behind the fusion modules; `graph`:
            [F ; F_A ; F_V].
        """
        features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)
        seen, layout = readable(present, self.config.absent_modality), batch.layout
        streams = {name: self._encode(name, features[name], here, layout) for name, here in seen.items()}
        (first, fused), *rest = streams.items()
        others, has_value = dict(rest), seen[first]
        if others and len(set(self.config.fused_sizes.values())) == 1:
            # Streams of one width can stand in for each other: the mean of those that are there.
            count = torch.stack([seen[name] for name in others]).sum(0)
            mean = torch.stack(list(others.values())).sum(0) / layout.arrange(count).clamp(min=1)
            fused = torch.where(layout.arrange(has_value), fused, mean)
            has_value = has_value | (count > 0)
        attentions = {name: WholeDialogueAttention(layout, keys=seen[name] & has_value) for name in others}
        for module in self.fusion:
            fused = module(fused, others, attentions)
        return EmotionRecognitionOutput(
            features=torch.cat(list(features.values()), dim=-1),
            context=layout.restore(torch.cat(list(streams.values()), dim=-1)),
            fused=layout.restore(fused),
            graph=layout.restore(torch.cat([fused, *others.values()], dim=-1)),
        )

    def _encode(self, name: str, features: Tensor, seen: Tensor, layout: DialogueLayout) -> Tensor:
        """X <- X + Enc_i(X) for i = 1 ... N, in the order of the layout's blocks; zeros where there is nothing."""
        attention, rows, here = (
            WholeDialogueAttention(layout, keys=seen),
            layout.arrange(features),
            layout.arrange(seen),
        )
        if name in self.input_projections:
            rows = torch.where(here, self.input_projections[name](rows), 0)
        for encoder in cast("Iterable[nn.Module]", self.encoders[name]):
            rows = encoder(rows, attention)
        if name in self.projections:
            rows = self.dropout(self.projections[name](self.dropout(rows)))
        return torch.where(here, rows, 0)


class M2FNetForEmotionRecognition(SpeakerGraphClassifierMixin, M2FNetPreTrainedModel):
    """M2FNet with a classifier on each utterance, or a regressor for `problem_type="regression"`."""

    def __init__(self, config: M2FNetConfig) -> None:
        super().__init__(config)
        self.m2fnet = M2FNetModel(config)
        first = next(iter(config.fused_sizes.values()))
        self.classifier = make_mlp(
            self.m2fnet.hidden_size,
            config.classifier_hidden_size or first,
            len(config.id2label or ()),
            config.hidden_dropout_prob,
        )
        self.post_init()


__all__ = ["M2FNetForEmotionRecognition", "M2FNetModel", "M2FNetPreTrainedModel"]
