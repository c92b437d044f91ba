"""Mean and covariance of a stream of feature vectors, in constant memory."""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """Count, mean (d) and scatter (d×d, sums of products about the mean) in float64, on the features' device.

    Batches are centred on their own mean and merged pairwise by the update of Chan, Golub & LeVeque (1979, "Updating
    formulae and a pairwise algorithm for computing sample variances"), which keeps its digits at any mean offset;
    sums of squares do not.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor = torch.zeros(0, dtype=torch.float64)
        self.scatter: Tensor = torch.zeros(0, 0, dtype=torch.float64)

    def update(self, features: Tensor) -> None:
        """Take in `features`, float N×d."""
        if len(features):
            values = features.double()
            mean = values.mean(0)
            centred = values - mean
            self._merge(len(values), mean, centred.T @ centred)

    def merge(self, other: Moments) -> None:
        """Take in all that `other` has seen, as if it had been seen here."""
        if other.count:
            self._merge(other.count, other.mean, other.scatter)

    def covariance(self) -> Tensor:
        """The unbiased covariance (divisor n - 1), d×d. Raises `ValueError` for fewer than two vectors."""
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 samples; {self.count} were seen")
        return self.scatter / (self.count - 1)

    def _merge(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        if not self.count:
            self.count, self.mean, self.scatter = count, mean, scatter
            return
        total = self.count + count
        delta = mean - self.mean
        self.scatter = torch.addr(self.scatter + scatter, delta, delta, alpha=self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.count = total
