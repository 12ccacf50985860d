"""The parts of a loss, each a mean or the sum of some means, when a training step is cut into several batches."""

from torch import Tensor


def weigh(name: str, means: Tensor, shares: dict[str, Tensor] | None) -> Tensor:
    """The means (..., counts) of a part, each times the share of this batch in what it is a mean over."""
    return means if shares is None else means * shares[name]


def total(means: Tensor) -> Tensor:
    """() sum of the means (..., counts) that a part is made of."""
    for _ in range(means.dim()):
        means = means.sum(-1)
    return means
