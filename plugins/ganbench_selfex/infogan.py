"""InfoGAN: some latents are codes that can be read off the generated images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant, param
from ganbench_selfex.params import EncodingParams, wrong_size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class InfoGANParams(EncodingParams):
    batch_size: int = param(64, "images per minibatch", symbol="BS", min=2, max=8192, paper=128)
    categories: int = param(10, "values of the categorical code", symbol="CAT", min=2, max=1000, paper=10)
    continuous: int = param(2, "continuous codes, uniform on [-1, 1]", symbol="CONT", min=0, max=100, paper=2)
    noise_dim: int = param(62, "latents beside the codes", symbol="LDIM", min=1, max=4096, paper=62)
    info_weight: float = param(
        1.0, "λ of the categorical code (section 5, equation 6)", symbol="λ", min=0.0, max=100.0, paper=1.0
    )
    continuous_weight: float = param(0.1, "λ of the continuous codes", symbol="λ(c)", min=0.0, max=100.0, paper=0.1)
    lr: float = param(
        2e-4, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=2e-4
    )
    beta1: float = param(
        0.5, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999, paper=0.5
    )


class InfoGAN(Variant):
    """InfoGAN (Chen et al. 2016, arXiv:1606.03657) on SelfExGAN's generator and D1.

    The latents are a categorical code, continuous codes and noise. Q reads the codes off images: it shares all but the
    last layers with the discriminator, and both players lower its cost, the negative of the paper's bound L_I (equation
    5) but for the codes' entropy, as the published code does. Continuous codes are Gaussians of variance 1 to Q.

    Its latent vectors are drawn from a standard normal, which a fixed map turns into codes: the largest of the first
    coordinates is the category, and the next, through the normal's distribution function, are uniform. So every latent
    vector can be given, and interpolated. There is no `encoder`: Q knows the codes (12 of 74 numbers in the paper's
    experiment), not the noise, and its game knows no reconstruction.

    The paper's generator has a step of 1e-3; here both players have one step size.
    """

    Params = InfoGANParams
    paper = "Chen et al. 2016, InfoGAN: Interpretable Representation Learning, arXiv:1606.03657"

    def unsuitable(self, data: DataSpec, params: InfoGANParams) -> str | None:
        return wrong_size(data)

    def game(self, data: DataSpec, params: InfoGANParams) -> Game:
        from ganbench_selfex.codes import Coded, CodeHead, Codes
        from ganbench_selfex.networks import Generator, ImageDiscriminator, fake_cost, real_cost

        size = (params.width, params.table)
        codes = Codes(params.categories, params.continuous)
        latent = Latent(params.categories + params.continuous + params.noise_dim)
        generator = Coded(codes, Generator(data.shape, latent.dim, *size))
        discriminator = ImageDiscriminator(data.shape, *size)
        head = CodeHead(codes, discriminator.trunk.features, 2 * params.width)
        weights = (params.info_weight, params.continuous_weight)

        def read(z: Tensor) -> tuple[Tensor, Tensor]:
            """Of images generated from z: logits of being real, and the cost of reading their codes."""
            features = discriminator.trunk(generator(z))
            return discriminator.score(features).squeeze(1), head.cost(features, codes(z), *weights)

        def discriminator_cost(batch: Batch) -> Tensor:
            logits, misread = read(latent(len(batch)))
            return real_cost(discriminator(batch.images)) + fake_cost(logits) + misread

        def generator_cost(batch: Batch) -> Tensor:
            logits, misread = read(latent(len(batch)))
            return real_cost(logits) + misread

        return Game(
            players=[
                Player("discriminator", [discriminator, head], discriminator_cost, params.adam()),
                Player("generator", generator, generator_cost, params.adam()),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            latent=latent,
            batch_size=params.batch_size,
            ema=params.ema,
        )
