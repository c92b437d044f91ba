"""The networks that `bench/loop.py` trains in every loop: ganbench's own, and those of a well-known library.

PyTorch-GAN's ``dcgan`` at 32×32×1 is built twice from the same parameters: of torch's layers as that library writes it,
and of ganbench's quick ones (`ganbench_gans.layers`).
"""

from __future__ import annotations

from typing import NamedTuple

from ganbench_gans.layers import Conv2d, UpsampledConv2d
from ganbench_gans.networks import Discriminator, Generator, dcgan_init
from torch import Tensor, nn

LATENT_DIM = 100


class Case(NamedTuple):
    """What is trained. `cost` is ``gan`` (non-saturating) or ``wgan-gp`` (five critic turns a round)."""

    name: str
    cost: str
    shape: tuple[int, ...]
    layers: str  # "ganbench", or of PyTorch-GAN's shape: "plain" or "quick"


class Theirs(nn.Module):
    """PyTorch-GAN's ``dcgan`` generator for 32×32×1, 0.8 for the eps of its normalisation included."""

    def __init__(self, *, quick: bool) -> None:
        super().__init__()
        self.project = nn.Linear(LATENT_DIM, 128 * 8 * 8)
        self.stages = nn.Sequential(
            nn.BatchNorm2d(128),
            *_enlarge(128, 128, quick),
            nn.BatchNorm2d(128, 0.8),
            nn.LeakyReLU(0.2, inplace=True),
            *_enlarge(128, 64, quick),
            nn.BatchNorm2d(64, 0.8),
            nn.LeakyReLU(0.2, inplace=True),
            Conv2d(64, 1, 3, padding=1) if quick else nn.Conv2d(64, 1, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, latent: Tensor) -> Tensor:
        return self.stages(self.project(latent).view(-1, 128, 8, 8))


def _enlarge(inputs: int, outputs: int, quick: bool) -> list[nn.Module]:
    if quick:
        return [UpsampledConv2d(inputs, outputs, 3, padding=1)]
    return [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1)]


class TheirDiscriminator(nn.Module):
    """PyTorch-GAN's ``dcgan`` discriminator for 32×32×1, as logits; a critic has no batch normalisation."""

    def __init__(self, *, batch_norm: bool) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for inputs, outputs in ((1, 16), (16, 32), (32, 64), (64, 128)):
            stages += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2, inplace=True), nn.Dropout2d(0.25)]
            stages += [nn.BatchNorm2d(outputs, 0.8)] if batch_norm and outputs in (32, 64) else []
        self.stages = nn.Sequential(*stages)
        self.score = nn.Linear(128 * 2 * 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.score(self.stages(images).flatten(1)).squeeze(1)


def build(case: Case) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator, freshly initialised, on torch's default device."""
    critic = case.cost == "wgan-gp"
    if case.layers == "ganbench":
        generator: nn.Module = Generator(case.shape, LATENT_DIM, 64)
        discriminator: nn.Module = Discriminator(case.shape, 64, norm="layer" if critic else "batch")
    else:
        generator = Theirs(quick=case.layers == "quick")
        discriminator = TheirDiscriminator(batch_norm=not critic)
    dcgan_init(generator, discriminator)
    return generator, discriminator
