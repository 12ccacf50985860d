"""The task's loss for each `problem_type`: a mean over the labelled utterances of the batch."""

from torch import Tensor
from torch.nn import functional

IGNORED_LABEL = -100


def task_loss(
    logits: Tensor,
    labels: Tensor,
    problem_type: str,
    class_weights: list[float] | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """() loss of a batch; 0 (with a gradient of 0) if no utterance is labelled.

    Cross-entropy (Eq. 14), binary cross-entropy for several emotions at once, and the absolute error for
    sentiment (Appendix J, Eq. 16).

    Args:
        logits: (N, num_labels).
        labels: (N,) int64 with -100 where unknown; (N, num_labels) or (N,) float with NaN where unknown.
        class_weights: one weight a class, for classification; the mean is then weighted too.
        label_smoothing: share of the target spread over all classes, for single-label classification.
    """
    logits = logits.float()
    weights = None if class_weights is None else logits.new_tensor(class_weights)
    if problem_type == "single_label_classification":
        known = labels != IGNORED_LABEL
        target = labels.clamp(min=0)
        loss = functional.cross_entropy(logits, target, reduction="none", label_smoothing=label_smoothing)
        scale = known.float() if weights is None else known * weights[target]
    elif problem_type == "multi_label_classification":
        known = ~labels.isnan().any(-1)
        loss = functional.binary_cross_entropy_with_logits(
            logits, labels.float().nan_to_num(), pos_weight=weights, reduction="none"
        ).mean(-1)
        scale = known.float()
    else:
        known = ~labels.isnan()
        loss = functional.l1_loss(logits.squeeze(-1), labels.float().nan_to_num(), reduction="none")
        scale = known.float()
    return (loss * scale).sum() / scale.sum().clamp(min=1e-8)
