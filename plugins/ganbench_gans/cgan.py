"""CGAN: both players are told the class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant
from ganbench_gans.dcgan import DCGANParams
from ganbench_gans.params import wrong_size

if TYPE_CHECKING:
    from torch import Tensor


class CGAN(Variant):
    """Conditional GAN (Mirza & Osindero 2014, arXiv:1411.1784) on DCGAN's networks.

    Labels are embedded and mapped by a dense layer to an extra channel: of the generator's coarsest feature map, and
    of the discriminator's input. Generated images take the labels of the current real batch.
    """

    Params = DCGANParams
    paper = "Mirza & Osindero 2014, Conditional Generative Adversarial Nets, arXiv:1411.1784"

    def unsuitable(self, data: DataSpec, params: DCGANParams) -> str | None:
        if data.classes < 2:
            return "a conditional GAN needs labelled data of at least two classes"
        return wrong_size(data)

    def game(self, data: DataSpec, params: DCGANParams) -> Game:
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
            conditional=True,
            batch_size=params.batch_size,
            ema=params.ema,
        )
