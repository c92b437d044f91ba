"""The hyper-parameters that the variants share; each variant restates those whose default or paper value differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from ganbench.api import DataSpec, Optimizer, Params, param


@dataclass(frozen=True)
class GANParams(Params):
    """What every variant has: a batch size, latent vectors and an optimiser."""

    batch_size: int = param(64, "images per minibatch", symbol="BS", min=2, max=8192)
    latent_dim: int = param(64, "dimension of the latent vectors", symbol="LDIM", min=1, max=4096)
    latent: str = param(
        "normal", "distribution of the latent vectors", symbol="LATENT", choices=("normal", "uniform", "sphere")
    )
    optimizer: str = param("adam", "optimiser of both players", symbol="OPT", choices=("sgd", "adam", "rmsprop"))
    lr: float = param(2e-4, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0)
    beta1: float = param(0.5, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999)
    beta2: float = param(
        0.999,
        "Adam's decay of the squared gradient (RMSprop's α)",
        symbol="β2",
        notation="decimal",
        min=0.0,
        max=0.999999,
    )
    momentum: float = param(0.0, "momentum of SGD and RMSprop", symbol="MOM", min=0.0, max=0.9999)
    lr_schedule: str = param("constant", "step size over the budget", symbol="SCHED", choices=("constant", "linear"))
    ema: float = param(
        0.0, "decay per update of the averaged generator that is sampled; 0 is off", symbol="EMA", min=0.0, max=0.99999
    )

    def make_optimizer(self) -> Optimizer:
        """The optimiser these parameters describe."""
        return Optimizer(
            kind=cast('Literal["sgd", "adam", "rmsprop"]', self.optimizer),  # `choices` sees to it
            lr=self.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            momentum=self.momentum,
            schedule=cast('Literal["constant", "linear"]', self.lr_schedule),
        )


@dataclass(frozen=True)
class ConvParams(GANParams):
    """What the convolutional variants have beside: how they upsample, normalise, and how wide they are."""

    upsample: str = param(
        "transposed",
        "how the generator doubles its resolution: transposed convolution, or interpolation and convolution",
        symbol="UP",
        choices=("transposed", "nearest", "bilinear"),
        paper="transposed",
    )
    batch_norm: bool = param(True, "batch normalisation", symbol="BN", paper=True)
    width: int = param(64, "channels at the highest resolution", symbol="WIDTH", min=1, max=1024, paper=128)


#: Image sizes that the networks are made and tested for.
SIZES = (8, 28, 32, 48, 64)


def wrong_size(data: DataSpec) -> str | None:
    """Why the networks here cannot be built for images of this shape, or None."""
    if data.size not in SIZES or data.channels not in (1, 3):
        sizes = ", ".join(map(str, SIZES))
        return f"the networks are made for {sizes} pixels and 1 or 3 channels, not {data.size} and {data.channels}"
    return None
