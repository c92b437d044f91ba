"""The thesis's CGAN (section 5.3): its DCGAN, both players told the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant
from ganbench_hoeckler.params import AdamParams, SizeParams, SmoothParams, UpsampleParams, WidthParams, unsuitable

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CGANParams(WidthParams, SmoothParams, UpsampleParams, AdamParams, SizeParams): ...


class CGAN(Variant):
    """Conditional GAN (Mirza & Osindero 2014, arXiv:1411.1784) with the thesis's networks.

    Labels are embedded (36) and mapped by a dense layer to one channel: of the generator's first feature map, and of
    the discriminator's input. Generated images take the labels of the current real batch.
    """

    Params = CGANParams
    paper = "Mirza & Osindero 2014, Conditional Generative Adversarial Nets, arXiv:1411.1784"

    def unsuitable(self, data: DataSpec, params: CGANParams) -> str | None:
        if data.classes < 2:
            return "a conditional GAN needs labelled data of at least two classes"
        return unsuitable(data)

    def game(self, data: DataSpec, params: CGANParams) -> Game:
        from ganbench_hoeckler import costs
        from ganbench_hoeckler.networks import Discriminator, Generator

        generator = Generator(
            data.shape,
            params.latent_dim,
            upsample=params.upsample,
            norm=params.batch_norm,
            classes=data.classes,
            width=params.width,
        )
        discriminator = Discriminator(data.shape, classes=data.classes, width=params.width)
        latent = Latent(params.latent_dim)

        def discriminator_cost(batch: Batch) -> Tensor:
            fake = generator(latent(len(batch)), batch.labels)
            real_logits, fake_logits = discriminator(batch.images, batch.labels), discriminator(fake, batch.labels)
            return costs.discriminator_cost(real_logits, fake_logits, params.smooth)

        def generator_cost(batch: Batch) -> Tensor:
            fake = generator(latent(len(batch)), batch.labels)
            return costs.generator_cost(discriminator(fake, batch.labels))

        return Game(
            players=[
                Player("discriminator", discriminator, discriminator_cost, params.adam()),
                Player("generator", generator, generator_cost, params.adam()),
            ],
            sample=lambda n, labels: generator(latent(n), labels),
            generator=generator,
            latent=latent,
            conditional=True,
            batch_size=params.batch_size,
        )
