"""The networks of Isola et al. (arXiv:1611.07004, section 6.1) and Zhu et al. (arXiv:1703.10593, section 7.2).

Their depth goes with the size of the images; at 256 pixels it is the papers'. Weights are drawn from N(0, 0.02).
"""

from __future__ import annotations

from typing import Literal

import torch
from ganbench_gans.layers import ConvTranspose2d
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["batch", "instance"]


class UNet(nn.Module):
    """Images N×C×H×W to images N×C'×H×W in [-1, 1]: an encoder, and a decoder that sees each of the encoder's maps.

    The resolution is halved by 4×4 convolutions of stride 2 while it is even: 256→1 in 8 levels, 64→1 in 6, 48→3 in 4.
    Channels double from `width` up to eight times that. No normalisation of the first and of the innermost maps. As in
    the authors' code, decoder levels beyond the outer five have `dropout` (the paper's three at 256 pixels).
    """

    def __init__(
        self, source: tuple[int, ...], shape: tuple[int, ...], width: int, *, norm: Norm = "batch", dropout: float = 0.5
    ) -> None:
        super().__init__()
        size, levels = shape[1], 0
        while size % 2 == 0:
            size, levels = size // 2, levels + 1
        widths = [width * min(2**level, 8) for level in range(levels)]
        down, up = [], []
        for level in range(levels):
            outer, inner = level == 0, level == levels - 1
            conv = nn.Conv2d(source[0] if outer else widths[level - 1], widths[level], 4, stride=2, padding=1)
            down.append(
                nn.Sequential(
                    *([] if outer else [nn.LeakyReLU(0.2)]),
                    conv,
                    *([] if outer or inner else [normalised(norm, widths[level])]),
                )
            )
            inputs = widths[level] if inner else 2 * widths[level]
            if outer:
                up.append(
                    nn.Sequential(nn.ReLU(), ConvTranspose2d(inputs, shape[0], 4, stride=2, padding=1), nn.Tanh())
                )
                continue
            outputs = widths[level - 1]
            dropped = [nn.Dropout(dropout)] if dropout and 4 <= level < levels - 1 else []
            transposed = ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
            up.append(nn.Sequential(nn.ReLU(), transposed, normalised(norm, outputs), *dropped))
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)

    def forward(self, sources: Tensor) -> Tensor:
        maps = [sources]
        for layers in self.down:
            maps.append(layers(maps[-1]))
        found = maps.pop()
        for layers in reversed(self.up[1:]):
            found = torch.cat([maps.pop(), layers(found)], dim=1)
        return self.up[0](found)


class ResNetGenerator(nn.Module):
    """Images N×C×H×W to images N×C'×H×W in [-1, 1]: two halvings, residual blocks, two doublings (Johnson et al. 2016).

    ``c7s1-w, d2w, d4w, R4w × blocks, u2w, uw, c7s1-C'`` with w = `width`, instance normalisation and reflected borders.
    """

    def __init__(self, source: tuple[int, ...], shape: tuple[int, ...], width: int, blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(source[0], width, 7, padding=3, padding_mode="reflect")]
        layers += [nn.InstanceNorm2d(width), nn.ReLU()]
        for inputs in (width, 2 * width):
            layers += [nn.Conv2d(inputs, 2 * inputs, 3, stride=2, padding=1)]
            layers += [nn.InstanceNorm2d(2 * inputs), nn.ReLU()]
        layers += [ResidualBlock(4 * width) for _ in range(blocks)]
        for inputs in (4 * width, 2 * width):
            layers += [nn.ConvTranspose2d(inputs, inputs // 2, 3, stride=2, padding=1, output_padding=1)]
            layers += [nn.InstanceNorm2d(inputs // 2), nn.ReLU()]
        layers += [nn.Conv2d(width, shape[0], 7, padding=3, padding_mode="reflect"), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class ResidualBlock(nn.Module):
    """Maps N×C×H×W plus what two 3×3 convolutions make of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)


class PatchDiscriminator(nn.Module):
    """Images N×C×H×W to logits N×1×h×w, each of a patch: PatchGAN.

    `halvings` 4×4 convolutions of stride 2, then two of stride 1. With three of them a patch is the papers' 70×70
    pixels, with two 34×34, with one 16×16. No normalisation of the first and the last maps.
    """

    def __init__(self, channels: int, width: int, halvings: int, norm: Norm) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for level in range(1, halvings + 1):
            inputs, outputs = (width * min(2**each, 8) for each in (level - 1, level))
            stride = 2 if level < halvings else 1
            layers += [nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1), normalised(norm, outputs)]
            layers += [nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(outputs, 1, 4, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class ImagePool(nn.Module):
    """Generated images of earlier turns, so that a discriminator does not forget them (Shrivastava et al. 2017).

    Gets n new images and returns n: while there is room, each new one, which is kept; then each new one, or, with
    probability 1/2, a kept one in whose place the new one is put. Images of one minibatch go to distinct places. All
    of it stays in buffers: in checkpoints, on the device, and fit for a recorded turn. `size` 0 is no pool.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, new: Tensor) -> Tensor:
        if not self.size:
            return new
        n, device = len(new), new.device
        new = new.detach()
        next_free = self.count + torch.arange(n, device=device)
        free = next_free < self.size
        drawn = torch.rand(self.size, device=device).argsort()[:n]
        places = torch.where(self.count < self.size, next_free % self.size, drawn)
        swapped = ~free & (torch.rand(n, device=device) < 0.5)
        kept = self.images[places].to(new.dtype)
        written = torch.where((free | swapped)[:, None, None, None], new, kept)
        self.images.index_copy_(0, places, written.to(self.images.dtype))
        self.count.add_(n).clamp_(max=self.size)
        return torch.where(swapped[:, None, None, None], kept, new)


def normalised(norm: Norm, channels: int) -> nn.Module:
    """The layer of that kind; instance normalisation has no parameters."""
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.InstanceNorm2d(channels)


def real_cost(logits: Tensor, kind: str) -> Tensor:
    """How far patches are from being called real: -log D (``log``), or (D - 1)² (``least-squares``)."""
    return F.softplus(-logits).mean() if kind == "log" else (logits - 1).square().mean()


def fake_cost(logits: Tensor, kind: str) -> Tensor:
    """How far patches are from being called fake: -log(1 - D) (``log``), or D² (``least-squares``)."""
    return F.softplus(logits).mean() if kind == "log" else logits.square().mean()
