"""Mixtures of Gaussians: what they are, and points from them. Needs NumPy only."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganbench.api import DatasetError

_FORM = "[[component]] with weight = 0.5, mean = [0, 0] and covariance = [[1, 0], [0, 1]]"


@dataclass(frozen=True, eq=False)
class Mixture:
    """`weights` K (their sum is 1), `means` K×d and `covariances` K×d×d (positive definite), all float64."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @property
    def dim(self) -> int:
        return int(self.means.shape[1])

    def __len__(self) -> int:
        return len(self.weights)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """N independent points (float32 n×d) and their components (int64 n)."""
        labels = rng.choice(len(self), size=n, p=self.weights).astype(np.int64)
        factors = np.linalg.cholesky(self.covariances)
        noise = rng.standard_normal((n, self.dim))
        points = self.means[labels] + np.einsum("nij,nj->ni", factors[labels], noise)
        return points.astype(np.float32), labels

    def draw_matched(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Like `draw`, with the truth in their moments.

        Components have ``weights`` times n points (rounded), and the points of each are moved and sheared (by about
        1/√n) so that their mean and their covariance (divisor n_k - 1) are the component's own. Who estimates a mixture
        from them gets this one, up to float32. Raises `DatasetError` where a component would have too few points.
        """
        ends = np.rint(np.cumsum(self.weights) * n).astype(int)
        counts = np.diff(ends, prepend=0)
        if counts.min() <= self.dim:
            raise DatasetError(
                f"component {counts.argmin() + 1} of the mixture would have {counts.min()} of {n:,} points; "
                "ask for more points, or give it more weight"
            )
        points = np.empty((n, self.dim))
        for k, (start, end) in enumerate(zip(ends - counts, ends, strict=True)):
            noise = rng.standard_normal((end - start, self.dim))
            noise -= noise.mean(0)
            white = np.linalg.solve(np.linalg.cholesky(np.atleast_2d(np.cov(noise.T))), noise.T)
            points[start:end] = self.means[k] + (np.linalg.cholesky(self.covariances[k]) @ white).T
        return points.astype(np.float32), np.repeat(np.arange(len(self)), counts).astype(np.int64)


def equal(means: np.ndarray, std: float) -> Mixture:
    """Equally likely round Gaussians around `means` (K×d)."""
    count, dim = means.shape
    return Mixture(np.full(count, 1 / count), means.astype(float), np.repeat(std**2 * np.eye(dim)[None], count, axis=0))


def read(path: Path) -> Mixture:
    """The mixture of a TOML file: tables ``[[component]]`` with ``weight``, ``mean`` and ``covariance``.

    Weights are divided by their sum. Raises `DatasetError`, one sentence, for anything else.
    """

    def refuse(what: str) -> DatasetError:
        return DatasetError(f"{path} is no mixture: {what}; it takes two or more {_FORM}")

    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DatasetError(
            f"there is no file {path} (looked in {Path.cwd()}); mixture:PATH takes a TOML file of {_FORM}"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise refuse(f"it cannot be read ({error})") from None
    components = content.get("component")
    if set(content) != {"component"} or not isinstance(components, list) or len(components) < 2:
        raise refuse(f"it has {', '.join(map(repr, content)) or 'nothing'}")
    parts = []
    for number, component in enumerate(components, 1):
        try:
            parts.append(_component(component))
        except (TypeError, ValueError) as error:
            raise refuse(f"component {number}: {error}") from None
    weights, means, covariances = zip(*parts, strict=True)
    if len({len(mean) for mean in means}) > 1:
        raise refuse("its means have different numbers of dimensions")
    shares = np.array(weights)
    return Mixture(shares / shares.sum(), np.stack(means), np.stack(covariances))


def _component(given: Any) -> tuple[float, np.ndarray, np.ndarray]:
    """Weight, mean and covariance of a table. Raises `ValueError` or `TypeError`."""
    if not isinstance(given, dict) or set(given) != {"weight", "mean", "covariance"}:
        raise ValueError(f"it has {', '.join(map(repr, given)) or 'nothing'}")
    weight, mean, covariance = (np.asarray(given[name], dtype=float) for name in ("weight", "mean", "covariance"))
    if weight.ndim or not 0 < weight < np.inf:
        raise ValueError(f"weight is {given['weight']!r}, not a number above 0")
    if mean.ndim != 1 or not len(mean) or not np.isfinite(mean).all():
        raise ValueError(f"mean is {given['mean']!r}, not a list of numbers")
    square = covariance.shape == (len(mean), len(mean)) and np.isfinite(covariance).all()
    if not square or not np.array_equal(covariance, covariance.T) or np.linalg.eigvalsh(covariance).min() <= 0:
        raise ValueError(
            f"covariance is {given['covariance']!r}, not a symmetric positive definite {len(mean)}×{len(mean)} matrix"
        )
    return float(weight), mean, covariance
