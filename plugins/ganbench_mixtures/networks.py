"""Dense networks for points. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot


class Dense(nn.Module):
    """Hidden layers with ReLU and a linear output: N×`inputs` (and a class, one-hot, where `classes` > 0) to
    N×`outputs`.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        sizes = [inputs + classes, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """`labels` (int64 N) are looked at by a conditional network only."""
        if self.classes:
            assert labels is not None
            values = torch.cat([values, one_hot(labels, self.classes).to(values.dtype)], 1)
        return self.layers(values)


def gradient_norms(critic: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Norm of the critic's gradient at each of N×d points, N; it can be differentiated."""
    points = points.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return torch.linalg.vector_norm(gradient, dim=1)
