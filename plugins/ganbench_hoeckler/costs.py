"""The costs of the thesis's GANs."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def discriminator_cost(real: Tensor, fake: Tensor, smooth: float) -> Tensor:
    """Half the sum of the cross-entropies of calling real images `smooth` (1, or 0.9) and generated ones 0."""
    # -t·log σ(x) - (1 - t)·log σ(-x) = softplus(x) - t·x
    return 0.5 * ((F.softplus(real) - smooth * real).mean() + F.softplus(fake).mean())


def generator_cost(fake: Tensor) -> Tensor:
    """Cross-entropy of calling generated images real: the non-saturating cost."""
    return F.softplus(-fake).mean()


def gradient_penalty(
    critic: nn.Module, real: Tensor, fake: Tensor, norm: Literal["sample", "column"], *, dropout: bool
) -> Tensor:
    """Mean squared deviation from 1 of the norms of the critic's gradient between real and generated images.

    ``sample``: one norm per image, over all of C, H, W (Gulrajani et al. 2017, equation 3). ``column``: one norm per
    column of each channel, as the thesis's code has it, whose sum of squares runs over the image's height only; this
    pulls the norm of a whole 28×28 image towards √28. `dropout`: whether the critic drops values out meanwhile.
    """
    between = fake + torch.rand(len(real), 1, 1, 1, device=real.device) * (real - fake)
    between = between.detach().requires_grad_()
    critic.train(dropout)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    critic.train()
    norms = torch.linalg.vector_norm(gradient, dim=2 if norm == "column" else (1, 2, 3))
    return (norms - 1).square().mean()
