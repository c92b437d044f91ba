"""Hyper-parameters that the thesis's variants share, in the order in which its legends name them.

A variant's parameters are these groups and its own; dataclasses take the fields of the last base first.
"""

from __future__ import annotations

from dataclasses import dataclass

from ganbench.api import DataSpec, Optimizer, Params, param


@dataclass(frozen=True)
class SizeParams(Params):
    batch_size: int = param(16, "images per minibatch", symbol="BS", min=2, max=8192)
    latent_dim: int = param(100, "dimension of the (standard normal) latent vectors", symbol="LDIM", min=1, max=4096)


@dataclass(frozen=True)
class CriticParams(Params):
    n_critic: int = param(5, "critic turns per generator turn", symbol="NCRIT", min=1, max=1000, paper=5)


@dataclass(frozen=True)
class AdamParams(Params):
    lr: float = param(1e-4, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0)
    beta1: float = param(0.9, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999)
    beta2: float = param(
        0.999, "Adam's decay of the squared gradient", symbol="β2", notation="decimal", min=0.0, max=0.999999
    )
    eps: float = param(
        1e-7, "added to Adam's denominator (Keras: 1e-7)", symbol="ε", notation="scientific", min=1e-12, max=1e-1
    )

    def adam(self) -> Optimizer:
        """The optimiser these parameters describe."""
        return Optimizer("adam", lr=self.lr, beta1=self.beta1, beta2=self.beta2, eps=self.eps)


@dataclass(frozen=True)
class UpsampleParams(Params):
    upsample: str = param(
        "TrpConv",
        "how the generator doubles its resolution: transposed convolution, or interpolation and convolution",
        symbol="UP",
        choices=("TrpConv", "Nearest", "Bilinear"),
        paper="TrpConv",
    )
    batch_norm: bool = param(True, "batch normalisation in the generator (never at 32 pixels)", symbol="BN", paper=True)


@dataclass(frozen=True)
class SmoothParams(Params):
    smooth: float = param(
        1.0, "target of real images (Salimans et al. 2016: 0.9)", symbol="SMOOTH", off=1.0, min=0.5, max=1.0
    )


@dataclass(frozen=True)
class WidthParams(Params):
    width: float = param(
        1.0, "factor on all numbers of channels; the thesis's networks have 1", symbol="WIDTH", min=0.02, max=8.0
    )


@dataclass(frozen=True)
class MapParams(Params):
    logit_map: bool = param(
        False,
        "the last layer judges each of the last 3×3 positions, not the image (48 pixels; the thesis: yes)",
        symbol="MAP",
    )


def unsuitable(data: DataSpec, *, logit_map: bool = False) -> str | None:
    """Why the thesis's networks cannot be built for such images, or None."""
    if logit_map and data.size != 48:
        return f"logit_map is for 48 pixels, not {data.size}"
    if data.size not in (28, 32, 48):
        return f"the thesis has networks for 28, 32 and 48 pixels, not for {data.size}"
    return None
