"""WGAN: a critic kept Lipschitz by clipping its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant, param
from ganbench_gans.params import ConvParams, wrong_size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WGANParams(ConvParams):
    batch_size: int = param(64, "images per minibatch", symbol="BS", min=2, max=8192, paper=64)
    latent_dim: int = param(64, "dimension of the latent vectors", symbol="LDIM", min=1, max=4096, paper=100)
    optimizer: str = param(
        "rmsprop", "optimiser of both players", symbol="OPT", choices=("sgd", "adam", "rmsprop"), paper="rmsprop"
    )
    lr: float = param(
        5e-4, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=5e-5
    )
    beta2: float = param(
        0.99, "RMSprop's α (Adam's β2)", symbol="β2", notation="decimal", min=0.0, max=0.999999, paper=0.99
    )
    n_critic: int = param(5, "critic turns per generator turn", symbol="NCRIT", min=1, max=1000, paper=5)
    clip: float = param(
        0.01, "the critic's weights are clipped to [-clip, clip]", symbol="CLIP", min=1e-6, max=10.0, paper=0.01
    )


class WGAN(Variant):
    """Wasserstein GAN with weight clipping (Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875, algorithm 1).

    As in the paper, all parameters of the critic are clipped, those of its normalisation included.
    """

    Params = WGANParams
    paper = "Arjovsky et al. 2017, Wasserstein GAN, arXiv:1701.07875"

    def unsuitable(self, data: DataSpec, params: WGANParams) -> str | None:
        return wrong_size(data)

    def game(self, data: DataSpec, params: WGANParams) -> Game:
        from ganbench_gans.networks import Discriminator, Generator, dcgan_init

        generator = Generator(
            data.shape, params.latent_dim, params.width, upsample=params.upsample, batch_norm=params.batch_norm
        )
        critic = Discriminator(data.shape, params.width, norm="batch" if params.batch_norm else "none")
        dcgan_init(generator, critic)
        latent = Latent(params.latent_dim, params.latent)

        def critic_cost(batch: Batch) -> Tensor:
            fake = generator(latent(len(batch)))
            return critic(fake).mean() - critic(batch.images).mean()

        def generator_cost(batch: Batch) -> Tensor:
            return -critic(generator(latent(len(batch)))).mean()

        def clip_weights() -> None:
            for weight in critic.parameters():
                weight.clamp_(-params.clip, params.clip)

        return Game(
            players=[
                Player(
                    "critic",
                    critic,
                    critic_cost,
                    params.make_optimizer(),
                    turns=params.n_critic,
                    after_turn=clip_weights,
                ),
                Player("generator", generator, generator_cost, params.make_optimizer()),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            latent=latent,
            discriminator=critic,
            batch_size=params.batch_size,
            ema=params.ema,
        )
