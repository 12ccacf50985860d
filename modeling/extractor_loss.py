"""The loss with which M2FNet's extractors of audio and of faces learn vectors of emotions (its section 3.2)."""

import torch
from torch import Tensor, nn


class M2FNetExtractorLoss(nn.Module):
    """The adaptive margin loss on triplets of vectors, with a covariance and a variance term, 20 : 5 : 1.

    Anchor and positive share an emotion, the negative has another. Taken literally, the printed loss is least where
    negatives lie *nearer* than positives, because its margin grows with the distances. So the margin is a number here,
    without a gradient; the covariances are squared, and a variance above 1 earns nothing (both as in VICReg, on which
    the terms are modelled).

    Args:
        literal_margin: let the gradient flow through the margin, as it is printed.
    """

    def __init__(self, literal_margin: bool = False) -> None:
        super().__init__()
        self.literal_margin = literal_margin

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """() loss of N triplets of vectors (N, size) each."""
        triplets = (anchor, positive, negative)
        return 20 * self.triplet(*triplets).mean() + 5 * self.covariance(*triplets) + self.variance(*triplets)

    def triplet(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """L_AMT (N,): D_ap - (D_an + D_pn) / 2 + m with m = (1 + 2 e^-4D_ap) + (1 + 2 e^(4D_an - 4)), D distances."""
        close, far = (anchor - positive).norm(dim=-1), (anchor - negative).norm(dim=-1)
        other = (positive - negative).norm(dim=-1)
        margin = 2 + 2 / (torch.exp(4 * close) + 1e-6) + 2 / (torch.exp(4 - 4 * far) + 1e-6)
        return close - (far + other) / 2 + (margin if self.literal_margin else margin.detach())

    def covariance(self, *vectors: Tensor) -> Tensor:
        """L_cov (): the squared covariances of different dimensions, summed and divided by their number of rows."""
        total = vectors[0].new_zeros(())
        for rows in vectors:
            centred = rows - rows.mean(0)
            covariance = centred.T @ centred / (len(rows) - 1)
            total = total + (covariance.square().sum() - covariance.diagonal().square().sum()) / rows.size(1)
        return total

    def variance(self, *vectors: Tensor) -> Tensor:
        """L_var (): how far the standard deviation of each dimension is below 1, on average."""
        below = [torch.relu(1 - (rows.var(0) + 1e-6).sqrt()).mean() for rows in vectors]
        return torch.stack(below).sum()


__all__ = ["M2FNetExtractorLoss"]
