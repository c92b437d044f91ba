"""The networks of the thesis's tables 4.1 to 4.7, as what differs between them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One table. Kernels are those of hidden layers; the generator's last one is 5×5 and all of D1 and D2 are.

    `leaky_generator`, `leaky_encoder`, `leaky_discriminators`: leaky ReLU in the place of ReLU. `pairs`: widths of D2's
    dense layers after image and latent vector meet; `dropout`: places in it after which a tenth is dropped.
    """

    generator_kernel: int = 5
    encoder_kernel: int = 3
    last_encoder_kernel: int = 3
    leaky_generator: bool = False
    leaky_encoder: bool = False
    leaky_discriminators: bool = False
    pairs: tuple[int, ...] = (256, 128, 64)
    dropout: tuple[int, ...] = ()


_PHOTOGRAPHS = Table(
    encoder_kernel=5,
    last_encoder_kernel=5,
    leaky_encoder=True,
    leaky_discriminators=True,
    pairs=(256, 512, 256, 128, 64),
    dropout=(0, 1),
)
_FACES = Table(generator_kernel=3, leaky_generator=True, leaky_discriminators=True)

#: By dataset, in the order of the tables 4.1 to 4.7; the last three are for 64×64 pixels, the others for 32×32.
TABLES = {
    "mnist": Table(),
    "svhn": Table(pairs=(512, 256, 128, 64)),
    "cifar10": _PHOTOGRAPHS,
    "imagenet": Table(
        encoder_kernel=5,
        last_encoder_kernel=5,
        leaky_encoder=True,
        leaky_discriminators=True,
        pairs=(256, 512, 1024, 512, 256, 128, 64),
        dropout=(1, 2, 3),
    ),
    "celeba-crop": _FACES,
    "celeba": _FACES,
    "cartoon": Table(generator_kernel=5, encoder_kernel=5, leaky_generator=True, leaky_discriminators=True),
}


def resolutions(size: int) -> list[int]:
    """The resolutions of feature maps, coarse to fine: halved while even and at least 8 (32 gives [4, 8, 16, 32])."""
    sizes = [size]
    while sizes[0] % 2 == 0 and sizes[0] >= 8:
        sizes.insert(0, sizes[0] // 2)
    return sizes


def channels(width: int, count: int) -> list[int]:
    """Channels of the `count` coarsest maps, coarse to fine: 4, 2, 1, 1 ... times `width` (256, 128, 64, 64 of 64)."""
    return [width * factor for factor in (4, 2, *[1] * count)[:count]]
