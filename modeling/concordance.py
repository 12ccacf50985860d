"""Lin's concordance of predicted and true values, as a loss: the measure by which valence and arousal are judged."""

import torch
from torch import Tensor

# In the denominator: values that never vary, and are right, would divide zero by zero.
_EPSILON = 1e-8


def concordance(predicted: Tensor, labels: Tensor) -> Tensor:
    """CCC = 2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2) of each of K values.

    (N, K), and (N, K) with NaN where unknown -> (K,). Variances are divided by one less than the number of known
    labels. Without variation it is 0.
    """
    predicted, known = predicted.float(), ~labels.isnan()
    target = torch.where(known, labels.float(), 0)
    count = known.sum(0).clamp(min=1)
    means = [torch.where(known, values, 0).sum(0) / count for values in (predicted, target)]
    first, second = (
        torch.where(known, values - mean, 0) for values, mean in zip((predicted, target), means, strict=True)
    )
    divisor = (count - 1).clamp(min=1)
    spread = (first.square().sum(0) + second.square().sum(0)) / divisor + (means[0] - means[1]).square()
    return 2 * (first * second).sum(0) / divisor / (spread + _EPSILON)
