"""Filling a hole in an image by a search through the latent space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganbench.api import DataSpec, Game, Params, Probe, Probed, TrainedGame, param

if TYPE_CHECKING:
    from torch import Tensor

_LONG = 256  # latent vectors that are searched at a time


@dataclass(frozen=True)
class InpaintParams(Params):
    images: int = param(10, "held-out images, one after the other", min=1, max=1000)
    starts: int = param(64, "latent vectors that each search begins with", min=1, max=4096, paper=64)
    steps: int = param(200, "steps of Adam", min=0, max=100_000, paper=5000)
    lr: float = param(0.05, "step size of Adam", symbol="η", min=1e-6, max=10.0, paper=0.005)
    weight: float = param(0.003, "weight of the perceptual cost", symbol="λ", min=0.0, max=1e3, paper=0.003)
    hole: float = param(0.5, "side of the hole as a share of the image's", min=0.05, max=0.95, paper=0.5)


class Inpaint(Probe):
    """The centre square of held-out images, filled by the latent vector that fits what is around it best.

    Yeh et al. 2016, as in the thesis of Yukimura (2017, section 5.1.1, equations 5.12 and 5.13): from a batch of starts
    z is moved by Adam to lower ‖M ⊙ (G(z) - y)‖₁ + λ log(1 - D(G(z))), M being 1 around the hole; the vector with the
    lowest cost at the end is taken. Pixels are in [-1, 1]. D is σ of what the game's `discriminator` says, so that the
    second term is -softplus of it, also for a critic; without a discriminator it is left out, and the note says so. A
    conditional game is told the image's class.

    Errors are root mean squares of differences inside the hole in grey levels, over all images: ``error-inside`` of the
    search; ``error-inside-random`` of the best of as many random samples, chosen like the result by what is around the
    hole; ``error-inside-mean`` of the mean training image; ``error-around`` of the search around the hole.
    """

    Params = InpaintParams
    paper = "Yeh et al. 2016, Semantic Image Inpainting with Perceptual and Contextual Losses, arXiv:1607.07539"

    def unsuitable(self, game: Game, data: DataSpec) -> str | None:
        return None if game.latent is not None else "it needs a game that names its latent"

    def run(self, trained: TrainedGame, params: InpaintParams) -> Probed:
        import torch

        game, test = trained.game, trained.splits["test"]
        assert game.latent is not None
        chosen = np.asarray(test.images[1::2][: params.images])
        originals = trained.scaled(chosen)
        labels = None
        if game.conditional and test.labels is not None:
            labels = torch.tensor(np.asarray(test.labels[1::2][: params.images]), device=trained.device)
        around = _around(trained.spec.size, params.hole, originals)
        mean = trained.scaled(np.mean(trained.splits["train"].images, axis=0, keepdims=True).round().astype(np.uint8))
        found, random = [], []
        per = max(1, _LONG // params.starts)  # images that are searched for at once
        for start in range(0, len(originals), per):
            wanted = originals[start : start + per].repeat_interleave(params.starts, 0)
            asked = None if labels is None else labels[start : start + per].repeat_interleave(params.starts)
            trained.say(f"inpaint: image {start + 1} of {len(originals)}")
            first = game.latent(len(wanted))
            with torch.no_grad():
                samples = trained.decoded(first, asked)
            random.append(_best(samples, _contextual(samples, wanted, around), params.starts))
            found.append(_searched(trained, params, first, wanted, asked, around))
        images, guesses = torch.cat(found), torch.cat(random)
        hole = 1 - around
        numbers = {
            "error-inside": _error(images, originals, hole),
            "error-inside-random": _error(guesses, originals, hole),
            "error-inside-mean": _error(mean.expand_as(originals), originals, hole),
            "error-around": _error(images, originals, around),
        }
        filled = around * originals + hole * images
        shown = [originals, around * originals - hole, filled, images, around * originals + hole * guesses]
        rows = torch.stack(shown, 1).flatten(0, 1)
        note = "columns: original, what was known, the hole filled, the sample that fills it, the best random sample"
        if game.discriminator is None:
            note += "; without the perceptual cost, as the snapshot has no discriminator"
        return Probed(numbers, {"inpainted": trained.sheet(rows, len(shown))}, note)


def _around(size: int, hole: float, like: Tensor) -> Tensor:
    """1 around the hole, 0 inside: 1×1×H×W."""
    side = max(1, round(size * hole))
    start = (size - side) // 2
    mask = like.new_ones(1, 1, size, size)
    mask[..., start : start + side, start : start + side] = 0
    return mask


def _contextual(images: Tensor, wanted: Tensor, around: Tensor) -> Tensor:
    """Equation 5.12, for each image."""
    return (around * (images - wanted)).abs().flatten(1).sum(1)


def _searched(
    trained: TrainedGame,
    params: InpaintParams,
    first: Tensor,
    wanted: Tensor,
    labels: Tensor | None,
    around: Tensor,
) -> Tensor:
    """The images that the search ends with, one for every `starts` rows."""
    import torch

    discriminator = trained.game.discriminator

    def cost(images: Tensor) -> Tensor:
        contextual = _contextual(images, wanted, around)
        if discriminator is None or not params.weight:
            return contextual
        said = discriminator(images) if labels is None else discriminator(images, labels)
        return contextual - params.weight * torch.nn.functional.softplus(said).flatten()

    with torch.enable_grad():
        z = first.clone().requires_grad_()
        adam = torch.optim.Adam([z], lr=params.lr)
        for _ in range(params.steps):
            (z.grad,) = torch.autograd.grad(cost(trained.decoded(z, labels)).sum(), z)
            adam.step()
    images = trained.decoded(z.detach(), labels)
    return _best(images, cost(images), params.starts)


def _best(images: Tensor, costs: Tensor, starts: int) -> Tensor:
    """Of every `starts` images that of the lowest cost; one whose cost is no number is none."""
    import torch

    costs = costs.nan_to_num(float("inf")).view(-1, starts)
    places = costs.argmin(1) + torch.arange(len(costs), device=images.device) * starts
    return images[places]


def _error(images: Tensor, originals: Tensor, where: Tensor) -> float:
    """Root mean square difference in grey levels of the pixels where `where` is 1."""
    squares = (where * (images - originals).double() * 127.5).square()
    return float((squares.sum() / where.expand_as(squares).sum()).sqrt())
