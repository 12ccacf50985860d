"""The task that a model learns: one of several emotions per utterance, any number of them, or values."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .constants import constant

SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
IGNORED_LABEL = -100


class Task:
    """The labels, loss and scores of one `problem_type`. N utterances; logits are (N, num_labels)."""

    problem_type: str
    has_classes = True

    def label_shape(self, num_utterances: int, num_labels: int) -> tuple[int, ...]:
        """Shape of the labels of a batch."""
        del num_labels
        return (num_utterances,)

    def known_where(self, labels: Tensor, kept: Tensor) -> Tensor:
        """The labels of the utterances that are kept (N,) bool, the others' unknown."""
        unknown = math.nan if labels.is_floating_point() else IGNORED_LABEL
        return labels.masked_fill(~kept.view(-1, *[1] * (labels.dim() - 1)), unknown)

    def contrast_labels(self, labels: Tensor) -> Tensor:
        """The labels by which `emotion_pairs` finds the utterances that share an emotion."""
        return labels

    def loss(
        self,
        logits: Tensor,
        labels: Tensor,
        class_weights: list[float] | None = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """() mean over the labelled utterances of a batch; 0 (with a gradient of 0) if none is labelled.

        Args:
            logits: (N, num_labels).
            labels: of `label_shape`; -100 marks an unknown integer, NaN an unknown float. For single labels also
                (N, num_labels) float32, the share of each class in the votes of several annotators, all 0 where
                unknown.
            class_weights: one weight per class, for classification; the mean over single labels is then weighted too.
            label_smoothing: share of the target spread over all classes, for single labels.
        """
        logits = logits.float()
        weights = _on_device(class_weights, logits)
        return self.mean(self._losses(logits, labels, weights, label_smoothing), labels, class_weights)

    def mean(self, losses: Tensor, labels: Tensor, class_weights: list[float] | None = None) -> Tensor:
        """() mean of the losses of the labelled utterances (N,), as `loss` takes it."""
        weights = _on_device(class_weights, losses)
        scale = self._weights(labels, weights)
        return (losses * scale).sum() / scale.sum().clamp(min=1e-8)

    def count(self, labels: Tensor, class_weights: list[float] | None = None) -> Tensor:
        """() what `loss` divides by: how many utterances are labelled, or the sum of their weights."""
        return self._weights(labels, _on_device(class_weights, labels)).sum()

    def divergence(self, logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
        """(N,) how far the logits of each utterance are from others: KL(target || logits), both divided first."""
        raise NotImplementedError

    def _losses(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None, label_smoothing: float) -> Tensor:
        """The loss of each utterance (N,), anything where the label is unknown."""
        raise NotImplementedError

    def _weights(self, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        """The weight of each utterance in the mean (N,), 0 where the label is unknown."""
        raise NotImplementedError

    def scores(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """(N, num_labels) calibrated probabilities, or the values themselves for regression."""
        raise NotImplementedError

    def label(self, scores: list[float], names: list[str]) -> Any:
        """The label of an utterance with these scores, one for each name."""
        raise NotImplementedError


def _on_device(class_weights: list[float] | None, like: Tensor) -> Tensor | None:
    """The weights in float32 where another tensor lies."""
    return None if class_weights is None else constant(class_weights, torch.float32, like.device)


class SingleLabelTask(Task):
    """One emotion per utterance: labels (N,) int64, cross-entropy (JOYFUL's Eq. 14), softmax.

    Where annotators disagree, the cross-entropy is that of their shares (N, num_labels), which are not one-hot.
    """

    problem_type = SINGLE_LABEL

    def divergence(self, logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
        """KL of the softmax."""
        log_target, log_given = ((part.float() / temperature).log_softmax(-1) for part in (target, logits))
        return (log_target.exp() * (log_target - log_given)).sum(-1)

    def _losses(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None, label_smoothing: float) -> Tensor:
        if labels.is_floating_point():
            weighted = labels if class_weights is None else labels * class_weights
            labels = weighted / weighted.sum(-1, keepdim=True).clamp(min=1e-8)
        else:
            labels = labels.clamp(min=0)
        return functional.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)

    def _weights(self, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        if labels.is_floating_point():
            return (labels if class_weights is None else labels * class_weights).sum(-1)
        known = labels != IGNORED_LABEL
        return known.float() if class_weights is None else known * class_weights[labels.clamp(min=0)]

    def scores(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """Softmax."""
        return (logits.float() / temperature).softmax(dim=-1)

    def label(self, scores: list[float], names: list[str]) -> str:
        """The most probable emotion."""
        return names[max(range(len(scores)), key=scores.__getitem__)]


class MultiLabelTask(Task):
    """Any number of emotions per utterance: labels (N, num_labels) float32, binary cross-entropy, sigmoid."""

    problem_type = MULTI_LABEL

    def label_shape(self, num_utterances: int, num_labels: int) -> tuple[int, ...]:
        """One column per emotion."""
        return (num_utterances, num_labels)

    def divergence(self, logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
        """Mean KL of the emotions' sigmoids."""
        target, logits = target.float() / temperature, logits.float() / temperature
        present = target.sigmoid() * (functional.logsigmoid(target) - functional.logsigmoid(logits))
        absent = (-target).sigmoid() * (functional.logsigmoid(-target) - functional.logsigmoid(-logits))
        return (present + absent).mean(-1)

    def _losses(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None, label_smoothing: float) -> Tensor:
        loss = functional.binary_cross_entropy_with_logits(
            logits, labels.float().nan_to_num(), pos_weight=class_weights, reduction="none"
        )
        return loss.mean(-1)

    def _weights(self, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        return (~labels.isnan().any(-1)).float()

    def scores(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """Sigmoid."""
        return (logits.float() / temperature).sigmoid()

    def label(self, scores: list[float], names: list[str]) -> list[str]:
        """All emotions with a probability of at least 0.5."""
        return [name for name, score in zip(names, scores, strict=True) if score >= 0.5]


class RegressionTask(Task):
    """A value per utterance, such as its sentiment: absolute error (Appendix J of JOYFUL, Eq. 16).

    Labels are (N,) float32, or (N, num_labels) for several values, such as valence and arousal; then the loss is the
    mean over all values that are known.
    """

    problem_type = REGRESSION
    has_classes = False

    def label_shape(self, num_utterances: int, num_labels: int) -> tuple[int, ...]:
        """One column per value, where there are several."""
        return (num_utterances,) if num_labels == 1 else (num_utterances, num_labels)

    def contrast_labels(self, labels: Tensor) -> Tensor:
        """The quadrant of several values: which of them are negative; unknown where one of them is."""
        if labels.dim() == 1:
            return labels
        places = 2 ** torch.arange(labels.size(1), device=labels.device)
        quadrants = ((labels < 0) * places).sum(-1)
        return quadrants.masked_fill(labels.isnan().any(-1), IGNORED_LABEL)

    def divergence(self, logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
        """Mean square of the values' differences: values have no temperature."""
        del temperature
        return (logits.float() - target.float()).square().mean(-1)

    def _losses(self, logits: Tensor, labels: Tensor, class_weights: Tensor | None, label_smoothing: float) -> Tensor:
        if labels.dim() == 2:
            known = (~labels.isnan()).float()
            errors = known * functional.l1_loss(logits, labels.float().nan_to_num(), reduction="none")
            return errors.sum(-1) / known.sum(-1).clamp(min=1)
        return functional.l1_loss(logits.squeeze(-1), labels.float().nan_to_num(), reduction="none")

    def _weights(self, labels: Tensor, class_weights: Tensor | None) -> Tensor:
        known = (~labels.isnan()).float()
        return known.mean(-1) if labels.dim() == 2 else known  # of which half the values are known counts half

    def scores(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """The values."""
        return logits.float()

    def label(self, scores: list[float], names: list[str]) -> float | dict[str, float]:
        """The value, or several by name."""
        return scores[0] if len(names) == 1 else dict(zip(names, scores, strict=True))


TASKS: dict[str, Task] = {task.problem_type: task for task in (SingleLabelTask(), MultiLabelTask(), RegressionTask())}
"""`problem_type` -> task."""


def task_of(config: Any) -> Task:
    """The task of a config; single labels where its `problem_type` is left open, as in transformers."""
    return TASKS[config.problem_type or SINGLE_LABEL]
