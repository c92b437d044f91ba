"""SNGAN: a discriminator with spectrally normalised weights, and the hinge cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Optimizer, Params, Player, Variant, param

from ganbench_sngan.sizes import halvings, unsuitable

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class SNGANParams(Params):
    """The paper's values are those of its section 4 and of setting C in its table 1, one of six that it compares.

    The defaults are for short trainings: without momentum and with two turns of the discriminator, steps can be larger.
    """

    batch_size: int = param(64, "images per minibatch", symbol="BS", min=2, max=8192, paper=64)
    latent_dim: int = param(128, "dimension of the latent vectors", symbol="LDIM", min=1, max=4096, paper=128)
    width: int = param(64, "channels at the highest resolution", symbol="WIDTH", min=1, max=1024, paper=64)
    lr: float = param(
        5e-4, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=2e-4
    )
    beta1: float = param(
        0.0, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999, paper=0.5
    )
    beta2: float = param(
        0.999,
        "Adam's decay of the squared gradient",
        symbol="β2",
        notation="decimal",
        min=0.0,
        max=0.999999,
        paper=0.999,
    )
    n_dis: int = param(2, "discriminator turns per generator turn", symbol="NDIS", min=1, max=1000, paper=1)
    power_iterations: int = param(1, "power iterations per discriminator turn", symbol="NPOW", min=1, max=100, paper=1)
    ema: float = param(
        0.0,
        "decay per update of the averaged generator that is sampled; 0 is off",
        symbol="EMA",
        min=0.0,
        max=0.99999,
        off=0.0,
    )


class SNGAN(Variant):
    """Spectrally normalised GAN with the hinge cost (Miyato et al. 2018, arXiv:1802.05957).

    The networks are the paper's "standard CNN" (table 3) with `width` 64 on 32×32 images. Other sizes are halved at
    most three times and at least twice (8→2, 28→7, 48→6); with fewer halvings the widest layers are left out.
    """

    Params = SNGANParams
    paper = "Miyato et al. 2018, Spectral Normalization for Generative Adversarial Networks, arXiv:1802.05957"

    def unsuitable(self, data: DataSpec, params: SNGANParams) -> str | None:
        return unsuitable(data)

    def game(self, data: DataSpec, params: SNGANParams) -> Game:
        from torch.nn.functional import relu

        from ganbench_sngan.spectral import power_iteration

        generator, discriminator = _generator(data, params), _discriminator(data, params)
        latent = Latent(params.latent_dim)

        def discriminator_cost(batch: Batch) -> Tensor:  # equation 16, negated: the paper maximises it
            fake = generator(latent(len(batch)))
            return relu(1 - discriminator(batch.images)).mean() + relu(1 + discriminator(fake)).mean()

        def generator_cost(batch: Batch) -> Tensor:  # equation 17
            return -discriminator(generator(latent(len(batch)))).mean()

        adam = Optimizer("adam", lr=params.lr, beta1=params.beta1, beta2=params.beta2)
        return Game(
            players=[
                Player(
                    "discriminator",
                    discriminator,
                    discriminator_cost,
                    adam,
                    turns=params.n_dis,
                    after_turn=lambda: power_iteration(discriminator, params.power_iterations),
                ),
                Player("generator", generator, generator_cost, adam),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            batch_size=params.batch_size,
            ema=params.ema,
        )


def _generator(data: DataSpec, params: SNGANParams) -> nn.Module:
    """Latent vectors N×latent_dim to images N×C×H×W in [-1, 1] (table 3a)."""
    from torch import nn

    stages = halvings(data.size, 3)
    size, width = data.size // 2**stages, params.width * 2**stages
    layers: list[nn.Module] = [
        nn.Linear(params.latent_dim, width * size**2),
        nn.Unflatten(1, (width, size, size)),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]
    for _ in range(stages):
        layers += [
            nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(inplace=True),
        ]
        width //= 2
    layers += [nn.Conv2d(width, data.channels, 3, padding=1), nn.Tanh()]
    network = nn.Sequential(*layers)
    _initialise(network)
    return network


def _discriminator(data: DataSpec, params: SNGANParams) -> nn.Module:
    """Images N×C×H×W to one number each, N×1 (table 3b), every weight normalised."""
    from torch import nn

    from ganbench_sngan.spectral import spectral_norm

    stages, width = halvings(data.size, 3), params.width
    layers: list[nn.Module] = [nn.Conv2d(data.channels, width, 3, padding=1), nn.LeakyReLU(0.1, inplace=True)]
    for _ in range(stages):
        layers += [nn.Conv2d(width, width, 4, stride=2, padding=1), nn.LeakyReLU(0.1, inplace=True)]
        layers += [nn.Conv2d(width, 2 * width, 3, padding=1), nn.LeakyReLU(0.1, inplace=True)]
        width *= 2
    size = data.size // 2**stages
    layers += [nn.Flatten(), nn.Linear(width * size**2, 1)]
    network = nn.Sequential(*layers)
    _initialise(network)
    for layer in layers:
        if hasattr(layer, "weight"):
            spectral_norm(layer)
    return network


def _initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02), as DCGAN has them; biases zero."""
    from torch import nn

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
