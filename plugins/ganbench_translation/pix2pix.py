"""pix2pix: translation learnt from pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Player, Variant, param
from ganbench_translation.params import TranslationParams, patch_layers, unsuitable

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Pix2PixParams(TranslationParams):
    l1_weight: float = param(
        100.0, "weight of the distance to the ground truth", symbol="λ", min=0.0, max=1e6, paper=100.0
    )
    sees_source: bool = param(True, "the discriminator sees the source too", symbol="CGAN", paper=True, off=True)
    norm: str = param(
        "batch",
        "normalisation; the paper's is that of a batch of one image, which is instance normalisation",
        symbol="NORM",
        choices=("batch", "instance"),
        off="batch",
    )
    dropout: float = param(
        0.5, "dropout in the generator's innermost levels", symbol="DROP", min=0.0, max=0.9, off=0.5, paper=0.5
    )


class Pix2Pix(Variant):
    """Conditional adversarial translation of pairs (Isola et al. 2017, arXiv:1611.07004): U-Net and PatchGAN.

    Equation 4: the adversarial cost of equation 1 plus `l1_weight` times the L1 distance of equation 3. As in the
    paper the generator maximises log D, the discriminator's objective is halved, and there is no noise but dropout.
    Translations are those of evaluation mode, without dropout and with running statistics, where the paper keeps
    dropout and takes the statistics of the test batch: a translation is then a function of its source.
    """

    Params = Pix2PixParams
    paper = "Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks, arXiv:1611.07004"
    takes = ("paired",)

    def unsuitable(self, data: DataSpec, params: Pix2PixParams) -> str | None:
        return unsuitable(data, params)

    def game(self, data: DataSpec, params: Pix2PixParams) -> Game:
        import torch
        from ganbench_gans.networks import dcgan_init

        from ganbench_translation.networks import PatchDiscriminator, UNet, fake_cost, real_cost

        assert data.source is not None
        norm, halvings = params.norm, patch_layers(data.size, params.patch_layers)
        generator = UNet(data.source, data.shape, params.width, norm=norm, dropout=params.dropout)  # type: ignore[arg-type]
        seen = data.channels + (data.source[0] if params.sees_source else 0)
        discriminator = PatchDiscriminator(seen, params.patch_width, halvings, norm)  # type: ignore[arg-type]
        dcgan_init(generator, discriminator)

        def judged(sources: Tensor | None, images: Tensor) -> Tensor:
            assert sources is not None
            return discriminator(torch.cat([sources, images], dim=1) if params.sees_source else images)

        def discriminator_cost(batch: Batch) -> Tensor:
            real = real_cost(judged(batch.sources, batch.images), "log")
            return (real + fake_cost(judged(batch.sources, generator(batch.sources)), "log")) / 2

        def generator_cost(batch: Batch) -> Tensor:
            made = generator(batch.sources)
            return real_cost(judged(batch.sources, made), "log") + params.l1_weight * (made - batch.images).abs().mean()

        return Game(
            players=[
                Player("discriminator", discriminator, discriminator_cost, params.make_optimizer()),
                Player("generator", generator, generator_cost, params.make_optimizer()),
            ],
            sample=lambda n, sources: generator(sources),
            generator=generator,
            batch_size=params.batch_size,
            ema=params.ema,
            translates=True,
        )
