"""What a worker keeps of a cell that is done for people to look at: nearest neighbours, interpolations, classes.

All of it is drawn from the chosen snapshot, after every score is known; no number of a record depends on it.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganbench.batches import quantise
from ganbench.contracts import Features
from ganbench.game import Game
from ganbench.sheets import COLUMNS, sheet
from ganbench.store import write_atomically

NEIGHBOURS, ROWS = 16, 8  # samples with their nearest training images; rows of the sheet of interpolations
_SEED = 2**30 + 2**29  # keeps these draws apart from those of scores and sheets
_BLOCK = 2**24  # values of training images that are compared at a time


def write(folder: Path, game: Game, images: Tensor, classes: int, seed: int) -> None:
    """Write ``neighbours.png``, and ``interpolation.png`` where the game names its `Latent`; remove older ones.

    `game` is in evaluation mode with the chosen snapshot; `images` are the training images, uint8 N×C×H×W on the
    device; there is nothing to draw of points and of translations. What cannot be drawn is left out, with a traceback
    in the log.
    """
    for name, draw in (("neighbours.png", _neighbours), ("interpolation.png", _interpolation)):
        path = folder / name
        path.unlink(missing_ok=True)
        if images.dim() == 2 or game.translates:
            continue
        with tried(name):
            torch.manual_seed((seed << 32) + _SEED)
            content = draw(game, images, classes)
            if content:
                write_atomically(path, content, durable=False)


@contextmanager
def tried(what: str) -> Iterator[None]:
    """Go on without it when something is wrong inside: nothing here is worth a cell."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        print(f"{what} is left out", file=sys.stderr, flush=True)


def _neighbours(game: Game, images: Tensor, classes: int) -> bytes:
    """Samples, and below each of them the training image that is nearest."""
    labels = torch.arange(NEIGHBOURS, device=images.device) % max(classes, 1) if game.conditional else None
    samples = quantise(game.sample(NEIGHBOURS, labels))
    found = images[nearest(samples, images)]
    return sheet(torch.cat([samples, found]).cpu().numpy(), NEIGHBOURS)


def nearest(samples: Tensor, images: Tensor) -> Tensor:
    """Of each of `samples` the place of the image that is nearest by Euclidean distance of pixels: int64 n.

    Both uint8 …×C×H×W. In blocks, so that memory does not grow with the number of images; of equally near ones the
    first.
    """
    wanted = samples.flatten(1).float()
    best = torch.full((len(wanted),), torch.inf, device=images.device)
    place = torch.zeros(len(wanted), dtype=torch.int64, device=images.device)
    step = max(1, _BLOCK // wanted.shape[1])
    for start in range(0, len(images), step):
        block = images[start : start + step].flatten(1).float()
        # |a - b|² without |a|², which is the same for all images; in place of a matrix of differences.
        distances = block.square().sum(1)[None] - 2 * wanted @ block.T
        low, where = distances.min(dim=1)
        better = low < best
        best, place = torch.where(better, low, best), torch.where(better, where + start, place)
    return place


def _interpolation(game: Game, images: Tensor, classes: int) -> bytes:
    """Rows of samples on the way from one latent vector to another; of a conditional game each row of one class."""
    latent = game.latent
    if latent is None:
        return b""
    vectors = latent.between(latent(ROWS), latent(ROWS), COLUMNS)
    labels = None
    if game.conditional:
        labels = (torch.arange(ROWS, device=images.device) % max(classes, 1)).repeat_interleave(COLUMNS)
    with latent.given(vectors.flatten(0, 1)):
        samples = quantise(game.sample(ROWS * COLUMNS, labels))
    return sheet(samples.cpu().numpy())


class ClassCounts:
    """How many samples of a stream the dataset's classifier puts into each class."""

    def __init__(self, frequencies: Tensor | None) -> None:
        """`frequencies`: how many training images each class has; None for unlabelled data."""
        self.train = None if frequencies is None else frequencies.double()
        self.samples: Any = 0

    def __call__(self, seen: dict[str, Features]) -> None:
        """Count one block, where a classifier has seen it."""
        with tried("the count of classes"):
            logits = seen["classifier"].logits if "classifier" in seen else None
            if self.train is not None and logits is not None and logits.shape[1] == len(self.train):
                self.samples = self.samples + torch.nn.functional.one_hot(logits.argmax(1), len(self.train)).sum(0)

    @property
    def facts(self) -> dict[str, list[float]]:
        """Shares per class of the ``samples`` and in ``train``; empty where nothing was counted."""
        if self.train is None or isinstance(self.samples, int):
            return {}
        shares = [(counts.double() / counts.sum()).tolist() for counts in (self.samples, self.train)]
        return {
            what: [round(one, 6) for one in share] for what, share in zip(("samples", "train"), shares, strict=True)
        }
