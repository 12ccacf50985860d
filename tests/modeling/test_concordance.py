"""The concordance as a loss."""

import math

import numpy as np
import pytest
import torch

from joyful_hf.modeling.concordance import concordance


def lin(predicted: np.ndarray, true: np.ndarray) -> float:
    covariance = np.cov(predicted, true)
    return 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (predicted.mean() - true.mean()) ** 2)


def test_each_value_has_its_own_and_unknown_labels_take_no_part():
    rng = np.random.default_rng(0)
    predicted, true = rng.normal(size=(9, 2)), rng.normal(size=(9, 2))
    labels = torch.tensor(true)
    labels[3:5, 1] = math.nan
    kept = [0, 1, 2, 5, 6, 7, 8]
    expected = [lin(predicted[:, 0], true[:, 0]), lin(predicted[kept, 1], true[kept, 1])]
    assert concordance(torch.tensor(predicted), labels).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("labels", [[math.nan] * 3, [2.0, math.nan, math.nan], [1.0, 1.0, 1.0]])
def test_what_never_varies_has_none_and_a_finite_gradient(labels):
    predicted = torch.ones(3, 1, requires_grad=True)
    agreement = concordance(predicted, torch.tensor(labels)[:, None])
    agreement.sum().backward()
    assert agreement.item() == 0
    assert torch.isfinite(predicted.grad).all()
