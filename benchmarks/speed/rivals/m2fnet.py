"""M2FNet as its public re-implementation computes it: torch's own layers over padded dialogues."""

import torch
from torch import Tensor, nn

from benchmarks.speed.reference import PlainOutput
from benchmarks.speed.rivals.padded import PaddedBatch, PlainNetwork
from joyful_hf import M2FNetConfig


class FusionLayer(nn.Module):
    """F <- ReLU(W ReLU([MHA(F, F_A, F) ; F]) + b)."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.multihead_attention = nn.MultiheadAttention(size, heads, dropout, batch_first=True)
        self.linear = nn.Linear(2 * size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, fused: Tensor, audio: Tensor, padding: Tensor) -> Tensor:
        """(B, L, size) each, (B, L) bool -> (B, L, size)."""
        found, _ = self.multihead_attention(fused, audio, fused, key_padding_mask=padding, need_weights=False)
        joined = torch.relu(torch.cat([found, fused], dim=-1))
        return self.dropout(torch.relu(self.linear(joined)))


class PlainM2FNet(PlainNetwork):
    """The whole network, on text and audio."""

    def __init__(self, config: M2FNetConfig) -> None:
        super().__init__()
        dropout, size = config.hidden_dropout_prob, config.fusion_size
        assert size is not None
        for name, dim in config.modality_dims.items():
            heads = config.of_modality("num_attention_heads", name)
            layer = nn.TransformerEncoderLayer(dim, heads, config.intermediate_size, dropout, batch_first=True)
            encoders = nn.ModuleList(
                nn.TransformerEncoder(layer, config.num_hidden_layers, nn.LayerNorm(dim), enable_nested_tensor=False)
                for _ in range(config.of_modality("num_encoders", name))
            )
            self.add_module(f"{name}_encoders", encoders)
            self.add_module(f"{name}_proj", nn.Linear(dim, size))
        self.fusion_layers = nn.ModuleList(
            FusionLayer(size, config.num_fusion_heads or 8, dropout) for _ in range(config.num_fusion_layers)
        )
        hidden, labels = config.classifier_hidden_size or size, len(config.id2label or ())
        self.output_layer = nn.Sequential(
            nn.Linear(2 * size, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, labels)
        )
        self.dropout = nn.Dropout(dropout)
        self.label_smoothing = config.label_smoothing

    def forward(self, batch: PaddedBatch, return_loss: bool = True) -> PlainOutput:
        """Compute logits and loss."""
        padding = ~batch.mask
        streams = {}
        for name, rows in batch.features.items():
            for encoder in self.get_submodule(f"{name}_encoders").children():
                rows = rows + encoder(rows, src_key_padding_mask=padding)
            streams[name] = self.dropout(self.get_submodule(f"{name}_proj")(self.dropout(rows)))
        fused = streams["text"]
        for layer in self.fusion_layers:
            fused = layer(fused, streams["audio"], padding)
        logits = self.output_layer(torch.cat([streams["audio"], fused], dim=-1))[batch.mask]
        return batch.classified(logits, return_loss, self.label_smoothing)
