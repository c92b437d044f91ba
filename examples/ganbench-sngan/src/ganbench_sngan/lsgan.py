"""LSGAN: least squares in the place of the cross entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Optimizer, Params, Player, Variant, param

from ganbench_sngan.sizes import halvings, unsuitable

if TYPE_CHECKING:
    from torch import Tensor, nn

#: The targets of equation 2: a of fake and b of real images for the discriminator, c of fake ones for the generator.
CODINGS = {"binary": (0.0, 1.0, 1.0), "pearson": (-1.0, 1.0, 0.0)}


@dataclass(frozen=True)
class LSGANParams(Params):
    """The paper's values are those of its experiments on scenes (section 4.1)."""

    batch_size: int = param(64, "images per minibatch", symbol="BS", min=2, max=8192, paper=64)
    latent_dim: int = param(128, "dimension of the latent vectors", symbol="LDIM", min=1, max=4096, paper=1024)
    width: int = param(64, "channels at the highest resolution", symbol="WIDTH", min=1, max=1024, paper=64)
    lr: float = param(
        1e-3, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=1e-3
    )
    beta1: float = param(
        0.5, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999, paper=0.5
    )
    coding: str = param(
        "binary",
        "targets of the costs: 0 and 1 (equation 9), or those of the Pearson χ² divergence (equation 8)",
        symbol="CODE",
        choices=tuple(CODINGS),
        paper="binary",
    )
    ema: float = param(
        0.0,
        "decay per update of the averaged generator that is sampled; 0 is off",
        symbol="EMA",
        min=0.0,
        max=0.99999,
        off=0.0,
    )


class LSGAN(Variant):
    """Least squares GAN with convolutional networks (Mao et al. 2017, arXiv:1611.04076).

    The networks are those of the paper's figure 2, which makes images of 112×112, for smaller ones: 5×5 convolutions,
    images halved at most four times and at least twice (8→2, 28→7, 32→2). Left out are the generator's convolutions
    between two doublings, which keep the resolution.
    """

    Params = LSGANParams
    paper = "Mao et al. 2017, Least Squares Generative Adversarial Networks, arXiv:1611.04076"

    def unsuitable(self, data: DataSpec, params: LSGANParams) -> str | None:
        return unsuitable(data)

    def game(self, data: DataSpec, params: LSGANParams) -> Game:
        generator, discriminator = _generator(data, params), _discriminator(data, params)
        latent = Latent(params.latent_dim)
        a, b, c = CODINGS[params.coding]

        def discriminator_cost(batch: Batch) -> Tensor:
            fake = generator(latent(len(batch)))
            return ((discriminator(batch.images) - b) ** 2).mean() / 2 + ((discriminator(fake) - a) ** 2).mean() / 2

        def generator_cost(batch: Batch) -> Tensor:
            return ((discriminator(generator(latent(len(batch)))) - c) ** 2).mean() / 2

        adam = Optimizer("adam", lr=params.lr, beta1=params.beta1)
        return Game(
            players=[
                Player("discriminator", discriminator, discriminator_cost, adam),
                Player("generator", generator, generator_cost, adam),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            batch_size=params.batch_size,
            ema=params.ema,
        )


def _widths(data: DataSpec, params: LSGANParams) -> list[int]:
    """Channels from the highest resolution to the lowest: 64, 128, 256, 512 in the paper."""
    return [params.width * 2**stage for stage in range(halvings(data.size, 4))]


def _generator(data: DataSpec, params: LSGANParams) -> nn.Module:
    """Latent vectors N×latent_dim to images N×C×H×W in [-1, 1]."""
    from torch import nn

    *widths, width = _widths(data, params)
    size = data.size // 2 ** (len(widths) + 1)
    layers: list[nn.Module] = [
        nn.Linear(params.latent_dim, width * size**2, bias=False),
        nn.Unflatten(1, (width, size, size)),
    ]
    for outputs in [*reversed(widths), data.channels]:
        layers += [
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(width, outputs, 5, stride=2, padding=2, output_padding=1, bias=outputs == data.channels),
        ]
        width = outputs
    return _initialised(nn.Sequential(*layers, nn.Tanh()))


def _discriminator(data: DataSpec, params: LSGANParams) -> nn.Module:
    """Images N×C×H×W to one number each, N×1."""
    from torch import nn

    layers: list[nn.Module] = []
    inputs = data.channels
    for stage, width in enumerate(_widths(data, params)):
        layers.append(nn.Conv2d(inputs, width, 5, stride=2, padding=2, bias=stage == 0))
        layers += [nn.BatchNorm2d(width)] if stage else []
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        inputs = width
    size = data.size // 2 ** len(_widths(data, params))
    return _initialised(nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * size**2, 1)))


def _initialised(network: nn.Module) -> nn.Module:
    """`network` with weights from N(0, 0.02), as DCGAN has them, and biases of zero."""
    from torch import nn

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network
