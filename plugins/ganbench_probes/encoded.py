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
        images = torch.cat([there_and_back(trained, *part) for part in blocks(originals, labels)])
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


def blocks(images: Tensor, labels: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
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


@dataclass(frozen=True)
class IterateParams(Params):
    images: int = param(10, "held-out images, one in a row", min=1, max=1000)
    steps: int = param(9, "times that an output is fed back", min=1, max=1000)


class Iterate(_Encoded):
    """Held-out images, and again and again what the encoder and the generator make of the image before.

    Figure 4.8 of the SelfExGAN thesis (2018): images change gradually into others. ``first-step``, ``last-step``: how
    much the first and the last time change an image (root mean square, grey levels). ``own-class-1`` and so on: share
    of images that are still in the class of their original, by the dataset's classifier, after the first time, half of
    them and all.
    """

    Params = IterateParams

    def run(self, trained: TrainedGame, params: IterateParams) -> Probed:
        import torch

        originals, labels = held_out(trained, params.images)
        row = [originals]
        for _ in range(params.steps):
            row.append(there_and_back(trained, row[-1], labels))
        numbers = {"first-step": error(row[1], row[0]), "last-step": error(row[-1], row[-2])}
        agreement = Agreement(trained)
        for step in sorted({1, max(1, params.steps // 2), params.steps}):
            numbers |= agreement(f"own-class-{step}", row[step], labels)
        rows = torch.stack(row, 1).flatten(0, 1)
        picture = {"iterated": trained.sheet(rows, len(row))}
        return Probed(numbers, picture, "rows: a held-out image, then each time what is made of the image before")


@dataclass(frozen=True)
class NeighbourhoodParams(Params):
    images: int = param(5, "held-out images", min=2, max=1000)
    near: int = param(8, "images around each at each scale", min=2, max=64)
    small: float = param(0.1, "smallest scale of the noise, in standard deviations of the latent", min=0.0)
    middle: float = param(0.5, "middle scale", min=0.0)
    large: float = param(1.0, "largest scale", min=0.0)


class Neighbourhood(_Encoded):
    """What is near encoded held-out images: similar images with little noise, new ones with much.

    Figures 4.11 and 4.12 of the SelfExGAN thesis (2018): a held-out image is encoded, normal noise of three scales is
    added, and the sums are decoded (on the sphere where the latent is). By scale: ``own-class-small`` and so on is the
    share that the classifier puts into the class of the original, ``spread-small`` how far the images are from the
    reconstruction (root mean square, grey levels). Similarity (figure 4.11): mean cosine of the encoded vectors of two
    images ``similarity-same`` of one class and ``similarity-other`` of two, of 500 held-out images.
    """

    Params = NeighbourhoodParams

    def run(self, trained: TrainedGame, params: NeighbourhoodParams) -> Probed:
        import torch

        latent = trained.game.latent
        assert latent is not None
        originals, labels = held_out(trained, params.images)
        centres = encoded(trained, originals)
        again = trained.quantised(trained.decoded(centres, labels))
        agreement = Agreement(trained)
        numbers: dict[str, float] = {}
        parts = []
        many = None if labels is None else labels.repeat_interleave(params.near)
        for name, scale in (("small", params.small), ("middle", params.middle), ("large", params.large)):
            vectors = centres.repeat_interleave(params.near, 0)
            vectors = vectors + scale * torch.randn_like(vectors)
            if latent.kind == "sphere":
                vectors = torch.nn.functional.normalize(vectors) * latent.dim**0.5
            images = trained.quantised(trained.decoded(vectors, many))
            numbers |= agreement(f"own-class-{name}", images, many)
            numbers[f"spread-{name}"] = error(images, again.repeat_interleave(params.near, 0))
            parts.append(images.view(len(originals), params.near, *images.shape[1:]))
        numbers |= _similarities(trained)
        rows = [torch.cat([originals[i : i + 1], again[i : i + 1], block[i]]) for i in range(len(originals))
                for block in parts]  # fmt: skip
        picture = {"neighbourhood": trained.sheet(torch.cat(rows), params.near + 2)}
        note = "three rows an image: the original, its reconstruction, and images around it; noise grows downwards"
        return Probed(numbers, picture, note)


def _similarities(trained: TrainedGame) -> dict[str, float]:
    """Mean cosines of encoded held-out images of one class and of two; nothing where there are no labels."""
    import torch

    images, labels = held_out(trained, 500)
    if labels is None:
        return {}
    vectors = torch.cat([encoded(trained, part) for part, _ in blocks(images, None)])
    cosines = (units := torch.nn.functional.normalize(vectors.double())) @ units.T
    same = labels[:, None] == labels[None]
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    found = {"similarity-same": cosines[same & ~own], "similarity-other": cosines[~same]}
    return {name: float(values.mean()) for name, values in found.items() if len(values)}
