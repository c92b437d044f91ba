"""Points of Gaussian mixtures, labelled by component. Nothing to download."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganbench.api import Dataset, DataSpec, Params, Split, param
from ganbench_mixtures.mixture import Mixture, equal, read


@dataclass(frozen=True)
class MixtureParams(Params):
    points: int = param(100_000, "points in the train split", min=100, max=10_000_000)
    test: int = param(10_000, "points in the test split, which the real rows are of", min=10, max=10_000_000)


class _OfMixture(Dataset):
    """Points of `mixture`. The test split is of independent draws; the train split has the mixture's exact moments.

    So metrics that learn the mixture from the train split and its labels know the truth (`Mixture.draw_matched`).
    """

    Params = MixtureParams
    params: MixtureParams

    @abstractmethod
    def mixture(self) -> Mixture:
        """What the points are drawn from."""

    def spec(self) -> DataSpec:
        mixture = self.mixture()
        return DataSpec((mixture.dim,), classes=len(mixture))

    def load(self, root: Path) -> Mapping[str, Split]:
        mixture, rng = self.mixture(), np.random.default_rng(0)
        train = mixture.draw_matched(self.params.points, rng)
        return {"train": Split(*train), "test": Split(*mixture.draw(self.params.test, rng))}


class FourGaussians(_OfMixture):
    """Four overlapping Gaussians in the plane, of weights 0.4, 0.2, 0.2 and 0.2; the thesis's equations 5.6 to 5.8."""

    def mixture(self) -> Mixture:
        return Mixture(
            np.array([0.4, 0.2, 0.2, 0.2]),
            np.array([[0.0, 0.0], [0.0, 3.0], [-3.0, -3.0], [3.0, -3.0]]),
            np.array(
                [
                    [[3.0, 0.0], [0.0, 1.0]],
                    [[2.0, -0.5], [-0.5, 1.0]],
                    [[1.5, 1.0], [1.0, 2.0]],
                    [[2.0, -1.0], [-1.0, 1.5]],
                ]
            ),
        )


@dataclass(frozen=True)
class Ring8Params(MixtureParams):
    radius: float = param(2.0, "distance of the means from the origin", symbol="R", min=1e-3, max=1e3)
    std: float = param(0.02, "standard deviation of each Gaussian", symbol="σ", min=1e-4, max=1e3)


class Ring8(_OfMixture):
    """Eight narrow Gaussians on a circle, equally likely (Metz et al. 2017, arXiv:1611.02163, section 3.1)."""

    Params = Ring8Params
    params: Ring8Params

    def mixture(self) -> Mixture:
        angles = np.arange(8) * np.pi / 4
        return equal(self.params.radius * np.stack([np.cos(angles), np.sin(angles)], 1), self.params.std)


@dataclass(frozen=True)
class Grid25Params(MixtureParams):
    spacing: float = param(2.0, "distance of neighbouring means", symbol="STEP", min=1e-3, max=1e3)
    std: float = param(0.05, "standard deviation of each Gaussian", symbol="σ", min=1e-4, max=1e3)


class Grid25(_OfMixture):
    """Twenty-five narrow Gaussians on a 5×5 grid, equally likely (Srivastava et al. 2017, arXiv:1705.07761)."""

    Params = Grid25Params
    params: Grid25Params

    def mixture(self) -> Mixture:
        places = self.params.spacing * np.arange(-2.0, 3.0)
        return equal(np.stack(np.meshgrid(places, places, indexing="ij"), -1).reshape(25, 2), self.params.std)


class OwnMixture(_OfMixture):
    """A mixture of your own, mixture:PATH.toml: [[component]] tables with weight, mean and covariance.

    Of any dimension and of two or more components; weights are divided by their sum.
    """

    takes_argument = True

    def mixture(self) -> Mixture:
        return read(self._path)

    def source(self, root: Path) -> str:
        return hashlib.sha256(self._path.read_bytes()).hexdigest() if self._path.is_file() else ""

    @property
    def _path(self) -> Path:
        return Path(self.argument).expanduser()
