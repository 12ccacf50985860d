"""LMAM as its authors compute it, on the LSTM host: each modality asks the text, one utterance after the other."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.speed.reference import PlainOutput
from benchmarks.speed.rivals.padded import MatchingAttention, PaddedBatch, PlainNetwork, recur
from joyful_hf import LMAMConfig

NORMS = ("normBNa", "normBNb", "normBNc", "normBNd")


class PlainLMAM(PlainNetwork):
    """The whole network, on four layers of text features."""

    def __init__(self, config: LMAMConfig) -> None:
        super().__init__()
        size, text = config.projection_size, config.text_dim // len(NORMS)
        for name in NORMS:
            self.add_module(name, nn.BatchNorm1d(text))
        self.lstm2 = nn.LSTM(
            text,
            size // 2,
            config.num_hidden_layers,
            batch_first=True,
            bidirectional=True,
            dropout=config.hidden_dropout_prob,
        )
        self.fc1, self.fc2 = nn.Linear(config.audio_dim, size), nn.Linear(config.visual_dim, size)
        self.matchatt = MatchingAttention(size, bounded=True)
        self.linear = nn.Linear(size, config.classifier_hidden_size)
        self.smax_fc = nn.Linear(config.classifier_hidden_size, len(config.id2label or ()))

    def forward(self, batch: PaddedBatch, return_loss: bool = True) -> PlainOutput:
        """Compute logits and loss."""
        layers = zip(NORMS, batch.features["text"].chunk(len(NORMS), dim=-1), strict=True)
        normed = [self.get_submodule(name)(rows.transpose(1, 2)).transpose(1, 2) for name, rows in layers]
        memory = recur(self.lstm2, torch.stack(normed).mean(0), batch.lengths)
        queries = (memory, self.fc1(batch.features["audio"]), self.fc2(batch.features["visual"]))
        found = torch.stack([self.matchatt(memory, own, batch.mask) for own in queries]).sum(0)
        matched = functional.gelu(found) + memory
        logits = self.smax_fc(functional.gelu(self.linear(matched)))[batch.mask]
        return batch.classified(logits, return_loss)
