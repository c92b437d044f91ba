"""Layers that look beyond the 3×3 window: graph convolutions (section 3.2 of the thesis) and self-attention (4.1).

An operator on the graph takes points N×HW×(F+2), the features of each pixel and its two coordinates, and the places of
its neighbours N×HW×k; it returns N×HW×F'. Its `values(k)` says how many values it holds per pixel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ganbench_graph.neighbours import BLOCK, gather, nearest

COORDINATES = 2


class Operator(nn.Module, ABC):
    """A convolution on the edges of a graph."""

    @abstractmethod
    def values(self, k: int) -> int:
        """Values per pixel of its largest intermediate tensor."""

    @abstractmethod
    def forward(self, points: Tensor, places: Tensor) -> Tensor:
        """Points N×HW×(F+2) and places N×HW×k -> N×HW×F'."""


class GraphConv2d(nn.Module):
    """Graph-convolutional layer (Valsesia et al. 2019, arXiv:1907.08448; equation 3.13 of the thesis).

    N×F×H×W, and the same comes out: the mean of a 3×3 convolution and of `operator` on the graph of each pixel's `k`
    nearest outside of that window. The graph is built from the features alone; row and column, from -1 to 1, are
    concatenated for `operator` only. Images are taken in groups, so that `operator` holds about `BLOCK` values at a
    time; where there are several, what it held is computed again for the gradient.
    """

    def __init__(self, channels: int, operator: Operator, k: int, *, bias: bool = True) -> None:
        super().__init__()
        self.k = k
        self.local = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.operator = operator

    def forward(self, maps: Tensor) -> Tensor:
        n, _, height, width = maps.shape
        places = nearest(maps, self.k)
        rows = torch.linspace(-1, 1, height, device=maps.device)
        columns = torch.linspace(-1, 1, width, device=maps.device)
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        points = torch.cat([maps, grid.expand(n, -1, -1, -1)], dim=1).permute(0, 2, 3, 1).flatten(1, 2)
        size = max(1, BLOCK // (height * width * self.operator.values(self.k)))
        parts = []
        for some, there in zip(torch.split(points, size), torch.split(places, size), strict=True):
            if n > size and torch.is_grad_enabled():
                # Nothing in it is random, and to keep a random state is to wait for the device.
                parts.append(checkpoint(self.operator, some, there, use_reentrant=False, preserve_rng_state=False))
            else:
                parts.append(self.operator(some, there))
        beyond = torch.cat(parts).view(n, height, width, -1).permute(0, 3, 1, 2)
        local = F.conv2d(maps, self.local.weight, padding=1)
        mean = (local + beyond) / 2
        return mean if self.local.bias is None else mean + self.local.bias[:, None, None]


class EdgeConv(Operator):
    """EdgeConv (Wang et al. 2018, arXiv:1801.07829; equation 3.21 of the thesis).

    The sum over the neighbours j of ReLU(W_φ (h_j - h_i) + W_ψ h_i). W_φ h_j is computed once per pixel, not per edge.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.difference = nn.Linear(inputs + COORDINATES, outputs, bias=False)  # W_φ
        self.centre = nn.Linear(inputs + COORDINATES, outputs, bias=False)  # W_ψ

    def values(self, k: int) -> int:
        return k * self.centre.out_features

    def forward(self, points: Tensor, places: Tensor) -> Tensor:
        there = self.difference(points)
        here = self.centre(points) - there
        return (gather(there, places) + here[:, :, None]).relu().sum(2)


class EdgeConditioned(Operator):
    """What both forms of edge-conditioned convolution share: equations 3.14 and 3.15 of the thesis.

    (1/k) Σ_j γ_ij Θ_ij h_j, with γ_ij = exp(-|d_ij|² / δ), and Θ_ij from a network with one hidden layer (as wide as
    the features, leaky ReLU of slope 0.2) whose input is the edge's label d_ij = h_j - h_i. The coordinates belong to
    the label, and not to the h_j that is multiplied.
    """

    def __init__(self, inputs: int, delta: float) -> None:
        super().__init__()
        self.inputs, self.delta = inputs, delta
        self.label = nn.Linear(inputs + COORDINATES, inputs)

    def edges(self, points: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each edge the neighbour's features, the hidden layer and a 1 (for the next layer's bias), and γ / k."""
        there = gather(points, places)
        label = there - points[:, :, None]
        weight = torch.exp(label.square().sum(3, keepdim=True) / -self.delta) / places.shape[2]
        hidden = F.leaky_relu(self.label(label), 0.2)
        return there[..., : self.inputs], F.pad(hidden, (0, 1), value=1.0), weight


class ECC(EdgeConditioned):
    """Edge-conditioned convolution (Simonovsky & Komodakis 2017, arXiv:1704.02901) with dense matrices Θ.

    Θ is linear in the hidden layer a, Θ_ij = Σ_c a_ij,c W_c. So Σ_j γ_ij Θ_ij h_j = Σ_c W_c Σ_j γ_ij a_ij,c h_j: what
    is summed over the edges is a matrix per pixel, whatever k, and no Θ is ever made.
    """

    def __init__(self, inputs: int, outputs: int, delta: float) -> None:
        super().__init__(inputs, delta)
        self.theta = nn.Linear(inputs, outputs * inputs)
        # At first of the scale of a 1×1 convolution: Θ has one entry per input to add up.
        nn.init.uniform_(self.theta.weight, -1 / inputs, 1 / inputs)
        nn.init.uniform_(self.theta.bias, -(inputs**-0.5), inputs**-0.5)

    def values(self, k: int) -> int:
        return (self.inputs + 1) * max(self.inputs, k)

    def forward(self, points: Tensor, places: Tensor) -> Tensor:
        there, hidden, weight = self.edges(points, places)
        sums = hidden.transpose(2, 3) @ (weight * there)  # N×HW×(F+1)×F
        theta = affine(self.theta.weight, self.theta.bias).view(-1, self.inputs, self.inputs + 1)
        return sums.flatten(2) @ theta.permute(2, 1, 0).flatten(0, 1)


class LightECC(EdgeConditioned):
    """Lightweight ECC (Valsesia et al. 2019): Θ of low rank, from circulant layers (equation 3.19 of the thesis).

    Θ_ij = Σ_s κ_s θ_s^L θ_s^Rᵀ, where κ, θ^L and θ^R are linear in the hidden layer. θ^R · h_j is computed from a
    matrix per pixel j, and the sum over the edges is a matrix per pixel i, as in `ECC`.
    """

    def __init__(self, inputs: int, outputs: int, delta: float, rank: int, copies: int) -> None:
        super().__init__(inputs, delta)
        self.rank = rank
        self.left = Circulant(inputs, rank * outputs, copies)
        self.right = Circulant(inputs, rank * inputs, copies)
        self.scale = nn.Linear(inputs, rank)
        # At first κ is about 1 and Θ of the scale of a 1×1 convolution, however large the rank.
        for layer, bound in ((self.left, (3 / rank) ** 0.5), (self.right, inputs**-0.5)):
            nn.init.uniform_(layer.weight, -bound * inputs**-0.5, bound * inputs**-0.5)
            nn.init.uniform_(layer.bias, -bound, bound)
        nn.init.uniform_(self.scale.weight, -(inputs**-0.5), inputs**-0.5)
        nn.init.ones_(self.scale.bias)

    def values(self, k: int) -> int:
        return k * self.rank * (self.inputs + 1)

    def forward(self, points: Tensor, places: Tensor) -> Tensor:
        _, hidden, weight = self.edges(points, places)
        right = affine(self.right.matrix(), self.right.bias).view(self.rank, self.inputs, -1)
        seen = points[..., : self.inputs] @ right.transpose(0, 1).flatten(1)
        seen = gather(seen, places).view(*places.shape, self.rank, -1)
        products = (hidden[..., None, :] @ seen.transpose(3, 4)).squeeze(3)  # θ_s^R · h_j, N×HW×k×r
        products = products * self.scale(hidden[..., : self.inputs]) * weight
        sums = products.transpose(2, 3) @ hidden  # N×HW×r×(F+1)
        left = affine(self.left.matrix(), self.left.bias).view(self.rank, -1, self.inputs + 1)
        return sums.flatten(2) @ left.transpose(1, 2).flatten(0, 1)


class Circulant(nn.Module):
    """A dense layer whose n×m matrix (for xW) is p copies side by side of one n×(m/p) matrix, each shifted.

    Copy q is the first one shifted on by q · m/p as a flat, row-major vector (section 3.2.2 of the thesis): by q rows.
    """

    def __init__(self, inputs: int, outputs: int, copies: int) -> None:
        super().__init__()
        if outputs % copies:
            raise ValueError(f"{outputs} outputs are not a multiple of {copies} copies")
        self.copies = copies
        self.weight = nn.Parameter(torch.empty(outputs // copies, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def matrix(self) -> Tensor:
        """The whole matrix as `torch.nn.Linear` has its own: outputs×inputs."""
        return torch.cat([self.weight.roll(q, dims=1) for q in range(self.copies)])


class SelfAttention2d(nn.Module):
    """Self-attention (Zhang et al. 2018, arXiv:1805.08318; equations 4.2 and 4.3 of the thesis): N×F×H×W, the same.

    x + γ W_v softmax(W_f x · W_g x) W_h x, with F/8 channels inside and γ = 0 at first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 8)
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1, bias=False) for _ in range(3))
        self.output = nn.Conv2d(inner, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor) -> Tensor:
        query, key, value = (
            layer(maps).flatten(2).transpose(1, 2)[:, None] for layer in (self.query, self.key, self.value)
        )
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)[:, 0]
        return maps + self.gamma * self.output(seen.transpose(1, 2).reshape(query.shape[0], -1, *maps.shape[2:]))


def affine(matrix: Tensor, bias: Tensor) -> Tensor:
    """A layer's matrix M×n and bias M as one matrix M×(n+1), for inputs that end in a 1."""
    return torch.cat([matrix, bias[:, None]], dim=1)
