"""The thesis's WGAN (section 5.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Optimizer, Params, Player, Variant, param
from ganbench_hoeckler.params import CriticParams, SizeParams, UpsampleParams, WidthParams, unsuitable

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RMSpropParams(Params):
    clip: float = param(
        0.01,
        "the critic's weights are clipped to [-clip, clip]",
        symbol="CLIP",
        notation="decimal",
        min=1e-6,
        max=10.0,
        paper=0.01,
    )
    lr: float = param(
        5e-5, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=5e-5
    )
    rho: float = param(0.9, "RMSprop's decay of the squared gradient (Keras: 0.9)", symbol="ρ", min=0.0, max=0.999999)
    eps: float = param(
        1e-7, "added to RMSprop's denominator (Keras: 1e-7)", symbol="ε", notation="scientific", min=1e-12, max=1e-1
    )


@dataclass(frozen=True)
class WGANParams(WidthParams, UpsampleParams, RMSpropParams, CriticParams, SizeParams):
    upsample: str = param(
        "Bilinear",
        "how the generator doubles its resolution",
        symbol="UP",
        choices=("TrpConv", "Nearest", "Bilinear"),
        paper="TrpConv",
    )
    critic_batch_norm: bool = param(
        False, "batch normalisation in the critic too, after each dropout (28 pixels)", symbol="CBN", paper=True
    )
    clip_batch_norm: bool = param(
        True, "the scales and shifts of the critic's normalisation are clipped too", symbol="CLIPBN", paper=True
    )


class WGAN(Variant):
    """Wasserstein GAN with weight clipping (Arjovsky et al. 2017, arXiv:1701.07875) with the thesis's networks.

    On MNIST the thesis's critic always has batch normalisation, whose scales and shifts are not clipped
    (``critic_batch_norm = true, clip_batch_norm = false``); its symbol BN is about the generator alone.
    """

    Params = WGANParams
    paper = "Arjovsky et al. 2017, Wasserstein GAN, arXiv:1701.07875"

    def unsuitable(self, data: DataSpec, params: WGANParams) -> str | None:
        if params.critic_batch_norm and data.size in (32, 48):
            return f"critic_batch_norm is for 28 pixels, not {data.size}"
        return unsuitable(data)

    def game(self, data: DataSpec, params: WGANParams) -> Game:
        from torch import nn

        from ganbench_hoeckler.networks import Discriminator, Generator

        generator = Generator(
            data.shape, params.latent_dim, upsample=params.upsample, norm=params.batch_norm, width=params.width
        )
        critic = Discriminator(data.shape, norm=params.critic_batch_norm, width=params.width)
        latent = Latent(params.latent_dim)
        clipped = [
            weight
            for module in critic.modules()
            if params.clip_batch_norm or not isinstance(module, nn.BatchNorm2d)
            for weight in module.parameters(recurse=False)
        ]

        def critic_cost(batch: Batch) -> Tensor:
            fake = generator(latent(len(batch)))
            return critic(fake).mean() - critic(batch.images).mean()

        def generator_cost(batch: Batch) -> Tensor:
            return -critic(generator(latent(len(batch)))).mean()

        def clip_weights() -> None:
            for weight in clipped:
                weight.clamp_(-params.clip, params.clip)

        rmsprop = Optimizer("rmsprop", lr=params.lr, beta2=params.rho, eps=params.eps)
        return Game(
            players=[
                Player("critic", critic, critic_cost, rmsprop, turns=params.n_critic, after_turn=clip_weights),
                Player("generator", generator, generator_cost, rmsprop),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            latent=latent,
            batch_size=params.batch_size,
        )
