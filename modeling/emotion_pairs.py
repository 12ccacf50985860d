"""The pairs of utterances in a batch that share an emotion, which contrasts pull together."""

import torch
from torch import Tensor

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
