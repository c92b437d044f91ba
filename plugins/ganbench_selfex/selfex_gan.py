"""SelfExGAN: an encoder that gives the generator the latents that it is asked to decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant, param
from ganbench_selfex.params import EncodingParams, wrong_size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SelfExGANParams(EncodingParams):
    latent_dim: int = param(64, "dimension M of the latent vectors", symbol="LDIM", min=2, max=4096, paper=64)
    width: int = param(
        64, "channels at the highest resolution; all others go with it", symbol="WIDTH", min=1, max=512, paper=64
    )
    lr: float = param(
        2e-4, "step size of all players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=1e-3
    )
    beta1: float = param(
        0.5, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999, paper=0.9
    )
    beta2: float = param(
        0.999,
        "Adam's decay of the squared gradient",
        symbol="β2",
        notation="decimal",
        min=0.0,
        max=0.999999,
        paper=0.99,
    )
    kl_weight: float = param(
        1.0, "weight of the KL term of equation 4.5 in the encoder's cost", symbol="KL", min=0.0, max=1000.0, paper=1.0
    )


class SelfExGAN(Variant):
    """Self-excited GAN: encoder E, generator G, discriminators D1 of images and D2 of pairs (thesis, chapters 3 and 4).

    For real images x: z = E(x), x̂ = G(z), ẑ = E(x̂). D1 tells x from x̂ and from G(g), where g is Gaussian; D2 tells the
    real pair (x, z) from the fake pairs (x̂, z) and (x, ẑ). No reconstruction is ever measured in pixels. Players are
    D1, D2, E and G with one turn each; the text gives no order.

    Where the text is at odds with itself or with usage:

    - Pairs. Equation 3.4 sets (E(x), x) against (G(z), z) of a prior z, which is BiGAN's game, and the proofs are about
      that; section 3.3.1 and figure 3.9 name the pairs above, with z from E, and section 4.1.1 says that a Gaussian z
      has no pair. The pairs of 3.3.1 are played. (The thesis's chapter 5 says that its proof is not strict here.)
      The text does not say how minibatches go through D2's batch normalisation; apart, real and fake pairs would each
      lose their mean, and D2 is all but blind. They go through as one.
    - Costs. Equation 3.4 is a sum of logarithms that D maximises and E and G minimise, with gradients that vanish where
      training begins. As usual since Goodfellow et al. (2014, section 3), E and G have the same cross-entropies with
      exchanged labels: the same fixed points. Costs of two fakes are averaged, so that real and fake weigh the same.
      E is paid by D2 and the KL term: D1 sees no latents, and how real G(E(x)) looks is G's affair.
    - In turn. The text takes latents from E and from a Gaussian by turns and does not say how often. Here every turn
      takes a minibatch of each and the mean of their costs: the same in expectation, and nothing to be remembered.
    - The sphere. Its centre is unsaid in equations 4.1 to 4.4. E ends in a sigmoid (all tables), whose values lie about
      1/2 in every coordinate, while equation 4.5 wants mean 0 and variance 1. So the centre of step 1 is (1/2, ...,
      1/2), step 4 returns to the origin, and the radius is √M, about which a standard Gaussian of M dimensions lies:
      z = √M P / |P| with P = sigmoid(...) - 1/2. Gaussian latents are projected to the same sphere (`Latent` of kind
      ``sphere``), so that they come to lie among the encoded ones.
    - KL, equation 4.5. σ is called a variance and used as a standard deviation, which it is taken for. The sum over
      dimensions has 1/M before it and its constant M/2 has none; the mean over dimensions of
      (σ² + μ²)/2 - log σ - 1/2 is taken, which is 0 at its best and has the same gradient. E is deterministic, so μ and
      σ are those of each dimension over the minibatch.
    - Adam. The thesis's step of 1e-3 with β1 = 0.9 and β2 = 0.99 are parameters; the defaults are DCGAN's.
    """

    Params = SelfExGANParams
    paper = "Latent Space Understandable Generative Adversarial Network (SelfExGAN), thesis, chapters 3 and 4"

    def unsuitable(self, data: DataSpec, params: SelfExGANParams) -> str | None:
        return wrong_size(data)

    def game(self, data: DataSpec, params: SelfExGANParams) -> Game:
        from ganbench_selfex.networks import (
            Encoder,
            Generator,
            ImageDiscriminator,
            PairDiscriminator,
            fake_cost,
            judged,
            real_cost,
        )
        from ganbench_selfex.sphere import OnSphere, kl_to_standard_normal

        size = (params.width, params.table)
        encoder = OnSphere(Encoder(data.shape, params.latent_dim, *size))
        generator = Generator(data.shape, params.latent_dim, *size)
        d1 = ImageDiscriminator(data.shape, *size)
        d2 = PairDiscriminator(data.shape, params.latent_dim, *size)
        latent = Latent(params.latent_dim, "sphere")

        def d1_cost(batch: Batch) -> Tensor:
            fakes = fake_cost(d1(generator(encoder(batch.images)))) + fake_cost(d1(generator(latent(len(batch)))))
            return real_cost(d1(batch.images)) + fakes / 2

        def d2_cost(batch: Batch) -> Tensor:
            z = encoder(batch.images)
            image = generator(z)
            real, *fakes = judged(d2, (batch.images, z), (image, z), (batch.images, encoder(image)))
            return real_cost(real) + sum(fake_cost(fake) for fake in fakes) / 2

        def encoder_cost(batch: Batch) -> Tensor:
            z = encoder(batch.images)
            image = generator(z)
            real, *fakes = judged(d2, (batch.images, z), (image, z), (batch.images, encoder(image)))
            pairs = fake_cost(real) + sum(real_cost(fake) for fake in fakes) / 2
            return pairs + params.kl_weight * kl_to_standard_normal(z)

        def generator_cost(batch: Batch) -> Tensor:
            z = encoder(batch.images)
            image = generator(z)
            images = real_cost(d1(image)) + real_cost(d1(generator(latent(len(batch)))))
            _, *fakes = judged(d2, (batch.images, z), (image, z), (batch.images, encoder(image)))
            return (images + sum(real_cost(fake) for fake in fakes)) / 2

        return Game(
            players=[
                Player("d1", d1, d1_cost, params.adam()),
                Player("d2", d2, d2_cost, params.adam()),
                Player("encoder", encoder, encoder_cost, params.adam()),
                Player("generator", generator, generator_cost, params.adam()),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            latent=latent,
            encoder=encoder,
            batch_size=params.batch_size,
            ema=params.ema,
        )
