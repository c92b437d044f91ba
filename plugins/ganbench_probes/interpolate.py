"""The way from one latent vector to another, along the great circle and straight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import DataSpec, Game, Params, Probe, Probed, TrainedGame, param

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class InterpolateParams(Params):
    rows: int = param(8, "pairs of latent vectors, one in a row", min=1, max=64)
    columns: int = param(10, "images from one to the other, both ends included", min=3, max=64)


class Interpolate(Probe):
    """Images on the way from one latent vector to another, spherical and linear.

    Spherical: along the great circle (White 2016, arXiv:1609.04468), of a game with uniform latents a straight line
    too; linear: straight, where vectors half-way are shorter than any that the generator was trained with. Each row of
    a conditional game is of one class.

    ``jump-spherical``, ``jump-linear``: the largest step of a row as a multiple of its mean step (root mean square
    of pixel differences), mean over rows: 1 is an even way, `columns` - 1 one jump. ``middle-norm-linear``: the mean
    length of the vectors half-way as a share of that of the ends.
    """

    Params = InterpolateParams
    paper = "White 2016, Sampling Generative Networks, arXiv:1609.04468"

    def unsuitable(self, game: Game, data: DataSpec) -> str | None:
        return None if game.latent is not None else "it needs a game that names its latent"

    def run(self, trained: TrainedGame, params: InterpolateParams) -> Probed:
        import torch

        latent, rows, columns = trained.game.latent, params.rows, params.columns
        assert latent is not None
        a, b = latent(rows), latent(rows)
        share = torch.linspace(0, 1, columns, device=a.device)[None, :, None]
        straight = (1 - share) * a[:, None] + share * b[:, None]
        labels = None
        if trained.game.conditional:
            labels = (torch.arange(rows, device=a.device) % trained.spec.classes).repeat_interleave(columns)
        numbers, pictures = {}, {}
        for name, vectors in (("spherical", latent.between(a, b, columns)), ("linear", straight)):
            images = trained.decoded(vectors.flatten(0, 1), labels)
            numbers[f"jump-{name}"] = _jump(images.view(rows, columns, *images.shape[1:]))
            pictures[name] = trained.sheet(images, columns)
        ends = (a.norm(dim=1) + b.norm(dim=1)) / 2
        numbers["middle-norm-linear"] = float((((a + b) / 2).norm(dim=1) / ends).mean())
        return Probed(numbers, pictures)


def _jump(images: Tensor) -> float:
    """Of rows×columns×C×H×W the largest step over the mean step, mean over rows; rows that do not change count as 1."""
    steps = (images[:, 1:] - images[:, :-1]).square().flatten(2).mean(2).sqrt()
    mean = steps.mean(1)
    return float((steps.amax(1) / mean.clamp_min(1e-12)).where(mean > 1e-12, 1.0).mean())
