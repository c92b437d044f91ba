"""The thesis's networks (tables 4.1 to 4.7) for images of any size that can be halved to 4 to 7 pixels.

Settled where the tables leave something open or contradict themselves:

- Sizes other than 32 and 64 follow the same rule: resolutions are halved down to 4 to 7 pixels, channels are 4, 2, 1,
  1 ... times the width from coarse to fine. D2 looks at images through dense layers up to 32 pixels, and through
  convolutions above.
- The last transposed convolution of tables 4.5 to 4.7 doubles 32×32 to 64×64; that they write 32×32 is a misprint.
- D1's last convolution (to 2×2) has no number of channels; it gets those of the one before.
- D2's image part ends in as many features as the latent vector has, as "Concat" says in all tables but for the 64 of
  tables 4.6 and 4.7 (64 and 128 would be 192, not the 256 that they write).
- One logit in the place of a sigmoid, or of a softmax over two classes: the same cross-entropy.
- The slope of leaky ReLUs is DCGAN's 0.2, initial values are torch's; the text names neither.
- The width of the dense layers goes with that of the convolutions.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganbench_selfex.tables import TABLES, Table, channels, resolutions


class Generator(nn.Module):
    """Latent vectors N×latent_dim to images N×C×H×W in [-1, 1]."""

    def __init__(self, shape: tuple[int, ...], latent_dim: int, width: int, table: str) -> None:
        super().__init__()
        kind, sizes = TABLES[table], resolutions(shape[1])
        widths = channels(width, len(sizes) - 1)
        self.start = (widths[0], sizes[0], sizes[0])
        flat = widths[0] * sizes[0] ** 2
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [_doubled(inputs, outputs, kind.generator_kernel), *_active(outputs, kind.leaky_generator)]
        self.dense = nn.Sequential(nn.Linear(latent_dim, flat, bias=False), *_active_flat(flat, kind.leaky_generator))
        self.maps = nn.Sequential(*layers, _doubled(widths[-1], shape[0], 5, bias=True), nn.Tanh())

    def forward(self, latent: Tensor) -> Tensor:
        return self.maps(self.dense(latent).view(-1, *self.start))


class Encoder(nn.Module):
    """Images N×C×H×W to N×outputs, of any range."""

    def __init__(self, shape: tuple[int, ...], outputs: int, width: int, table: str) -> None:
        super().__init__()
        kind, sizes = TABLES[table], resolutions(shape[1])
        widths = [shape[0], *reversed(channels(width, len(sizes) - 1))]
        layers: list[nn.Module] = []
        for place, (here, after) in enumerate(pairwise(widths)):
            kernel = kind.last_encoder_kernel if place == len(widths) - 2 else kind.encoder_kernel
            layers += [nn.Conv2d(here, after, kernel, padding=kernel // 2, bias=False)]
            layers += [*_active(after, kind.leaky_encoder), nn.MaxPool2d(2)]
        self.maps = nn.Sequential(*layers, nn.Flatten())
        self.dense = nn.Linear(widths[-1] * sizes[0] ** 2, outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.dense(self.maps(images))


class ImageTrunk(nn.Module):
    """Images N×C×H×W through D1's convolutions: N×`features`."""

    def __init__(self, shape: tuple[int, ...], width: int, table: str) -> None:
        super().__init__()
        sizes = resolutions(shape[1])
        coarse_to_fine = channels(width, len(sizes) - 1)
        widths = [shape[0], *reversed(coarse_to_fine), coarse_to_fine[0]]
        self.maps = nn.Sequential(*_halvings(widths, TABLES[table]), nn.Flatten())
        self.features = widths[-1] * (-(-sizes[0] // 2)) ** 2

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images)


class ImageDiscriminator(nn.Module):
    """D1: images N×C×H×W to logits N of being real."""

    def __init__(self, shape: tuple[int, ...], width: int, table: str) -> None:
        super().__init__()
        self.trunk = ImageTrunk(shape, width, table)
        self.score = nn.Linear(self.trunk.features, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.score(self.trunk(images)).squeeze(1)


class PairDiscriminator(nn.Module):
    """D2: images N×C×H×W and their latent vectors N×latent_dim to logits N of being a real pair."""

    def __init__(self, shape: tuple[int, ...], latent_dim: int, width: int, table: str) -> None:
        super().__init__()
        kind, size = TABLES[table], shape[1]
        leaky = kind.leaky_discriminators
        image: list[nn.Module]
        if size <= 32:
            pixels, wide, narrow = shape[0] * size**2, _scaled(32 * 32, width), _scaled(256, width)
            image = [nn.Flatten(), nn.Linear(pixels, wide, bias=False), *_active_flat(wide, False)]
            image += [nn.Linear(wide, narrow, bias=False), *_active_flat(narrow, False)]
            image += [nn.Linear(narrow, latent_dim), nn.ReLU()]
        else:
            sizes = resolutions(size)
            widths = [shape[0], *reversed(channels(width, len(sizes) - 1)[1:])]
            image = [*_halvings(widths, kind), nn.Flatten()]
            image += [nn.Linear(widths[-1] * sizes[1] ** 2, latent_dim), _activation(leaky)]
        self.image = nn.Sequential(*image)
        self.pair = _of_pairs(2 * latent_dim, width, kind)

    def forward(self, images: Tensor, latents: Tensor) -> Tensor:
        return self.pair(torch.cat([self.image(images), latents], dim=1)).squeeze(1)


class JointDiscriminator(nn.Module):
    """D1's convolutions before D2's dense layers of pairs: images N×C×H×W and N×latent_dim to logits N."""

    def __init__(self, shape: tuple[int, ...], latent_dim: int, width: int, table: str) -> None:
        super().__init__()
        self.image = ImageTrunk(shape, width, table)
        self.pair = _of_pairs(self.image.features + latent_dim, width, TABLES[table])

    def forward(self, images: Tensor, latents: Tensor) -> Tensor:
        return self.pair(torch.cat([self.image(images), latents], dim=1)).squeeze(1)


def judged(discriminator: nn.Module, *pairs: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Logits of several minibatches of pairs (N×C×H×W, N×latent_dim), which go through the discriminator as one.

    Batch normalisation after dense layers would take from each minibatch alone its mean, and with it what tells real
    pairs from fake ones as a whole.
    """
    images, latents = zip(*pairs, strict=True)
    return discriminator(torch.cat(images), torch.cat(latents)).chunk(len(pairs))


def real_cost(logits: Tensor) -> Tensor:
    """Cross-entropy of calling these real."""
    return F.softplus(-logits).mean()


def fake_cost(logits: Tensor) -> Tensor:
    """Cross-entropy of calling these generated."""
    return F.softplus(logits).mean()


def _of_pairs(inputs: int, width: int, kind: Table) -> nn.Sequential:
    """D2's dense layers: N×inputs to logits N×1. The first has no batch normalisation."""
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise([inputs, *(_scaled(wide, width) for wide in kind.pairs)])):
        if place == 0:
            layers += [nn.Linear(before, after), nn.ReLU()]
        else:
            layers += [nn.Linear(before, after, bias=False), *_active_flat(after, False)]
        layers += [nn.Dropout(0.1)] * (place in kind.dropout)
    return nn.Sequential(*layers, nn.Linear(_scaled(kind.pairs[-1], width), 1))


def _scaled(wide: int, width: int) -> int:
    """A dense layer's width in the tables, where convolutions begin with 64 channels, at another width."""
    return max(8, wide * width // 64)


def _activation(leaky: bool) -> nn.Module:
    return nn.LeakyReLU(0.2) if leaky else nn.ReLU(inplace=True)


def _active(width: int, leaky: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(width), _activation(leaky)]


def _active_flat(width: int, leaky: bool) -> list[nn.Module]:
    return [nn.BatchNorm1d(width), _activation(leaky)]


def _doubled(inputs: int, outputs: int, kernel: int, *, bias: bool = False) -> nn.Module:
    """A transposed convolution from N×inputs×n×n to N×outputs×2n×2n."""
    return nn.ConvTranspose2d(inputs, outputs, kernel, 2, padding=kernel // 2, output_padding=1, bias=bias)


def _halvings(widths: list[int], kind: Table) -> list[nn.Module]:
    """Convolutions of 5×5 that halve the resolution (rounded up), of these numbers of channels."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 5, 2, padding=2, bias=False)]
        layers += _active(outputs, kind.leaky_discriminators)
    return layers
