"""What is known of a Gaussian mixture in closed form, in float64. Needs NumPy and SciPy.

Points are N×d, K is the number of components.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax, ndtr

from ganbench_mixtures.mixture import Mixture

BINS = 32  # along each axis of a histogram
_REACH = 4.0  # standard deviations that its box goes beyond the means
_NODES, _LEGENDRE = 105, 24
_DIRECTIONS = 32


def distances(mixture: Mixture, points: np.ndarray) -> np.ndarray:
    """Mahalanobis distance of each point from each component, N×K."""
    whitening = np.linalg.inv(np.linalg.cholesky(mixture.covariances))
    white = [(points - mean) @ factor.T for mean, factor in zip(mixture.means, whitening, strict=True)]
    return np.stack([np.sqrt(np.square(one).sum(1)) for one in white], 1)


def responsibilities(mixture: Mixture, points: np.ndarray) -> np.ndarray:
    """Probability that each point came from each component, N×K; the mean over the mixture itself is its weights."""
    determinants = np.linalg.slogdet(mixture.covariances).logabsdet
    return np.exp(log_softmax(np.log(mixture.weights) - determinants / 2 - distances(mixture, points) ** 2 / 2, axis=1))


class Histogram:
    """Bins of the first two coordinates (of the only one, if d is 1), and how likely the mixture falls into each.

    `BINS` along each axis, over the box that reaches four standard deviations beyond every mean; what is outside is one
    more bin, the last. `expected`: K×(bins + 1), the probabilities under each component.
    """

    def __init__(self, mixture: Mixture) -> None:
        self.axes = min(2, mixture.dim)
        means = mixture.means[:, : self.axes]
        covariances = mixture.covariances[:, : self.axes, : self.axes]
        reach = _REACH * np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
        low, high = (means - reach).min(0), (means + reach).max(0)
        self.edges = [np.linspace(a, b, BINS + 1) for a, b in zip(low, high, strict=True)]
        probabilities = [_boxes(*each, self.edges).ravel() for each in zip(means, covariances, strict=True)]
        self.expected = np.stack([np.append(inside, max(0.0, 1 - inside.sum())) for inside in probabilities])

    def shares(self, points: np.ndarray) -> np.ndarray:
        """The share of the points in each bin; all zero where there are none."""
        counts, _ = np.histogramdd(points[:, : self.axes], self.edges)
        inside = counts.ravel()
        return np.append(inside, len(points) - inside.sum()) / max(1, len(points))


def _boxes(mean: np.ndarray, covariance: np.ndarray, edges: Sequence[np.ndarray]) -> np.ndarray:
    """Probability of each box between `edges` under a Gaussian in one or two dimensions.

    In two: the second coordinate given the first is Gaussian, and the first is integrated by Gauss and Legendre, to
    1e-9 for bins of up to eight standard deviations.
    """
    first = np.sqrt(covariance[0, 0])
    if len(edges) == 1:
        return np.diff(ndtr((edges[0] - mean[0]) / first))
    nodes, weights = np.polynomial.legendre.leggauss(_LEGENDRE)
    half = np.diff(edges[0])[:, None] / 2
    x = edges[0][:-1, None] + half * (nodes + 1)  # bins×nodes
    density = np.exp(-(((x - mean[0]) / first) ** 2) / 2) / (first * np.sqrt(2 * np.pi))
    slope = covariance[0, 1] / covariance[0, 0]
    rest = np.sqrt(covariance[1, 1] - slope * covariance[0, 1])
    below = ndtr((edges[1] - mean[1] - slope * (x - mean[0])[..., None]) / rest)
    return np.einsum("bn,bne->be", half * weights * density, np.diff(below, axis=-1))


def directions(dim: int) -> np.ndarray:
    """Unit vectors, L×d: evenly over the half circle in the plane, else fixed random ones; one in one dimension."""
    if dim == 1:
        return np.ones((1, 1))
    if dim == 2:
        angles = (np.arange(_DIRECTIONS) + 0.5) * np.pi / _DIRECTIONS
        return np.stack([np.cos(angles), np.sin(angles)], 1)
    drawn = np.random.default_rng(0).standard_normal((_DIRECTIONS, dim))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def sliced_w2(mixture: Mixture, points: np.ndarray) -> float:
    """Sliced 2-Wasserstein distance of points from the mixture (Bonneel et al. 2015): root of the mean over directions.

    Along a direction the mixture is one of Gaussians on a line, and the squared distance the mean over i of
    (x_(i) - Q((i - 1/2) / n))², with the i-th smallest projection and the mixture's quantile function.
    """
    levels = (np.arange(len(points)) + 0.5) / len(points)
    total = 0.0
    ways = directions(mixture.dim)
    for way in ways:
        projected = np.sort(points @ way)
        total += float(np.mean(np.square(projected - _quantiles(mixture, way, levels))))
    return float(np.sqrt(total / len(ways)))


def _quantiles(mixture: Mixture, way: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantiles of the mixture's projection, interpolated between values an eighth of a standard deviation apart."""
    means, stds = mixture.means @ way, np.sqrt(np.einsum("i,kij,j->k", way, mixture.covariances, way))
    places = np.unique(means[:, None] + stds[:, None] * np.linspace(-6.5, 6.5, _NODES))
    cumulative = ndtr((places[:, None] - means) / stds) @ mixture.weights
    return np.interp(levels, cumulative, places)
