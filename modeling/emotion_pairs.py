"""The pairs of utterances in a batch that share an emotion, which contrasts pull together."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from .processes import Processes
from .tasks import IGNORED_LABEL


def known_emotions(labels: Tensor) -> Tensor:
    """(N,) bool: the utterances whose label is known."""
    if not labels.is_floating_point():
        return labels != IGNORED_LABEL
    return ~labels.view(labels.size(0), -1).isnan().any(-1)


def same_emotion(labels: Tensor) -> Tensor:
    """(N, N) bool: pairs of the same class, with one of several in common (or none at all), or of the same sign.

    Args:
        labels: (N,) int64 classes, (N, num_labels) float of several at once, or (N,) float sentiment, negative or
            not. The pairs of an unknown label mean nothing.
    """
    if labels.dim() > 1:
        emotions = labels.nan_to_num().float()
        emotions = torch.cat([emotions, (emotions.sum(-1, keepdim=True) == 0).float()], dim=-1)
        return emotions @ emotions.T > 0
    classes = labels < 0 if labels.is_floating_point() else labels
    return classes[:, None] == classes[None]


@dataclass
class EmotionPairs:
    """The utterances of a batch that are compared by their emotions: this process's n with the N of all processes."""

    known: Tensor
    """(N,) bool, utterances with a known label."""
    present: dict[str, Tensor]
    """Modality -> (N,) bool, utterances that have it."""
    same: Tensor
    """(n, N) bool, pairs of the same emotion."""
    own: slice
    """The utterances of this process."""
    first: int
    """The number of the first of them."""

    @classmethod
    def of(cls, present: dict[str, Tensor], labels: Tensor, processes: Processes) -> Self:
        """Compare the utterances of all processes, given those of this one.

        Args:
            present: modality -> (n,) bool.
            labels: as in `same_emotion`, of n utterances.
        """
        of_all = processes.gather(labels)
        gathered = {name: processes.gather(here) for name, here in present.items()}
        return cls(
            known_emotions(of_all), gathered, same_emotion(of_all)[processes.own], processes.own, processes.first
        )

    def takes_part(self, *modalities: str) -> Tensor:
        """(N,) bool, labelled utterances that have all these modalities."""
        return torch.stack([self.known, *(self.present[name] for name in modalities)]).all(0)

    def negatives(self, asking: str, asked: str) -> Tensor:
        """(n, N) bool, the utterances of another emotion, where both have both modalities."""
        takes_part = self.takes_part(asking, asked)
        return takes_part[self.own, None] & takes_part & ~self.same

    def compared(self, asking: str, asked: str) -> Tensor:
        """(n, N) bool, anchors that have one modality with candidates that have the other; none with itself in one."""
        anchors, candidates = self.takes_part(asking), self.takes_part(asked)
        compared = anchors[self.own, None] & candidates
        if asking == asked:
            compared = compared & ~torch.eye(len(anchors), dtype=torch.bool, device=anchors.device)[self.own]
        return compared

    def with_positive(self, asking: str, asked: str) -> Tensor:
        """() number of the anchors that have a positive among the candidates of `compared`."""
        return (self.same & self.compared(asking, asked)).any(-1).sum()
