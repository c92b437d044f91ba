"""What a game with an encoder makes of held-out images: there and back, again and again, and from nearby."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganbench.api import DataSpec, Game, Params, Probe, Probed, TrainedGame, Unavailable, param

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 250  # images encoded and decoded at a time


class _Encoded(Probe):
    """What these probes have in common."""

    extractors = ("classifier",)

    def unsuitable(self, game: Game, data: DataSpec) -> str | None:
        return None if game.encoder is not None else "it needs a game with an encoder"


@dataclass(frozen=True)
class ReconstructParams(Params):
    images: int = param(1000, "held-out images, or as many as there are", min=1)
    shown: int = param(40, "images on the picture", min=1, max=200)


class Reconstruct(_Encoded):
    """Held-out images encoded and decoded: the error in grey levels, and whether they keep their class.

    ``error``: root mean square of pixel differences in grey levels; ``error-mean-image``: that of the mean training
    image in the place of each. ``own-class``: share of the reconstructions that the dataset's classifier puts into the
    class of their original; ``own-class-real``: of the originals. Images are those at odd places of the test split, as
    those at even places choose the snapshot.
    """

    Params = ReconstructParams

    def run(self, trained: TrainedGame, params: ReconstructParams) -> Probed:
        import torch

        originals, labels = held_out(trained, params.images)
        images = torch.cat([there_and_back(trained, *part) for part in _blocks(trained, originals, labels)])
        mean = torch.tensor(np.mean(trained.splits["train"].images, axis=0), device=images.device)
        numbers = {
            "error": error(images, originals),
            "error-mean-image": error(mean.expand(originals.shape), originals),
        }
        agreement = Agreement(trained)
        numbers |= agreement("own-class", images, labels) | agreement("own-class-real", originals, labels)
        shown = pairs(originals[: params.shown], images[: params.shown], columns := min(10, params.shown, len(images)))
        picture = {"reconstructions": trained.sheet(shown, columns)}
        return Probed(numbers, picture, "rows in turn: held-out images, and below each its reconstruction")


def held_out(trained: TrainedGame, count: int) -> tuple[Tensor, Tensor | None]:
    """The first test images at odd places, uint8 on the device, and their labels."""
    import torch

    test = trained.splits["test"]
    images = torch.tensor(np.asarray(test.images[1::2][:count]), device=trained.device)
    if test.labels is None:
        return images, None
    return images, torch.tensor(np.asarray(test.labels[1::2][:count]), device=trained.device)


def there_and_back(trained: TrainedGame, images: Tensor, labels: Tensor | None) -> Tensor:
    """The reconstructions of uint8 images, uint8."""
    return trained.quantised(trained.decoded(encoded(trained, images), labels))


def encoded(trained: TrainedGame, images: Tensor) -> Tensor:
    """The latent vectors of uint8 images, n×dim."""
    assert trained.game.encoder is not None
    return trained.game.encoder(trained.scaled(images.cpu().numpy()))


def _blocks(trained: TrainedGame, images: Tensor, labels: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
    starts = range(0, len(images), BLOCK)
    return [(images[i : i + BLOCK], None if labels is None else labels[i : i + BLOCK]) for i in starts]


def error(images: Tensor, originals: Tensor) -> float:
    """Root mean square of differences in grey levels."""
    return float((images.double() - originals.double()).square().mean().sqrt())


class Agreement:
    """How many images the dataset's classifier puts into the classes that they ought to have."""

    def __init__(self, trained: TrainedGame) -> None:
        try:
            self.classifier = trained.extractor("classifier") if trained.spec.classes else None
        except Unavailable:
            self.classifier = None

    def __call__(self, name: str, images: Tensor, labels: Tensor | None) -> dict[str, float]:
        """``{name: share}``; nothing where there are no labels or no classifier."""
        if self.classifier is None or labels is None:
            return {}
        return {name: float((self.classifier(images)[1].argmax(1) == labels).double().mean())}


def pairs(above: Tensor, below: Tensor, columns: int) -> Tensor:
    """Rows of `columns` images of one, each followed by the row of the other; what is missing is white."""
    import torch

    rows = []
    for start in range(0, len(above), columns):
        for part in (above, below):
            some = part[start : start + columns]
            white = some.new_full((columns - len(some), *some.shape[1:]), 255)
            rows.append(torch.cat([some, white]))
    return torch.cat(rows)
