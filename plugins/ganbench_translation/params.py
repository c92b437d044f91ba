"""What pix2pix and CycleGAN have in common: hyper-parameters, and the data that their networks are made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from ganbench.api import DataSpec, Optimizer, Params, param


@dataclass(frozen=True)
class TranslationParams(Params):
    batch_size: int = param(4, "images per minibatch", symbol="BS", min=1, max=1024, paper=1)
    width: int = param(64, "channels of the generator at full resolution", symbol="WIDTH", min=1, max=512, paper=64)
    patch_width: int = param(64, "channels of the discriminator's first layer", symbol="DWIDTH", min=1, paper=64)
    patch_layers: int = param(
        0,
        "layers of the discriminator that halve the resolution; 0: 1 below 32 pixels, 2 below 128, else 3",
        symbol="DLAYERS",
        min=0,
        max=6,
        off=0,
        paper=3,
    )
    lr: float = param(
        2e-4, "step size of all players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=2e-4
    )
    beta1: float = param(
        0.5, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999, paper=0.5
    )
    lr_schedule: str = param(
        "constant", "step size over the budget", symbol="SCHED", choices=("constant", "linear"), off="constant"
    )
    ema: float = param(
        0.0,
        "decay per update of the averaged generator that translates; 0 is off",
        symbol="EMA",
        min=0.0,
        max=0.99999,
        off=0.0,
    )

    def make_optimizer(self) -> Optimizer:
        """Adam as these parameters describe it."""
        schedule = cast('Literal["constant", "linear"]', self.lr_schedule)  # `choices` sees to it
        return Optimizer("adam", lr=self.lr, beta1=self.beta1, schedule=schedule)


def patch_layers(size: int, wanted: int) -> int:
    """Halving layers of the discriminator: `wanted`, or by the size so that a patch is about half of the image."""
    return wanted or (1 if size < 32 else 2 if size < 128 else 3)


def unsuitable(data: DataSpec, params: TranslationParams) -> str | None:
    """Why the networks cannot be built for such images, or None."""
    source = data.source or data.shape
    if source[1:] != data.shape[1:]:
        return f"its networks keep the size of images, and sources are {source[1]} pixels and images {data.size}"
    if data.size % 4 or data.size < 8:
        return f"its networks are made for sizes that are multiples of 4, from 8, and not for {data.size} pixels"
    layers = patch_layers(data.size, params.patch_layers)
    if data.size >> layers < 3:  # two more layers take a pixel each
        return (
            f"{layers} halving layers of the discriminator leave nothing of {data.size} pixels; set patch_layers lower"
        )
    return None
