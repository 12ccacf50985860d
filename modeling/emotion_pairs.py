"""Which utterances of a batch share an emotion: the targets of alignment and the negatives of matching."""

from torch import Tensor

from .losses import IGNORED_LABEL


def known_emotions(labels: Tensor) -> Tensor:
    """(B,) bool: the utterances whose label is known."""
    if not labels.is_floating_point():
        return labels != IGNORED_LABEL
    return ~labels.view(labels.size(0), -1).isnan().any(-1)


def same_emotion(labels: Tensor) -> Tensor:
    """(B, B) bool: pairs of the same class, of the same set of classes, or both of negative sentiment or neither.

    Args:
        labels: (B,) int64 classes, (B, num_labels) float of several at once, or (B,) float sentiment. What an
            unknown label is said to share means nothing.
    """
    if labels.dim() > 1:
        return (labels[:, None] == labels[None]).all(-1)
    classes = labels < 0 if labels.is_floating_point() else labels
    return classes[:, None] == classes[None]
