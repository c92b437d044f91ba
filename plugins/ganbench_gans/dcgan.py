"""DCGAN: convolutional networks after the rules that made them train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant, param
from ganbench_gans.params import ConvParams, wrong_size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DCGANParams(ConvParams):
    batch_size: int = param(64, "images per minibatch", symbol="BS", min=2, max=8192, paper=128)
    latent_dim: int = param(64, "dimension of the latent vectors", symbol="LDIM", min=1, max=4096, paper=100)
    latent: str = param(
        "normal",
        "distribution of the latent vectors",
        symbol="LATENT",
        choices=("normal", "uniform", "sphere"),
        paper="uniform",
    )
    optimizer: str = param(
        "adam", "optimiser of both players", symbol="OPT", choices=("sgd", "adam", "rmsprop"), paper="adam"
    )
    lr: float = param(
        2e-4, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=2e-4
    )
    beta1: float = param(
        0.5, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999, paper=0.5
    )
    beta2: float = param(
        0.999,
        "Adam's decay of the squared gradient (RMSprop's α)",
        symbol="β2",
        notation="decimal",
        min=0.0,
        max=0.999999,
        paper=0.999,
    )
    label_smoothing: float = param(
        0.0, "real images get the target 1 - this (Salimans et al. 2016)", symbol="SMOOTH", min=0.0, max=0.5, paper=0.0
    )


class DCGAN(Variant):
    """Deep convolutional GAN (Radford, Metz & Chintala 2015, arXiv:1511.06434), with the non-saturating cost."""

    Params = DCGANParams
    paper = "Radford et al. 2015, Unsupervised Representation Learning with DCGANs, arXiv:1511.06434"

    def unsuitable(self, data: DataSpec, params: DCGANParams) -> str | None:
        return wrong_size(data)

    def game(self, data: DataSpec, params: DCGANParams) -> Game:
        from ganbench_gans.networks import Discriminator, Generator, dcgan_init, fake_cost, real_cost

        generator = Generator(
            data.shape, params.latent_dim, params.width, upsample=params.upsample, batch_norm=params.batch_norm
        )
        discriminator = Discriminator(data.shape, params.width, norm="batch" if params.batch_norm else "none")
        dcgan_init(generator, discriminator)
        latent = Latent(params.latent_dim, params.latent)

        def discriminator_cost(batch: Batch) -> Tensor:
            fake = generator(latent(len(batch)))
            return real_cost(discriminator(batch.images), params.label_smoothing) + fake_cost(discriminator(fake))

        def generator_cost(batch: Batch) -> Tensor:
            return real_cost(discriminator(generator(latent(len(batch)))))

        return Game(
            players=[
                Player("discriminator", discriminator, discriminator_cost, params.make_optimizer()),
                Player("generator", generator, generator_cost, params.make_optimizer()),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            latent=latent,
            discriminator=discriminator,
            batch_size=params.batch_size,
            ema=params.ema,
        )
