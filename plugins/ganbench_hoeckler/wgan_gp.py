"""The thesis's WGAN-GP (sections 5.5 and 5.7.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from ganbench.api import Batch, DataSpec, Game, Latent, Params, Player, Variant, param
from ganbench_hoeckler.params import (
    AdamParams,
    CriticParams,
    MapParams,
    SizeParams,
    UpsampleParams,
    WidthParams,
    unsuitable,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PenaltyParams(Params):
    gp_weight: float = param(10.0, "weight of the gradient penalty", symbol="λ", min=0.0, max=1e4, paper=10.0)


@dataclass(frozen=True)
class WGANGPParams(MapParams, WidthParams, UpsampleParams, AdamParams, PenaltyParams, CriticParams, SizeParams):
    beta1: float = param(
        0.0, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999, paper=0.0
    )
    beta2: float = param(
        0.9,
        "Adam's decay of the squared gradient",
        symbol="β2",
        notation="decimal",
        min=0.0,
        max=0.999999,
        paper=0.9,
    )
    gp_norm: str = param(
        "sample",
        "the gradient's norm is that of each image, or (the thesis) of each column of it",
        symbol="GPNORM",
        choices=("sample", "column"),
        paper="sample",
    )
    gp_dropout: bool = param(
        True, "the critic's dropout is on inside the penalty too, as in its scores (the thesis: off)", symbol="GPDROP"
    )


class WGANGP(Variant):
    """Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028) with the thesis's networks.

    The thesis's penalty is on the gradient's norm in each column (``gp_norm = "column", gp_dropout = false``). Unlike
    the paper's, its critic has dropout and no layer normalisation.
    """

    Params = WGANGPParams
    paper = "Gulrajani et al. 2017, Improved Training of Wasserstein GANs, arXiv:1704.00028"

    def unsuitable(self, data: DataSpec, params: WGANGPParams) -> str | None:
        return unsuitable(data, logit_map=params.logit_map)

    def game(self, data: DataSpec, params: WGANGPParams) -> Game:
        from ganbench_hoeckler.costs import gradient_penalty
        from ganbench_hoeckler.networks import Discriminator, Generator

        generator = Generator(
            data.shape, params.latent_dim, upsample=params.upsample, norm=params.batch_norm, width=params.width
        )
        critic = Discriminator(data.shape, logit_map=params.logit_map, width=params.width)
        latent = Latent(params.latent_dim)
        norm = cast('Literal["sample", "column"]', params.gp_norm)  # `choices` sees to it

        def critic_cost(batch: Batch) -> Tensor:
            real, fake = batch.images, generator(latent(len(batch)))
            penalty = gradient_penalty(critic, real, fake, norm, dropout=params.gp_dropout)
            return critic(fake).mean() - critic(real).mean() + params.gp_weight * penalty

        def generator_cost(batch: Batch) -> Tensor:
            return -critic(generator(latent(len(batch)))).mean()

        return Game(
            players=[
                Player("critic", critic, critic_cost, params.adam(), turns=params.n_critic),
                Player("generator", generator, generator_cost, params.adam()),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            latent=latent,
            batch_size=params.batch_size,
        )
