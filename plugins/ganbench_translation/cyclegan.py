"""CycleGAN: translation learnt from two collections of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Player, Variant, param
from ganbench_translation.params import TranslationParams, patch_layers, unsuitable

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CycleGANParams(TranslationParams):
    blocks: int = param(
        0, "residual blocks; 0: 3 below 64 pixels, 6 below 256, else 9", symbol="BLOCKS", min=0, max=64, off=0, paper=9
    )
    cycle_weight: float = param(10.0, "weight of the way there and back", symbol="λcyc", min=0.0, max=1e6, paper=10.0)
    identity_weight: float = param(
        5.0,
        "weight of leaving images of the target as they are (the paper's for paintings)",
        symbol="λid",
        min=0.0,
        max=1e6,
        paper=5.0,
    )
    pool: int = param(
        50, "earlier translations kept for the discriminators", symbol="POOL", min=0, max=10_000, paper=50
    )
    cost: str = param(
        "least-squares",
        "adversarial cost",
        symbol="COST",
        choices=("least-squares", "log"),
        paper="least-squares",
        off="least-squares",
    )


class CycleGAN(Variant):
    """Cycle-consistent translation between two collections (Zhu et al. 2017, arXiv:1703.10593).

    Two ResNet generators, which are one player (equation 3 is theirs together), and a PatchGAN discriminator of each
    collection. Instance normalisation, least squares in the place of logarithms (section 4), discriminators shown
    images from a pool of earlier translations, their objectives halved. Pairs are drawn together, and never compared.
    """

    Params = CycleGANParams
    paper = "Zhu et al. 2017, Unpaired Image-to-Image Translation using Cycle-Consistent Networks, arXiv:1703.10593"
    takes = ("unpaired", "paired")

    def unsuitable(self, data: DataSpec, params: CycleGANParams) -> str | None:
        if params.identity_weight and data.source is not None and data.source[0] != data.channels:
            return "sources and images differ in channels, and identity_weight is not 0"
        if 0 < params.pool < params.batch_size:
            return f"a pool of {params.pool} holds no minibatch of {params.batch_size}"
        return unsuitable(data, params)

    def game(self, data: DataSpec, params: CycleGANParams) -> Game:
        from ganbench_gans.networks import dcgan_init
        from torch import nn

        from ganbench_translation.networks import ImagePool, PatchDiscriminator, ResNetGenerator, fake_cost, real_cost

        assert data.source is not None
        blocks = params.blocks or (3 if data.size < 64 else 6 if data.size < 256 else 9)
        halvings = patch_layers(data.size, params.patch_layers)
        there = ResNetGenerator(data.source, data.shape, params.width, blocks)
        back = ResNetGenerator(data.shape, data.source, params.width, blocks)
        of_images = PatchDiscriminator(data.channels, params.patch_width, halvings, "instance")
        of_sources = PatchDiscriminator(data.source[0], params.patch_width, halvings, "instance")
        dcgan_init(there, back, of_images, of_sources)
        image_pool, source_pool = ImagePool(params.pool, data.shape), ImagePool(params.pool, data.source)

        def generators_cost(batch: Batch) -> Tensor:
            images, sources = batch.images, batch.sources
            made, returned = there(sources), back(images)
            cost = real_cost(of_images(made), params.cost) + real_cost(of_sources(returned), params.cost)
            if params.cycle_weight:
                cycle = (back(made) - sources).abs().mean() + (there(returned) - images).abs().mean()
                cost = cost + params.cycle_weight * cycle
            if params.identity_weight:
                identity = (there(images) - images).abs().mean() + (back(sources) - sources).abs().mean()
                cost = cost + params.identity_weight * identity
            return cost

        def images_cost(batch: Batch) -> Tensor:
            fake = of_images(image_pool(there(batch.sources)))
            return (real_cost(of_images(batch.images), params.cost) + fake_cost(fake, params.cost)) / 2

        def sources_cost(batch: Batch) -> Tensor:
            fake = of_sources(source_pool(back(batch.images)))
            return (real_cost(of_sources(batch.sources), params.cost) + fake_cost(fake, params.cost)) / 2

        generators = nn.ModuleList([there, back])
        return Game(
            players=[
                Player("generators", generators, generators_cost, params.make_optimizer()),
                Player("discriminator of images", [of_images, image_pool], images_cost, params.make_optimizer()),
                Player("discriminator of sources", [of_sources, source_pool], sources_cost, params.make_optimizer()),
            ],
            sample=lambda n, sources: there(sources),
            generator=generators,
            batch_size=params.batch_size,
            ema=params.ema,
            translates=True,
            back=lambda images: back(images),
        )
