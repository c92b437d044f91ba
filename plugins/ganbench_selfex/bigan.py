"""BiGAN: a discriminator of pairs, between the encoder's and the generator's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant, param
from ganbench_selfex.params import EncodingParams, wrong_size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BiGANParams(EncodingParams):
    batch_size: int = param(64, "images per minibatch", symbol="BS", min=2, max=8192, paper=128)
    latent_dim: int = param(64, "dimension of the latent vectors", symbol="LDIM", min=1, max=4096, paper=50)
    latent: str = param(
        "normal",
        "distribution of the latent vectors",
        symbol="LATENT",
        choices=("normal", "uniform", "sphere"),
        paper="uniform",
    )
    lr: float = param(
        2e-4, "step size of all players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=2e-4
    )
    beta1: float = param(
        0.5, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999, paper=0.5
    )
    beta2: float = param(
        0.999,
        "Adam's decay of the squared gradient",
        symbol="β2",
        notation="decimal",
        min=0.0,
        max=0.999999,
        paper=0.999,
    )


class BiGAN(Variant):
    """Bidirectional GAN (Donahue, Krähenbühl & Darrell 2016, arXiv:1605.09782) on SelfExGAN's networks.

    The discriminator tells pairs (x, E(x)) of real images from pairs (G(z), z) of latents. Encoder and generator move
    at once: they are one player, whose cost is the discriminator's with exchanged labels (the paper's section 3.4). The
    paper's networks for MNIST are dense, those for photographs convolutional; here E and G are those of SelfExGAN and
    the discriminator is D1's convolutions with D2's layers of pairs, so that it is the games that differ. E ends in
    no sigmoid: its outputs have to reach wherever latents are.
    """

    Params = BiGANParams
    paper = "Donahue et al. 2016, Adversarial Feature Learning, arXiv:1605.09782"

    def unsuitable(self, data: DataSpec, params: BiGANParams) -> str | None:
        return wrong_size(data)

    def game(self, data: DataSpec, params: BiGANParams) -> Game:
        from ganbench_selfex.networks import Encoder, Generator, JointDiscriminator, fake_cost, judged, real_cost

        size = (params.width, params.table)
        encoder = Encoder(data.shape, params.latent_dim, *size)
        generator = Generator(data.shape, params.latent_dim, *size)
        discriminator = JointDiscriminator(data.shape, params.latent_dim, *size)
        latent = Latent(params.latent_dim, params.latent)

        def discriminator_cost(batch: Batch) -> Tensor:
            z = latent(len(batch))
            encoded, generated = judged(discriminator, (batch.images, encoder(batch.images)), (generator(z), z))
            return real_cost(encoded) + fake_cost(generated)

        def both_cost(batch: Batch) -> Tensor:
            z = latent(len(batch))
            encoded, generated = judged(discriminator, (batch.images, encoder(batch.images)), (generator(z), z))
            return fake_cost(encoded) + real_cost(generated)

        return Game(
            players=[
                Player("discriminator", discriminator, discriminator_cost, params.adam()),
                Player("encoder and generator", [encoder, generator], both_cost, params.adam()),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            latent=latent,
            encoder=encoder,
            batch_size=params.batch_size,
            ema=params.ema,
        )
