"""The thesis's networks (section 4.2): a generator of upsampling blocks, and a critic of three strided convolutions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from ganbench_gans.layers import LeakyReLU, UpsampledConv2d, linear_of_maps
from ganbench_gans.networks import resolutions
from torch import Tensor, nn

from ganbench_graph.layers import SelfAttention2d


class Generator(nn.Module):
    """Latent vectors N×latent_dim to images N×C×H×W in [-1, 1] (figures 4.2 to 4.4).

    A dense layer gives the coarsest map; at 32 pixels and width 66 it is 4×4×528. Each block doubles the resolution
    (nearest neighbour), halves the channels by a 3×3 convolution, and has a second layer that keeps them: a 3×3
    convolution, or `second(channels)` in all blocks but the first. A 1×1 convolution gives the colours. With
    `attention`, those blocks end in self-attention. Batch normalisation and ReLU follow every layer but the last.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        latent_dim: int,
        width: int,
        *,
        batch_norm: bool = True,
        second: Callable[[int], nn.Module] | None = None,
        attention: bool = False,
    ) -> None:
        super().__init__()
        channels, size, _ = shape
        sizes = resolutions(size)
        widths = [width * 2**i for i in reversed(range(len(sizes)))]
        self.start = (widths[0], sizes[0], sizes[0])
        self.project = nn.Linear(latent_dim, widths[0] * sizes[0] ** 2, bias=not batch_norm)
        self.first = nn.Sequential(*_activation(widths[0], batch_norm))
        stages: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            stages += [UpsampledConv2d(inputs, outputs, 3, padding=1, bias=not batch_norm)]
            stages += _activation(outputs, batch_norm)
            if i == 0 or second is None:
                stages += [nn.Conv2d(outputs, outputs, 3, padding=1, bias=not batch_norm)]
            else:
                stages += [second(outputs)]
            stages += _activation(outputs, batch_norm)
            if i > 0 and attention:
                stages += [SelfAttention2d(outputs)]
        self.stages = nn.Sequential(*stages, nn.Conv2d(width, channels, 1), nn.Tanh())

    def forward(self, latent: Tensor) -> Tensor:
        return self.stages(self.first(self.project(latent).view(-1, *self.start)))


class Critic(nn.Module):
    """Images N×C×H×W to scores N (figure 4.1): three 5×5 convolutions of stride 2 and a dense layer.

    Channels double from layer to layer. Leaky ReLU of slope 0.2, no normalisation.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        channels, size, _ = shape
        stages: list[nn.Module] = []
        for inputs, outputs in pairwise([channels, width, 2 * width, 4 * width]):
            stages += [nn.Conv2d(inputs, outputs, 5, stride=2, padding=2), LeakyReLU(0.2)]
            size = (size + 1) // 2
        self.stages = nn.Sequential(*stages)
        self.score = nn.Linear(4 * width * size**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return linear_of_maps(self.score, self.stages(images)).squeeze(1)


def _activation(channels: int, batch_norm: bool) -> list[nn.Module]:
    return [*([nn.BatchNorm2d(channels)] if batch_norm else []), nn.ReLU(inplace=True)]
