"""The thesis's networks at 28 pixels (MNIST, Fashion-MNIST), 32 (CIFAR-10) and 48 (Flowers, CelebA).

Read in the notebooks that ran the experiments. As Keras has them: "same" padding, activation before normalisation,
dropout of single values, weights drawn from Glorot's uniform distribution. With ``width=1`` the numbers of
parameters are those of the thesis.
"""

from __future__ import annotations

import torch
from ganbench_gans.layers import LeakyReLU, UpsampledConv2d, linear_of_maps
from ganbench_gans.networks import LabelMap
from torch import Tensor, nn

from ganbench_hoeckler.keras import batch_norm, conv, initialise, transposed

#: Resolution and channels of the generator's first feature map.
_STARTS = {28: (7, 256), 32: (4, 256), 48: (6, 512)}


class Generator(nn.Module):
    """Latent vectors N×latent_dim (and labels N, if `classes` > 0) to images N×C×H×W in [-1, 1].

    Labels become one channel of the first feature map, in the place of one that the latent vector would give.
    `width` multiplies every number of channels but the images'.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        latent_dim: int,
        *,
        upsample: str = "TrpConv",
        norm: bool = True,
        classes: int = 0,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        channels, size, _ = shape
        norm = norm and size != 32
        side, wide = _STARTS[size]
        start = _scaled(wide, width)
        self.start = (start - bool(classes), side, side)
        self.project = nn.Linear(latent_dim, self.start[0] * side * side)
        self.label = LabelMap(classes, side) if classes else None
        # The CIFAR-10 CGAN with transposed convolutions has Keras's default slope here, all else at 32 pixels 0.2.
        slope = 0.3 if size == 28 or (size == 32 and classes and upsample == "TrpConv") else 0.2
        self.first = nn.LeakyReLU(slope)
        # Normalised as the flat vector that the dense layer gives; with a label channel, as a feature map.
        self.flat_norm = batch_norm(start * side * side, 1) if norm and not classes else None
        self.map_norm = batch_norm(start) if norm and classes else None
        self.stages = nn.Sequential(*_STAGES[size](start, channels, upsample, norm, width), nn.Tanh())
        initialise(self)

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.project(latent)
        if self.label is None:
            features = self.first(features)
            if self.flat_norm is not None:
                features = self.flat_norm(features)
            features = features.view(-1, *self.start)
        else:
            features = self.first(torch.cat([features.view(-1, *self.start), self.label(labels)], dim=1))
            if self.map_norm is not None:
                features = self.map_norm(features)
        return self.stages(features)


class Discriminator(nn.Module):
    """Images N×C×H×W (and labels N, if `classes` > 0) to logits, or a critic's scores, N.

    Labels become one more channel of the image. `norm` puts batch normalisation after each dropout (28 pixels only,
    the WGAN critic on MNIST). With `logit_map` (48 pixels only, where the thesis's code does so) the last layer is
    applied at each of the 3×3 positions: logits N×3×3.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        norm: bool = False,
        classes: int = 0,
        logit_map: bool = False,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        channels, size, _ = shape
        self.label = LabelMap(classes, size) if classes else None
        layers, outputs = _BODIES[size](channels + bool(classes), norm, width)
        positions = {28: 49, 32: 16, 48: 9}[size]
        self.body = nn.Sequential(*layers)
        self.logit_map = logit_map
        self.score = nn.Linear(outputs if logit_map else outputs * positions, 1)
        initialise(self)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.label is not None:
            images = torch.cat([images, self.label(labels)], dim=1)
        features = self.body(images)
        if self.logit_map:
            return self.score(features.permute(0, 2, 3, 1)).squeeze(3)
        return linear_of_maps(self.score, features).squeeze(1)


class DenseGenerator(nn.Module):
    """Latent vectors N×latent_dim through one hidden ReLU layer, as wide as the image, to images N×C×H×W in [-1, 1]."""

    def __init__(self, shape: tuple[int, ...], latent_dim: int, *, width: float = 1.0) -> None:
        super().__init__()
        self.shape = shape
        pixels = shape[0] * shape[1] * shape[2]
        hidden = _scaled(pixels, width)
        self.layers = nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, pixels), nn.Tanh())
        initialise(self)

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent).view(-1, *self.shape)


def _scaled(channels: int, width: float) -> int:
    return max(2, round(channels * width))


def _enlarge(how: str, inputs: int, outputs: int, kernels: tuple[int, int], size: int) -> list[nn.Module]:
    """Twice the resolution of maps of `size` pixels; `kernels` of the transposed and of the plain convolution."""
    if how == "TrpConv":
        return transposed(inputs, outputs, kernels[0], 2)
    if how == "Nearest":
        return [UpsampledConv2d(inputs, outputs, kernels[1], padding=kernels[1] // 2)]
    interpolate = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return [interpolate, *conv(inputs, outputs, kernels[1], size=2 * size)]


def _stages28(start: int, channels: int, upsample: str, norm: bool, width: float) -> list[nn.Module]:
    middle, last = _scaled(128, width), _scaled(64, width)
    return [
        *conv(start, middle, 5, size=7),
        *_active(0.3, middle, norm),
        *_enlarge(upsample, middle, last, (5, 5), 7),
        *_active(0.3, last, norm),
        *_enlarge(upsample, last, channels, (5, 5), 14),
    ]


def _stages32(start: int, channels: int, upsample: str, norm: bool, width: float) -> list[nn.Module]:
    wide, layers = _scaled(128, width), list[nn.Module]()
    for inputs, size in ((start, 4), (wide, 8), (wide, 16)):
        layers += [*_enlarge(upsample, inputs, wide, (4, 3), size), *_active(0.2, wide, norm)]
    return [*layers, *conv(wide, channels, 3, size=32)]


def _stages48(start: int, channels: int, upsample: str, norm: bool, width: float) -> list[nn.Module]:
    inputs, layers = start, list[nn.Module]()
    for base, size in ((256, 6), (128, 12), (64, 24)):
        outputs = _scaled(base, width)
        layers += [*_enlarge(upsample, inputs, outputs, (2, 3), size), *_active(0.2, outputs, norm)]
        inputs = outputs
    return [*layers, *conv(inputs, channels, 1, size=48)]


def _active(slope: float, channels: int, norm: bool) -> list[nn.Module]:
    return [nn.LeakyReLU(slope), *([batch_norm(channels)] if norm else [])]


def _body28(channels: int, norm: bool, width: float) -> tuple[list[nn.Module], int]:
    layers, inputs = list[nn.Module](), channels
    for base, size in ((64, 28), (128, 14)):
        outputs = _scaled(base, width)
        layers += [*conv(inputs, outputs, 5, 2, size=size), LeakyReLU(0.3), nn.Dropout(0.3)]
        layers += [batch_norm(outputs)] if norm else []
        inputs = outputs
    return layers, inputs


def _body32(channels: int, norm: bool, width: float) -> tuple[list[nn.Module], int]:
    layers, inputs = list[nn.Module](), channels
    for base, stride, size in ((64, 2, 32), (128, 2, 16), (128, 2, 8), (256, 1, 4)):
        outputs = _scaled(base, width)
        layers += [*conv(inputs, outputs, 3, stride, size=size), LeakyReLU(0.2)]
        inputs = outputs
    return [*layers, nn.Dropout(0.5)], inputs


def _body48(channels: int, norm: bool, width: float) -> tuple[list[nn.Module], int]:
    layers, inputs = list[nn.Module](), channels
    for base, kernel, stride, size in (
        (64, 1, 2, 48),
        (128, 3, 2, 24),
        (256, 3, 2, 12),
        (512, 3, 2, 6),
        (512, 6, 1, 3),
    ):
        outputs = _scaled(base, width)
        layers += [*conv(inputs, outputs, kernel, stride, size=size), LeakyReLU(0.2), nn.Dropout(0.3)]
        inputs = outputs
    return layers, inputs


_STAGES = {28: _stages28, 32: _stages32, 48: _stages48}
_BODIES = {28: _body28, 32: _body32, 48: _body48}
