"""The common parts of the plain networks: a batch padded to its longest dialogue, and attention in a loop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from benchmarks.speed.reference import PlainOutput
from joyful_hf.processing import EncodedDialogue


@dataclass
class PaddedBatch:
    """B dialogues of up to L utterances."""

    features: dict[str, Tensor]
    """Modality -> (B, L, dim), zeros in the padding."""
    speakers: Tensor
    """(B, L) int64, 0 in the padding."""
    labels: Tensor
    """(B, L) int64, or (B, L, values) float32."""
    mask: Tensor
    """(B, L) bool, True at utterances."""
    lengths: list[int]

    @classmethod
    def of(cls, dialogues: Sequence[EncodedDialogue], device: torch.device | str = "cpu") -> "PaddedBatch":
        """Pad encoded dialogues."""

        def pad(arrays: list[Any]) -> Tensor:
            return pad_sequence([torch.from_numpy(array) for array in arrays], batch_first=True).to(device)

        lengths = [len(dialogue) for dialogue in dialogues]
        names = dialogues[0].features
        return cls(
            features={name: pad([dialogue.features[name] for dialogue in dialogues]) for name in names},
            speakers=pad([dialogue.speaker_ids for dialogue in dialogues]),
            labels=pad([dialogue.labels for dialogue in dialogues]),
            mask=torch.arange(max(lengths), device=device) < torch.tensor(lengths, device=device)[:, None],
            lengths=lengths,
        )

    @property
    def known_labels(self) -> Tensor:
        """(N,) or (N, values): without the padding."""
        return self.labels[self.mask]

    def classified(self, logits: Tensor, return_loss: bool, label_smoothing: float = 0.0) -> PlainOutput:
        """(N, num_labels) -> the output with the mean cross-entropy."""
        if not return_loss:
            return PlainOutput(logits, {}, None)
        loss = functional.cross_entropy(logits, self.known_labels, label_smoothing=label_smoothing)
        return PlainOutput(logits, {"classification": loss}, loss)


class PlainNetwork(nn.Module):
    """A network whose parameters have the names of the authors' code."""

    def released_state(self) -> dict[str, Tensor]:
        """The weights as the authors' code saves them, as parts of the graph of gradients."""
        return self.state_dict(keep_vars=True)


def recur(layers: nn.RNNBase, rows: Tensor, lengths: list[int]) -> Tensor:
    """(B, L, size) -> (B, L, size) by a recurrent network that does not read the padding."""
    packed = pack_padded_sequence(rows, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(layers(packed)[0], batch_first=True, total_length=rows.size(1))[0]


class MatchingAttention(nn.Module):
    """One utterance after the other asks all of its dialogue: sum_j softmax_j(m_j . (W q_t + b)) m_j."""

    def __init__(self, size: int, bounded: bool = False) -> None:
        super().__init__()
        self.transform = nn.Linear(size, size)
        self.bounded = bounded

    def forward(self, memory: Tensor, queries: Tensor, mask: Tensor) -> Tensor:
        """(B, L, size) each, (B, L) bool -> (B, L, size)."""
        found = []
        for query in queries.unbind(1):
            scores = torch.bmm(memory, self.transform(query)[:, :, None]).squeeze(-1)
            if self.bounded:
                scores = torch.tanh(scores)
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            found.append(torch.bmm(weights[:, None], memory).squeeze(1))
        return torch.stack(found, dim=1)
