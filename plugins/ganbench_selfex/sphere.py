"""The sphere that SelfExGAN's latents lie on, and how far they are from a Gaussian."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class OnSphere(nn.Module):
    """An encoder whose outputs N×M, through a sigmoid, are projected to the sphere of radius √M (equations 4.1 to 4.4).

    The centre of the projection is where a sigmoid's values lie, 1/2 in each coordinate; the sphere's is the origin.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        around = torch.sigmoid(self.encoder(images)) - 0.5
        return F.normalize(around, eps=1e-6) * around.shape[1] ** 0.5


def kl_to_standard_normal(latents: Tensor) -> Tensor:
    """Equation 4.5: KL(N(μ, σ²) ‖ N(0, 1)) with each dimension's μ and σ over the minibatch N×M, mean over dimensions.

    At least 0. σ² is the mean squared deviation (not the n - 1 one), and a little is added to it: where all latents
    agree the logarithm would be infinite.
    """
    variance, mean = torch.var_mean(latents, dim=0, correction=0)
    return (((variance + mean**2) - torch.log(variance + 1e-6) - 1) / 2).mean()
