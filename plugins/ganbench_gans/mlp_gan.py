"""The original GAN, with dense networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant, param
from ganbench_gans.params import GANParams

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MLPGANParams(GANParams):
    batch_size: int = param(64, "images per minibatch", symbol="BS", min=2, max=8192, paper=100)
    latent_dim: int = param(64, "dimension of the latent vectors", symbol="LDIM", min=1, max=4096, paper=100)
    width: int = param(256, "units of each hidden layer", symbol="WIDTH", min=1, max=8192, paper=1200)
    saturating: bool = param(
        False, "the generator minimises log(1 - D(G(z))) instead of -log D(G(z))", symbol="SAT", paper=False
    )
    label_smoothing: float = param(
        0.0, "real images get the target 1 - this (Salimans et al. 2016)", symbol="SMOOTH", min=0.0, max=0.5, paper=0.0
    )


class MLPGAN(Variant):
    """Generative adversarial network with dense networks (Goodfellow et al. 2014, arXiv:1406.2661).

    The discriminator is a maxout network as in the paper; the generator's output is tanh instead of a sigmoid, as the
    images are scaled to [-1, 1]. Both of the paper's generator costs: the saturating one of equation 1 and the
    non-saturating one recommended in its section 3.
    """

    Params = MLPGANParams
    paper = "Goodfellow et al. 2014, Generative Adversarial Nets, arXiv:1406.2661"

    def game(self, data: DataSpec, params: MLPGANParams) -> Game:
        from ganbench_gans.networks import DenseDiscriminator, DenseGenerator, fake_cost, real_cost

        generator = DenseGenerator(data.shape, params.latent_dim, params.width)
        discriminator = DenseDiscriminator(data.shape, params.width)
        latent = Latent(params.latent_dim, params.latent)

        def discriminator_cost(batch: Batch) -> Tensor:
            fake = generator(latent(len(batch)))
            return real_cost(discriminator(batch.images), params.label_smoothing) + fake_cost(discriminator(fake))

        def generator_cost(batch: Batch) -> Tensor:
            logits = discriminator(generator(latent(len(batch))))
            return -fake_cost(logits) if params.saturating else real_cost(logits)

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
