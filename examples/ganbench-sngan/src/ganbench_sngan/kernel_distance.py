"""The kernel distance (KID's formula) on the features of a dataset's classifier, exact and in constant memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ganbench.api import Features, Metric

if TYPE_CHECKING:
    from torch import Tensor

MOST_FEATURES = 256  # 67 MB of third moments; the bundled classifiers have 64 or 128


class KernelClassifierDistance(Metric):
    """Kernel Classifier Distance to the real images, on the dataset's own classifier (lower is better).

    The unbiased estimate of the squared maximum mean discrepancy with the polynomial kernel (xᵀy / d + 1)³ of Bińkowski
    et al. (2018, arXiv:1801.01401, section 4), the kernel of KID; TF-GAN has it as ``kernel_classifier_distance``. Zero
    in the mean for images of the real distribution, and then below zero about as often as above.

    KID is usually a mean over subsets of 1,000 images. A cubic polynomial needs none: sums of the kernel over all pairs
    are inner products of the sums of x, x⊗x and x⊗x⊗x, so that all pairs count, no subset is drawn, and memory is
    d (d + 1) d / 2 numbers however many images there are.
    """

    extractor = "classifier"
    direction = "lower"
    needs_reference = True
    minimum_samples = 2

    def __init__(self, samples: int) -> None:
        super().__init__(samples)
        self.count = 0
        self._sums: dict[str, Tensor] = {}

    def update(self, batch: Features) -> None:
        import torch

        if batch.features is None:
            raise ValueError(f"kcd needs the features of extractor {self.extractor!r}")
        n, d = batch.features.shape
        if d > MOST_FEATURES:
            raise ValueError(f"kcd takes at most {MOST_FEATURES} features, for it keeps their third moments; not {d}")
        x = batch.features.double() / d**0.5
        # x_i x_j once for i ≤ j, times √2 where i ≠ j, so that inner products are those of all i and j.
        i, j = torch.triu_indices(d, d, device=x.device)
        pairs = x[:, i] * x[:, j] * torch.where(i == j, 1.0, x.new_tensor(2.0).sqrt())
        new = {
            "first": x.sum(0),
            "second": pairs.sum(0),
            "third": pairs.T @ x,
            "diagonal": ((x.square().sum(1) + 1) ** 3).sum(),
        }
        self._sums = {name: self._sums[name] + value for name, value in new.items()} if self._sums else new
        self.count += n

    def state(self) -> dict[str, Tensor]:
        """Sums over the stream in float64: ``first`` (d), ``second`` (pairs), ``third`` (pairs×d), ``diagonal`` (of the
        kernel with itself), and ``count`` (int64).
        """
        import torch

        self._check()
        return {**self._sums, "count": torch.tensor(self.count)}

    def compute(self, reference: Mapping[str, Tensor]) -> float:
        self._check()
        ours, theirs = self._sums, {name: value.to(self._sums["first"].device) for name, value in reference.items()}
        if len(theirs["first"]) != len(ours["first"]):
            raise ValueError(f"the features have {len(ours['first'])} dimensions, the reference {len(theirs['first'])}")
        m, n = self.count, int(reference["count"])
        within = (_kernel(ours, ours, m * m) - ours["diagonal"]) / (m * (m - 1))
        within = within + (_kernel(theirs, theirs, n * n) - theirs["diagonal"]) / (n * (n - 1))
        return float(within - 2 * _kernel(ours, theirs, m * n) / (m * n))

    def _check(self) -> None:
        if self.count < self.minimum_samples:
            raise ValueError(f"kcd needs at least {self.minimum_samples} samples; {self.count} were seen")
        if not self._sums["diagonal"].isfinite():
            raise ValueError("there are infinite features, or some that are not numbers")


def _kernel(one: Mapping[str, Tensor], other: Mapping[str, Tensor], pairs: int) -> Tensor:
    """Σ (xᵀy + 1)³ over all pairs: 1 + 3 xᵀy + 3 (xᵀy)² + (xᵀy)³, each power an inner product of sums."""
    first, second, third = ((one[name] * other[name]).sum() for name in ("first", "second", "third"))
    return pairs + 3 * first + 3 * second + third
