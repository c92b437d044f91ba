"""WGAN-GP: a critic kept Lipschitz by a penalty on its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant, param
from ganbench_gans.params import ConvParams, wrong_size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WGANGPParams(ConvParams):
    batch_size: int = param(64, "images per minibatch", symbol="BS", min=2, max=8192, paper=64)
    latent_dim: int = param(64, "dimension of the latent vectors", symbol="LDIM", min=1, max=4096, paper=128)
    optimizer: str = param(
        "adam", "optimiser of both players", symbol="OPT", choices=("sgd", "adam", "rmsprop"), paper="adam"
    )
    lr: float = param(
        2e-4, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=1e-4
    )
    beta1: float = param(
        0.0, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999, paper=0.0
    )
    beta2: float = param(
        0.9, "Adam's decay of the squared gradient", symbol="β2", notation="decimal", min=0.0, max=0.999999, paper=0.9
    )
    batch_norm: bool = param(True, "batch normalisation in the generator", symbol="BN", paper=True)
    n_critic: int = param(5, "critic turns per generator turn", symbol="NCRIT", min=1, max=1000, paper=5)
    gp_weight: float = param(10.0, "weight of the gradient penalty", symbol="λ", min=0.0, max=1e4, paper=10.0)


class WGANGP(Variant):
    """Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1).

    The penalty is on the norm over all of C, H, W of each sample's gradient. The critic has layer normalisation, since
    batch normalisation would make one sample's gradient depend on the others (section 4 of the paper).
    """

    Params = WGANGPParams
    paper = "Gulrajani et al. 2017, Improved Training of Wasserstein GANs, arXiv:1704.00028"

    def unsuitable(self, data: DataSpec, params: WGANGPParams) -> str | None:
        return wrong_size(data)

    def game(self, data: DataSpec, params: WGANGPParams) -> Game:
        import torch

        from ganbench_gans.networks import Discriminator, Generator, gradient_norms

        generator = Generator(
            data.shape, params.latent_dim, params.width, upsample=params.upsample, batch_norm=params.batch_norm
        )
        critic = Discriminator(data.shape, params.width, norm="layer")
        latent = Latent(params.latent_dim, params.latent)

        def critic_cost(batch: Batch) -> Tensor:
            real, fake = batch.images, generator(latent(len(batch)))
            between = fake + torch.rand(len(batch), 1, 1, 1, device=real.device) * (real - fake)
            penalty = (gradient_norms(critic, between) - 1).square().mean()
            return critic(fake).mean() - critic(real).mean() + params.gp_weight * penalty

        def generator_cost(batch: Batch) -> Tensor:
            return -critic(generator(latent(len(batch)))).mean()

        return Game(
            players=[
                Player("critic", critic, critic_cost, params.make_optimizer(), turns=params.n_critic),
                Player("generator", generator, generator_cost, params.make_optimizer()),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            latent=latent,
            discriminator=critic,
            batch_size=params.batch_size,
            ema=params.ema,
        )
