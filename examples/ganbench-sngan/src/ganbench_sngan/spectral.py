"""Spectral normalisation (Miyato et al. 2018, arXiv:1802.05957, algorithm 1).

`torch.nn.utils.parametrizations.spectral_norm` does a power iteration at every forward pass in training mode: three in
a round of a GAN, one of them in the generator's turn, where the discriminator should not change. Algorithm 1 has one
per update of the discriminator. Here the iteration is a call of its own, for `Player.after_turn`. Between two of those
the discriminator is a fixed function, in training and evaluation mode alike; the vectors are buffers that are written
in place, so that checkpoints hold them and a recorded turn (CUDA graph) goes on with them.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

_WARM_UP = 15  # iterations on the initial weights, as torch does

Layer = TypeVar("Layer", bound=nn.Module)


class SpectralNorm(nn.Module):
    """A weight divided by its largest singular value, as estimated: W / σ(W) with σ(W) = uᵀ W v (equations 8 and 19).

    W is the weight as a matrix of outputs × everything else (section 2.1); `u` and `v` are no functions of W for the
    gradient, which therefore is that of section 2.2. `matrix` is what the estimate starts from.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.u: Tensor
        self.v: Tensor
        self.register_buffer("u", normalize(torch.randn_like(matrix[:, 0]), dim=0))
        self.register_buffer("v", torch.zeros_like(matrix[0]))
        for _ in range(_WARM_UP):
            self.iterate(weight)

    def forward(self, weight: Tensor) -> Tensor:
        # ⟨W, u vᵀ⟩ in the place of uᵀ W v: the same number, and no product of matrices that autocast would round.
        sigma = (weight.flatten(1) * torch.outer(self.u, self.v)).sum()
        return weight / sigma

    @torch.no_grad()
    def iterate(self, weight: Tensor) -> None:
        """One power iteration (equations 20 and 21)."""
        matrix = weight.flatten(1)
        self.v.copy_(normalize(matrix.T @ self.u, dim=0))
        self.u.copy_(normalize(matrix @ self.v, dim=0))


def spectral_norm(layer: Layer) -> Layer:
    """`layer`, with its weight normalised from now on; the parameter that is trained stays the raw weight."""
    weight = layer.get_parameter("weight")
    parametrize.register_parametrization(layer, "weight", SpectralNorm(weight))
    return layer


def power_iteration(network: nn.Module, times: int = 1) -> None:
    """Bring the estimates of all normalised layers of `network` up to date with their weights."""
    for layer in network.modules():
        if isinstance(layer, parametrize.ParametrizationList) and isinstance(norm := layer[0], SpectralNorm):
            for _ in range(times):
                norm.iterate(layer.original)
