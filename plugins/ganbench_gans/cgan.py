"""CGAN: both players are told the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant, param
from ganbench_gans.dcgan import DCGANParams
from ganbench_gans.params import wrong_size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CGANParams(DCGANParams):
    """DCGAN's parameters, with the values of the CGAN paper's experiment on MNIST (its section 4.1)."""

    batch_size: int = param(64, "images per minibatch", symbol="BS", min=2, max=8192, paper=100)
    latent_dim: int = param(64, "dimension of the latent vectors", symbol="LDIM", min=1, max=4096, paper=100)
    optimizer: str = param(
        "adam", "optimiser of both players", symbol="OPT", choices=("sgd", "adam", "rmsprop"), paper="sgd"
    )
    lr: float = param(
        2e-4, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=0.1
    )
    momentum: float = param(0.0, "momentum of SGD and RMSprop", symbol="MOM", min=0.0, max=0.9999, paper=0.5)


class CGAN(Variant):
    """Conditional GAN (Mirza & Osindero 2014, arXiv:1411.1784) on DCGAN's networks.

    Labels are embedded and mapped by a dense layer to an extra channel: of the generator's coarsest feature map, and
    of the discriminator's input. Generated images take the labels of the current real batch.
    """

    Params = CGANParams
    paper = "Mirza & Osindero 2014, Conditional Generative Adversarial Nets, arXiv:1411.1784"

    def unsuitable(self, data: DataSpec, params: CGANParams) -> str | None:
        if data.classes < 2:
            return "a conditional GAN needs labelled data of at least two classes"
        return wrong_size(data)

    def game(self, data: DataSpec, params: CGANParams) -> Game:
        from ganbench_gans.networks import Discriminator, Generator, dcgan_init, fake_cost, real_cost

        generator = Generator(
            data.shape,
            params.latent_dim,
            params.width,
            upsample=params.upsample,
            batch_norm=params.batch_norm,
            classes=data.classes,
        )
        discriminator = Discriminator(
            data.shape, params.width, norm="batch" if params.batch_norm else "none", classes=data.classes
        )
        dcgan_init(generator, discriminator)
        latent = Latent(params.latent_dim, params.latent)

        def discriminator_cost(batch: Batch) -> Tensor:
            fake = generator(latent(len(batch)), batch.labels)
            return real_cost(discriminator(batch.images, batch.labels), params.label_smoothing) + fake_cost(
                discriminator(fake, batch.labels)
            )

        def generator_cost(batch: Batch) -> Tensor:
            return real_cost(discriminator(generator(latent(len(batch)), batch.labels), batch.labels))

        return Game(
            players=[
                Player("discriminator", discriminator, discriminator_cost, params.make_optimizer()),
                Player("generator", generator, generator_cost, params.make_optimizer()),
            ],
            sample=lambda n, labels: generator(latent(n), labels),
            generator=generator,
            latent=latent,
            discriminator=discriminator,
            conditional=True,
            batch_size=params.batch_size,
            ema=params.ema,
        )
