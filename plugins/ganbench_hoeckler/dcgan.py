"""The thesis's DCGAN (sections 5.2, 5.7.1 and 5.7.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant
from ganbench_hoeckler.params import (
    AdamParams,
    MapParams,
    SizeParams,
    SmoothParams,
    UpsampleParams,
    WidthParams,
    unsuitable,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DCGANParams(MapParams, WidthParams, SmoothParams, UpsampleParams, AdamParams, SizeParams): ...


class DCGAN(Variant):
    """Deep convolutional GAN (Radford et al. 2015, arXiv:1511.06434) with the thesis's networks.

    Unlike the paper's there is no batch normalisation in the discriminator but dropout, activations come before
    normalisation, and at 28 pixels kernels are 5×5.
    """

    Params = DCGANParams
    paper = "Radford et al. 2015, Unsupervised Representation Learning with DCGANs, arXiv:1511.06434"

    def unsuitable(self, data: DataSpec, params: DCGANParams) -> str | None:
        return unsuitable(data, logit_map=params.logit_map)

    def game(self, data: DataSpec, params: DCGANParams) -> Game:
        from ganbench_hoeckler import costs
        from ganbench_hoeckler.networks import Discriminator, Generator

        generator = Generator(
            data.shape, params.latent_dim, upsample=params.upsample, norm=params.batch_norm, width=params.width
        )
        discriminator = Discriminator(data.shape, logit_map=params.logit_map, width=params.width)
        latent = Latent(params.latent_dim)

        def discriminator_cost(batch: Batch) -> Tensor:
            fake = generator(latent(len(batch)))
            return costs.discriminator_cost(discriminator(batch.images), discriminator(fake), params.smooth)

        def generator_cost(batch: Batch) -> Tensor:
            return costs.generator_cost(discriminator(generator(latent(len(batch)))))

        return Game(
            players=[
                Player("discriminator", discriminator, discriminator_cost, params.adam()),
                Player("generator", generator, generator_cost, params.adam()),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            latent=latent,
            batch_size=params.batch_size,
        )
