"""JMT as its authors compute it: torch's own attention over padded sequences of steps."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speed.reference import PlainOutput
from benchmarks.speed.rivals.padded import PaddedBatch, PlainNetwork
from joyful_hf import JMTConfig


class EncoderLayer(nn.Module):
    """A transformer layer with its norms behind."""

    def __init__(self, config: JMTConfig) -> None:
        super().__init__()
        size, inner = config.projection_size, config.intermediate_size
        self.attention = nn.MultiheadAttention(size, config.num_attention_heads, batch_first=True)
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(nn.Linear(size, inner), nn.ReLU(), nn.Linear(inner, size))

    def forward(self, rows: Tensor, padding: Tensor | None) -> Tensor:
        """(B, L, size) -> (B, L, size)."""
        found, _ = self.attention(rows, rows, rows, key_padding_mask=padding, need_weights=False)
        rows = self.layer_norm1(rows + found)
        return self.layer_norm2(rows + self.feed_forward(rows))


class Encoder(nn.Module):
    """Its layers."""

    def __init__(self, config: JMTConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, rows: Tensor, padding: Tensor | None = None) -> Tensor:
        """(B, L, size) -> (B, L, size)."""
        for layer in self.layers:
            rows = layer(rows, padding)
        return rows


class Fusion(nn.Module):
    """Encoders, six cross attentions, and a transformer over what they give at each step."""

    def __init__(self, config: JMTConfig) -> None:
        super().__init__()
        size, heads = config.projection_size, config.num_attention_heads
        self.out_layer_pv = nn.Linear(2 * size, size)
        self.visual_encoder, self.physiological_encoder = Encoder(config), Encoder(config)
        self.joint_representation_encoder = Encoder(config)
        self.cross_attention_v = nn.MultiheadAttention(size, heads, batch_first=True)
        self.cross_attention_p = nn.MultiheadAttention(size, heads, batch_first=True)
        self.cross_attention_pv = nn.MultiheadAttention(size, heads, batch_first=True)
        self.final_visual_encoder = Encoder(config)
        self.final_self_attention = nn.MultiheadAttention(size, heads, batch_first=True)

    def forward(self, visual: Tensor, audio: Tensor, padding: Tensor) -> Tensor:
        """(B, L, size) each, (B, L) bool -> (B, L, size): the last of six tokens."""
        joint = self.out_layer_pv(torch.cat([visual, audio], dim=-1))
        visual = self.visual_encoder(visual, padding)
        audio = self.physiological_encoder(audio, padding)
        joint = self.joint_representation_encoder(joint, padding)
        of_visual, of_audio, of_joint = self.cross_attention_v, self.cross_attention_p, self.cross_attention_pv

        def cross(attention: nn.MultiheadAttention, asking: Tensor, asked: Tensor) -> Tensor:
            return attention(asking, asked, asked, key_padding_mask=padding, need_weights=False)[0]

        tokens = torch.stack(
            [
                cross(of_visual, visual, audio),
                cross(of_audio, audio, visual),
                cross(of_joint, joint, visual),
                cross(of_visual, visual, joint),
                cross(of_joint, joint, audio),
                cross(of_audio, audio, joint),
            ],
            dim=2,
        )
        steps = self.final_visual_encoder(tokens.flatten(0, 1))
        found, _ = self.final_self_attention(steps, steps, steps, need_weights=False)
        return found[:, -1].view_as(joint)


class PlainJMT(PlainNetwork):
    """The whole network, on audio and video, with a regressor of valence and one of arousal."""

    def __init__(self, config: JMTConfig) -> None:
        super().__init__()
        size, hidden, dropout = config.projection_size, config.classifier_hidden_size // 2, config.hidden_dropout_prob
        self.mm_transformer = Fusion(config)
        for name in ("vregressor", "aregressor"):
            layers = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1))
            self.add_module(name, layers)

    def forward(self, batch: PaddedBatch, return_loss: bool = True) -> PlainOutput:
        """Compute both values and the loss, one minus their concordance with the labels."""
        visual, audio = (functional.normalize(batch.features[name], dim=-1) for name in ("visual", "audio"))
        fused = self.mm_transformer(visual, audio, ~batch.mask)[batch.mask]
        values = torch.cat([self.get_submodule(name)(fused) for name in ("vregressor", "aregressor")], dim=-1)
        if not return_loss:
            return PlainOutput(values, {}, None)
        pairs = zip(values.unbind(-1), batch.known_labels.unbind(-1), strict=True)
        loss = torch.stack([1 - concordance(own, labels) for own, labels in pairs]).sum()
        return PlainOutput(values, {"concordance": loss}, loss)


def concordance(values: Tensor, labels: Tensor) -> Tensor:
    """() 2 rho s_x s_y / (s_x^2 + s_y^2 + (m_x - m_y)^2)."""
    centred, of_labels = values - values.mean(), labels - labels.mean()
    norms = centred.square().sum().sqrt() * of_labels.square().sum().sqrt()
    correlation = (centred * of_labels).sum() / (norms + 1e-8)
    spread = values.var() + labels.var() + (values.mean() - labels.mean()).square()
    return 2 * correlation * values.std() * labels.std() / spread
