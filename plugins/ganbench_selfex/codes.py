"""InfoGAN's codes: made from normal latents, and read off features of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Codes(nn.Module):
    """Standard normal latents N×d to codes and noise N×d: a category one-hot, uniform codes on [-1, 1], the rest as is.

    The largest of `categories` independent normals is each with the same probability; 2Φ - 1 of a normal is uniform.
    """

    def __init__(self, categories: int, continuous: int) -> None:
        super().__init__()
        self.categories, self.continuous = categories, continuous

    def forward(self, latents: Tensor) -> Tensor:
        scores, normal, noise = latents.tensor_split([self.categories, self.categories + self.continuous], dim=1)
        category = (scores == scores.amax(dim=1, keepdim=True)).to(latents.dtype)
        return torch.cat([category, torch.erf(normal / 2**0.5), noise], dim=1)


class Coded(nn.Module):
    """A generator N×d -> N×C×H×W that gets `codes` of its latents."""

    def __init__(self, codes: Codes, generator: nn.Module) -> None:
        super().__init__()
        self.codes, self.generator = codes, generator

    def forward(self, latents: Tensor) -> Tensor:
        return self.generator(self.codes(latents))


class CodeHead(nn.Module):
    """Q's own layers, one of them hidden as in the paper's table 1: features N×f to N×(categories + continuous)."""

    def __init__(self, codes: Codes, features: int, width: int) -> None:
        super().__init__()
        self.codes = codes
        self.layers = nn.Sequential(
            nn.Linear(features, width, bias=False),
            nn.BatchNorm1d(width),
            nn.LeakyReLU(0.1),
            nn.Linear(width, codes.categories + codes.continuous),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)

    def cost(self, features: Tensor, coded: Tensor, categorical: float, continuous: float) -> Tensor:
        """-log Q of the true codes (the first columns of `coded`), the two kinds by their weights, mean over N.

        Of a continuous code (c - ĉ)²/2, the Gaussian's of variance 1 without its constant.
        """
        k = self.codes.categories
        read = self(features)
        category = -(coded[:, :k] * read[:, :k].log_softmax(dim=1)).sum(dim=1)
        others = (coded[:, k : read.shape[1]] - read[:, k:]).square().sum(dim=1) / 2
        return (categorical * category + continuous * others).mean()
