"""The exponential of the mean divergence between class predictions and their average, in constant memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SPLIT_SEED = 2020  # torch-fidelity's default, so that its numbers are reproduced


class Score:
    """Sums over a stream of `samples` logits N×K in float64, for each of `splits` random parts of equal size.

    Who belongs to which part is drawn beforehand and costs one byte per sample; a single part needs no draw.
    """

    def __init__(self, samples: int, splits: int) -> None:
        self.samples, self.splits, self.seen = samples, splits, 0
        self.parts = torch.zeros(0, dtype=torch.int8)
        if splits > 1:
            order = np.random.RandomState(SPLIT_SEED).permutation(samples)
            bounds = [part * samples // splits for part in range(1, splits)]
            parts = np.empty(samples, dtype=np.int8)
            parts[order] = np.searchsorted(bounds, np.arange(samples), side="right")
            self.parts = torch.from_numpy(parts)
        self.counts = torch.zeros(splits, dtype=torch.float64)
        self.negentropy = torch.zeros(splits, dtype=torch.float64)
        self.probabilities = torch.zeros(splits, 0, dtype=torch.float64)

    def update(self, logits: Tensor) -> None:
        """Take in `logits`, float N×K. Raises `ValueError` beyond the announced number, where that matters."""
        n, classes = logits.shape
        if self.splits > 1 and self.seen + n > self.samples:
            raise ValueError(f"{self.seen + n} samples were seen, {self.samples} announced; the splits depend on that")
        parts = self.parts[self.seen : self.seen + n].long() if self.splits > 1 else torch.zeros(n, dtype=torch.long)
        self.seen += n
        log_p = logits.double().log_softmax(1)
        p = log_p.exp()
        member = torch.nn.functional.one_hot(parts.to(p.device), self.splits).double()  # N×splits
        if not self.probabilities.numel():
            self.probabilities = p.new_zeros(self.splits, classes)
            self.counts, self.negentropy = self.counts.to(p.device), self.negentropy.to(p.device)
        self.counts = self.counts + member.sum(0)
        self.negentropy = self.negentropy + member.T @ (p * log_p).sum(1)
        self.probabilities = self.probabilities + member.T @ p

    def compute(self) -> float:
        """Mean over the parts of exp(mean KL(p(y|x) ‖ p(y))). Raises `ValueError` after the wrong number of samples."""
        if self.splits > 1 and self.seen != self.samples:
            raise ValueError(f"{self.seen} samples were seen, {self.samples} announced; the splits depend on that")
        marginal = self.probabilities / self.counts[:, None]
        divergence = self.negentropy / self.counts - torch.xlogy(marginal, marginal).sum(1)
        return float(divergence.exp().mean())
