"""The hyper-parameters of GANs for points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from ganbench.api import Optimizer, Params, param


@dataclass(frozen=True)
class PointParams(Params):
    """The defaults are the setting of the thesis (example 4.2.1) where it says one, but for a larger step size.

    It does not say which optimiser it used: Adam with β1 = 0.5 is the one of the papers that it follows.
    """

    batch_size: int = param(64, "points per minibatch", symbol="BS", min=2, max=65536, paper=64)
    latent_dim: int = param(10, "dimension of the latent vectors", symbol="LDIM", min=1, max=4096, paper=10)
    latent: str = param(
        "uniform",
        "distribution of the latent vectors; uniform is on [-1, 1]",
        symbol="LATENT",
        choices=("uniform", "normal", "sphere"),
        off="uniform",
        paper="uniform",
    )
    cost: str = param(
        "non-saturating",
        "minimax (Goodfellow et al. 2014, equation 1), non-saturating (their section 3), wgan (clipped weights), "
        "wgan-gp (gradient penalty)",
        symbol="COST",
        choices=("non-saturating", "minimax", "wgan", "wgan-gp"),
        paper="non-saturating",
        off="non-saturating",
    )
    d_steps: int = param(1, "discriminator turns in a round", symbol="DSTEPS", min=1, max=1000, paper=1)
    g_steps: int = param(1, "generator turns in a round", symbol="GSTEPS", min=1, max=1000, paper=1)
    g_width: int = param(64, "units of the generator's first hidden layer", symbol="GW", min=1, max=8192, paper=64)
    g_depth: int = param(2, "hidden layers of the generator", symbol="GD", min=1, max=32, paper=2)
    d_width: int = param(64, "units of the discriminator's first hidden layer", symbol="DW", min=1, max=8192, paper=64)
    d_depth: int = param(2, "hidden layers of the discriminator", symbol="DD", min=1, max=32, paper=2)
    taper: bool = param(
        True, "each hidden layer has half the units of the one before it", symbol="TAPER", paper=True, off=True
    )
    clip: float = param(
        0.1, "wgan: the critic's weights are clipped to [-clip, clip]", symbol="CLIP", min=1e-6, max=10.0, off=0.1
    )
    gp_weight: float = param(
        1.0, "wgan-gp: weight of the gradient penalty", symbol="λ", notation="decimal", min=0.0, max=1e4, off=1.0
    )
    optimizer: str = param(
        "adam", "optimiser of both players", symbol="OPT", choices=("sgd", "adam", "rmsprop"), off="adam"
    )
    lr: float = param(
        1e-3, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=2e-4
    )
    beta1: float = param(
        0.5, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999, off=0.5
    )
    beta2: float = param(
        0.999,
        "Adam's decay of the squared gradient (RMSprop's α)",
        symbol="β2",
        notation="decimal",
        min=0.0,
        max=0.999999,
        off=0.999,
    )
    ema: float = param(
        0.0,
        "decay per update of the averaged generator that is sampled; 0 is off",
        symbol="EMA",
        min=0.0,
        max=0.99999,
        off=0.0,
    )

    def make_optimizer(self) -> Optimizer:
        """The optimiser these parameters describe."""
        return Optimizer(
            kind=cast('Literal["sgd", "adam", "rmsprop"]', self.optimizer),  # `choices` sees to it
            lr=self.lr,
            beta1=self.beta1,
            beta2=self.beta2,
        )

    def hidden(self, player: Literal["g", "d"]) -> list[int]:
        """Units of the hidden layers of a player's network: ``64, 32`` of width 64 and depth 2."""
        width, depth = (self.g_width, self.g_depth) if player == "g" else (self.d_width, self.d_depth)
        return [max(1, width >> i) if self.taper else width for i in range(depth)]
