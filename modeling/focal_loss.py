"""The focal loss of single labels, and what released code of this field computes under its name."""

from typing import Any

import torch
from torch import Tensor

from .prediction import EmotionRecognitionMixin
from .tasks import SINGLE_LABEL

CLASSIFICATION_LOSSES = ("cross_entropy", "focal", "released_focal")


def focal_losses(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """-(1 - p_y)^gamma log p_y of each utterance (N,), for logits (N, num_labels) and labels (N,)."""
    of_label = logits.float().log_softmax(-1).gather(1, labels.clamp(min=0)[:, None]).squeeze(1)
    return -((1 - of_label.exp()) ** gamma) * of_label


def released_focal_losses(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """The mean over the classes c of -(1 - [c = y] log p_c)^gamma log p_c, of each utterance (N,).

    log p stands where p belongs, and each wrong class has a term, which raises its probability: the least is not at a
    probability of 1 of the label, but near a half.
    """
    log_prob = logits.float().log_softmax(-1)
    is_label = torch.zeros_like(log_prob).scatter(1, labels.clamp(min=0)[:, None], 1)
    return (-((1 - is_label * log_prob) ** gamma) * log_prob).mean(-1)


def check_classification_loss(config: Any) -> None:
    """Check that a config with `classification_loss` asks for a focal loss only where there is one.

    Raises:
        ValueError: it does not.
    """
    if config.classification_loss == "cross_entropy":
        return
    if config.problem_type not in (None, SINGLE_LABEL) or config.label_smoothing:
        raise ValueError(
            f"classification_loss={config.classification_loss!r} is of single labels without label_smoothing; "
            "choose 'cross_entropy'"
        )


class ClassificationLossMixin(EmotionRecognitionMixin):
    """A model whose config has `classification_loss` and `focal_gamma`. Goes before its other base classes."""

    def task_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """() loss of the logits (N, num_labels): cross-entropy, or a focal loss."""
        config = self.config
        if config.classification_loss == "cross_entropy":
            return super().task_loss(logits, labels)
        of_kind = focal_losses if config.classification_loss == "focal" else released_focal_losses
        return self.task.mean(of_kind(logits, labels, config.focal_gamma), labels, config.class_weights)
