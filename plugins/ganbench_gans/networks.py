"""Generators and discriminators after DCGAN's rules (Radford et al. 2015, arXiv:1511.06434, section 3).

Strided convolutions instead of pooling, batch normalisation except at the generator's output and the discriminator's
input, no hidden dense layers, ReLU in the generator with tanh at its output, leaky ReLU (0.2) in the discriminator,
weights drawn from N(0, 0.02).

The resolution is halved while it stays even and at least 4, and at least twice: 8→2, 28→7, 32→4, 48→6, 64→4. Channels
double as it halves. At 64 pixels and width 128 the generator is the paper's figure 1.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganbench_gans.layers import Conv2d, ConvTranspose2d, LeakyReLU, UpsampledConv2d, linear_of_maps

LABEL_DIM = 36  # width of the label embeddings


def resolutions(size: int) -> list[int]:
    """The resolutions of the feature maps from coarse to fine: ``resolutions(28) == [7, 14, 28]``."""
    sizes = [size]
    while sizes[0] % 2 == 0 and (sizes[0] >= 8 or len(sizes) < 3):
        sizes.insert(0, sizes[0] // 2)
    return sizes


class Generator(nn.Module):
    """Latent vectors N×latent_dim (and labels N, if `classes` > 0) to images N×C×H×W in [-1, 1].

    Labels are embedded and mapped by a dense layer to one extra channel of the coarsest feature map.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        latent_dim: int,
        width: int,
        *,
        upsample: str = "transposed",
        batch_norm: bool = True,
        classes: int = 0,
    ) -> None:
        super().__init__()
        channels, size, _ = shape
        sizes = resolutions(size)
        widths = [width * 2**i for i in reversed(range(len(sizes) - 1))] + [channels]
        self.start = (widths[0], sizes[0], sizes[0])
        self.project = nn.Linear(latent_dim, widths[0] * sizes[0] ** 2, bias=not batch_norm)
        self.first = nn.Sequential(*_norm("batch" if batch_norm else "none", widths[0]), nn.ReLU(inplace=True))
        self.label = LabelMap(classes, sizes[0]) if classes else None
        stages: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            last = i == len(widths) - 2
            extra = 1 if classes and i == 0 else 0
            stages += _upsample(upsample, inputs + extra, outputs, bias=last or not batch_norm)
            if not last:
                stages += [*_norm("batch" if batch_norm else "none", outputs), nn.ReLU(inplace=True)]
        self.stages = nn.Sequential(*stages, nn.Tanh())

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.first(self.project(latent).view(-1, *self.start))
        if self.label is not None:
            features = torch.cat([features, self.label(labels)], dim=1)
        return self.stages(features)


class Discriminator(nn.Module):
    """Images N×C×H×W (and labels N, if `classes` > 0) to one number each: a logit, or a critic's score, N.

    Labels are embedded and mapped by a dense layer to one extra input channel.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int,
        *,
        norm: Literal["batch", "layer", "none"] = "batch",
        classes: int = 0,
    ) -> None:
        super().__init__()
        channels, size, _ = shape
        sizes = resolutions(size)
        widths = [channels + bool(classes)] + [width * 2**i for i in range(len(sizes) - 1)]
        self.label = LabelMap(classes, size) if classes else None
        stages: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            here = norm if i > 0 else "none"
            stages += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=here != "batch")]
            stages += [*_norm(here, outputs), LeakyReLU(0.2)]
        self.stages = nn.Sequential(*stages)
        self.score = nn.Linear(widths[-1] * sizes[0] ** 2, 1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.label is not None:
            images = torch.cat([images, self.label(labels)], dim=1)
        return linear_of_maps(self.score, self.stages(images)).squeeze(1)


class DenseGenerator(nn.Module):
    """Latent vectors N×latent_dim through two hidden ReLU layers to images N×C×H×W in [-1, 1]."""

    def __init__(self, shape: tuple[int, ...], latent_dim: int, width: int) -> None:
        super().__init__()
        self.shape = shape
        pixels = shape[0] * shape[1] * shape[2]
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, pixels),
            nn.Tanh(),
        )

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent).view(-1, *self.shape)


class DenseDiscriminator(nn.Module):
    """Images N×C×H×W through two hidden maxout layers (Goodfellow et al. 2013, arXiv:1302.4389) to logits N.

    Each unit is the maximum of `pieces` linear maps.
    """

    def __init__(self, shape: tuple[int, ...], width: int, pieces: int = 2) -> None:
        super().__init__()
        self.pieces = pieces
        self.hidden = nn.ModuleList(
            [nn.Linear(shape[0] * shape[1] * shape[2], width * pieces), nn.Linear(width, width * pieces)]
        )
        self.score = nn.Linear(width, 1)

    def forward(self, images: Tensor) -> Tensor:
        hidden = images.flatten(1)
        for layer in self.hidden:
            hidden = layer(hidden).unflatten(1, (-1, self.pieces)).amax(dim=2)
        return self.score(hidden).squeeze(1)


def dcgan_init(*networks: nn.Module) -> None:
    """Draw weights from N(0, 0.02), scales of batch normalisation from N(1, 0.02); biases start at zero."""
    for network in networks:
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)


class LabelMap(nn.Module):
    """Labels N to feature maps N×1×size×size: an embedding and a dense layer."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Embedding(classes, LABEL_DIM)
        self.dense = nn.Linear(LABEL_DIM, size * size)

    def forward(self, labels: Tensor) -> Tensor:
        return self.dense(self.embedding(labels)).view(-1, 1, self.size, self.size)


def _norm(kind: str, channels: int) -> list[nn.Module]:
    """Normalisation as a list of at most one layer; layer normalisation is over C, H and W of each sample."""
    if kind == "none":
        return []
    return [nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(1, channels)]


def _upsample(how: str, inputs: int, outputs: int, *, bias: bool) -> list[nn.Module]:
    """Layers that double the resolution."""
    if how == "transposed":
        return [ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)]
    if how == "nearest":
        return [UpsampledConv2d(inputs, outputs, 3, padding=1, bias=bias)]
    interpolate = nn.Upsample(scale_factor=2, mode=how, align_corners=False)
    return [interpolate, Conv2d(inputs, outputs, 3, padding=1, bias=bias)]


def gradient_norms(critic: nn.Module, images: Tensor) -> Tensor:
    """Norm of each sample's gradient of the critic's score with respect to its image, over all of C, H, W: N."""
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return torch.linalg.vector_norm(gradient, dim=(1, 2, 3))


def real_cost(logits: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of calling these real, against the one-sided smoothed target 1 - `smoothing`."""
    # (1 - s)·softplus(-x) + s·softplus(x) = softplus(-x) + s·x
    return F.softplus(-logits).mean() + smoothing * logits.mean()


def fake_cost(logits: Tensor) -> Tensor:
    """Cross-entropy of calling these generated."""
    return F.softplus(logits).mean()
