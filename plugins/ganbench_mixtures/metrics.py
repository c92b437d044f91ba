"""Metrics of points against the Gaussian mixture that they should be from.

The mixture is that of the reference's labels: weights, means and covariances of its components. The datasets of this
package are made so that these are the true ones; of other labelled points they are estimates. Points are kept until
they are scored: 8 bytes each in the plane.

This module is imported to list and plan; torch and SciPy when a score begins.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ganbench.api import Features, Metric
from ganbench_mixtures.mixture import Mixture

if TYPE_CHECKING:
    from torch import Tensor

#: Mahalanobis distance up to which a point belongs to a mode: "within three standard deviations".
NEAR = 3.0
#: Share of its weight that a component must be met with to be covered.
MET = 0.1


class _AgainstMixture(Metric):
    """`score` of all points of the stream against the reference's mixture."""

    takes = ("points",)
    needs_reference = True

    def __init__(self, samples: int) -> None:
        super().__init__(samples)
        self._points: Tensor | None = None
        self._labels: Tensor | None = None
        self._seen = 0

    def update(self, batch: Features) -> None:
        import torch

        n = len(batch.images)
        if self._points is None:
            self._points = batch.images.new_empty((self.samples, *batch.images.shape[1:]), dtype=torch.float32)
            if batch.labels is not None:
                self._labels = batch.labels.new_empty(self.samples)
        self._points[self._seen : self._seen + n] = batch.images
        if self._labels is not None and batch.labels is not None:
            self._labels[self._seen : self._seen + n] = batch.labels
        self._seen += n

    def state(self) -> dict[str, Tensor]:
        """``weights`` (K), ``means`` (K×d) and ``covariances`` (K×d×d) of the components; empty without labels."""
        import torch

        points, labels = self._stream()
        if labels is None:
            return {"weights": torch.zeros(0)}
        members = [points[labels == k] for k in range(labels.max() + 1)]
        of_few = np.full((points.shape[1], points.shape[1]), np.nan)
        parts = {
            "weights": np.array([len(part) / len(points) for part in members]),
            "means": np.stack([part.mean(0) for part in members]),
            "covariances": np.stack(
                [np.atleast_2d(np.cov(part.T)) if len(part) > points.shape[1] else of_few for part in members]
            ),
        }
        return {name: torch.from_numpy(part) for name, part in parts.items()}

    def compute(self, reference: Mapping[str, Tensor]) -> float:
        if self._seen < self.minimum_samples:
            raise ValueError(f"it needs {self.minimum_samples} points; {self._seen} were seen")
        parts = {name: tensor.double().cpu().numpy() for name, tensor in reference.items()}
        if not len(parts["weights"]):
            raise ValueError("the mixture is not known: its points have no labels that say which component each is of")
        mixture = Mixture(parts["weights"], parts["means"], parts["covariances"])
        if not np.isfinite(mixture.covariances).all() or np.linalg.eigvalsh(mixture.covariances).min() <= 0:
            raise ValueError("a component has too few points, or points on a line: its covariance is not known")
        points, labels = self._stream()
        if not np.isfinite(points).all():
            raise ValueError("some points are not finite")
        return float(self.score(mixture, points, labels))

    @abstractmethod
    def score(self, mixture: Mixture, points: np.ndarray, labels: np.ndarray | None) -> float:
        """The score of points, float64 N×d, with the components that they were asked for (int64 N), if they were."""

    def _stream(self) -> tuple[np.ndarray, np.ndarray | None]:
        if self._points is None:
            return np.zeros((0, 0)), None
        points = self._points[: self._seen].double().cpu().numpy()
        return points, None if self._labels is None else self._labels[: self._seen].cpu().numpy()


class HistogramDifference(_AgainstMixture):
    """Quadratic difference of the histogram from the mixture's (lower is better), the thesis's figures 4.4 to 4.11.

    Σ_b (n_b / n - p_b)², where n_b of n points are in bin b and the mixture falls there with probability p_b, in closed
    form. The thesis does not give its bins: here 32×32 over the box that reaches four standard deviations beyond the
    means, and one for what is outside. N points of the mixture itself get Σ p_b (1 - p_b) / n on average, not 0.
    """

    def score(self, mixture: Mixture, points: np.ndarray, labels: np.ndarray | None) -> float:
        from ganbench_mixtures.truth import Histogram

        histogram = Histogram(mixture)
        return float(np.square(histogram.shares(points) - mixture.weights @ histogram.expected).sum())


class ClassHistogramDifference(_AgainstMixture):
    """Quadratic difference of the histogram of each class from its component's, mean over classes (lower is better).

    As in the thesis's figure 5.2, of points that were asked for by class: of conditional games only. The bins are those
    of `histogram`. A class of which no point was asked for counts as an empty histogram.
    """

    needs_labels = True
    #: The only component that counts, from 1; 0 is the mean over all.
    component: ClassVar[int] = 0

    def score(self, mixture: Mixture, points: np.ndarray, labels: np.ndarray | None) -> float:
        from ganbench_mixtures.truth import Histogram

        if labels is None:
            raise ValueError("it needs the classes that points were asked for, of a conditional game")
        if self.component > len(mixture):
            raise ValueError(f"there are {len(mixture)} components, and no component {self.component}")
        histogram = Histogram(mixture)
        chosen = [self.component - 1] if self.component else range(len(mixture))
        parts = [np.square(histogram.shares(points[labels == k]) - histogram.expected[k]).sum() for k in chosen]
        return float(np.mean(parts))


class ClassHistogramDifference1(ClassHistogramDifference):
    """`class-histogram` of the first component alone (lower is better)."""

    component = 1


class ClassHistogramDifference2(ClassHistogramDifference):
    """`class-histogram` of the second component alone (lower is better)."""

    component = 2


class ClassHistogramDifference3(ClassHistogramDifference):
    """`class-histogram` of the third component alone (lower is better)."""

    component = 3


class ClassHistogramDifference4(ClassHistogramDifference):
    """`class-histogram` of the fourth component alone (lower is better)."""

    component = 4


class ModesCovered(_AgainstMixture):
    """Number of components that are covered (higher is better).

    A component is covered when the share of points that are nearest to it and within three standard deviations (by
    Mahalanobis distance) is at least a tenth of its weight. Stricter than the one point that is often asked for, and
    not dependent on their number.
    """

    direction = "higher"

    def score(self, mixture: Mixture, points: np.ndarray, labels: np.ndarray | None) -> float:
        from ganbench_mixtures.truth import distances

        apart = distances(mixture, points)
        nearest = apart.argmin(1)[apart.min(1) <= NEAR]
        shares = np.bincount(nearest, minlength=len(mixture)) / len(points)
        return float((shares >= MET * mixture.weights).sum())


class HighQualityShare(_AgainstMixture):
    """Share of points within three standard deviations (by Mahalanobis distance) of some component (higher is better).

    Srivastava et al. (2017, arXiv:1705.07761), who take it of narrow round Gaussians. Points of the mixture itself
    reach about 0.989 in the plane; more is no better, and a generator that makes a single point may reach 1.
    """

    direction = "higher"

    def score(self, mixture: Mixture, points: np.ndarray, labels: np.ndarray | None) -> float:
        from ganbench_mixtures.truth import distances

        return float((distances(mixture, points).min(1) <= NEAR).mean())


class ModeSpread(_AgainstMixture):
    """How near the spread within modes is to the true one: min(r, 1/r), mean over components (higher is better, to 1).

    r² = tr(Σ_k⁻¹ S_k) / d, where S_k is the covariance of the points about their own mean, weighted by the probability
    that each is of component k; of the mixture itself it is Σ_k, however much components overlap. Points that agree
    (r near 0) and points that are strewn (r above 1) are both bad, and so is a component that gets less than a point.
    """

    direction = "higher"

    def score(self, mixture: Mixture, points: np.ndarray, labels: np.ndarray | None) -> float:
        from ganbench_mixtures.truth import responsibilities

        parts = []
        belongs = responsibilities(mixture, points)
        for k, covariance in enumerate(mixture.covariances):
            weights = belongs[:, k]
            if weights.sum() < 1:
                parts.append(0.0)
                continue
            centred = points - np.average(points, axis=0, weights=weights)
            own = (weights[:, None] * centred).T @ centred / weights.sum()
            ratio = np.sqrt(max(0.0, np.trace(np.linalg.solve(covariance, own)) / mixture.dim))
            parts.append(min(ratio, 1 / ratio) if ratio else 0.0)
        return float(np.mean(parts))


class ModeKL(_AgainstMixture):
    """KL divergence of the generated weights of the components from the true ones, in nats (lower is better).

    KL(q ‖ π), where q_k is the mean probability that a generated point is of component k: π_k for the mixture itself,
    however much components overlap, and the share of points in mode k where they do not.
    """

    def score(self, mixture: Mixture, points: np.ndarray, labels: np.ndarray | None) -> float:
        from scipy.special import rel_entr

        return float(rel_entr(_shares(mixture, points), mixture.weights).sum())


class ModeJS(_AgainstMixture):
    """Jensen–Shannon divergence of generated and true weights of the components, in nats (lower is better, to ln 2).

    ½ KL(q ‖ m) + ½ KL(π ‖ m) with m = ½ (q + π), and q as for `mode-kl`.
    """

    def score(self, mixture: Mixture, points: np.ndarray, labels: np.ndarray | None) -> float:
        from scipy.special import rel_entr

        shares = _shares(mixture, points)
        middle = (shares + mixture.weights) / 2
        return float((rel_entr(shares, middle).sum() + rel_entr(mixture.weights, middle).sum()) / 2)


def _shares(mixture: Mixture, points: np.ndarray) -> np.ndarray:
    """The mean probability of each component, K."""
    from ganbench_mixtures.truth import responsibilities

    return responsibilities(mixture, points).mean(0)


class SlicedW2(_AgainstMixture):
    """Sliced 2-Wasserstein distance from the mixture, in the unit of the points (lower is better).

    Bonneel et al. (2015, doi:10.1007/s10851-014-0506-3): the root of the mean squared distance along 32 directions, in
    the plane evenly over the half circle. The mixture's quantiles are its own, not those of samples.
    """

    def score(self, mixture: Mixture, points: np.ndarray, labels: np.ndarray | None) -> float:
        from ganbench_mixtures.truth import sliced_w2

        return sliced_w2(mixture, points)
