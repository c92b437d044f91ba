"""The pictures that a run keeps: a sheet of what a game makes at each evaluation, and one of the real data."""

from __future__ import annotations

import numpy as np
import torch

from ganbench import streams
from ganbench.batches import quantise, scale
from ganbench.data import Prepared
from ganbench.game import Game
from ganbench.sheets import COLUMNS, ROWS, bands, density_sheet, real_sheet, sheet, sheet_labels

_SHEET = 2**30  # keeps the draws of sheets apart from those of scores
_POINTS = 10_000
_ROWS = 3  # of sources, each with its translation, what it is to become, and the way back


def sample_sheet(game: Game, data: Prepared, device: str, seed: int) -> bytes:
    """A PNG of what `game`, in evaluation mode, makes; latents depend on `seed` alone.

    100 samples, a row per class of a conditional game. Of points their density, with that of the real ones on its left.
    Of a game that translates held-out sources, below each its translation, below that its ground truth where data is
    paired, and the way back to the source where the game knows it.
    """
    torch.manual_seed((seed << 32) + _SHEET)
    test, spec = data.splits["test"], data.spec
    if spec.kind == "points":
        labels = torch.arange(_POINTS, device=device) % spec.classes if game.conditional else None
        return density_sheet(test.images[:_POINTS], quantise(game.sample(_POINTS, labels)).cpu().numpy())
    if game.translates:
        return _translations(game, data, device)
    labels = torch.tensor(sheet_labels(spec.classes), device=device) if game.conditional else None
    return sheet(quantise(game.sample(ROWS * COLUMNS, labels)).cpu().numpy())


def real_picture(data: Prepared) -> bytes:
    """A PNG of test images, a row per class where they are labelled; of points their density."""
    test, spec = data.splits["test"], data.spec
    if spec.kind == "points":
        return density_sheet(test.images[:_POINTS])
    if test.sources is None:
        return real_sheet(test.images, test.labels, spec.classes)
    count = COLUMNS * _ROWS
    return bands([np.asarray(test.sources[:count]), np.asarray(test.images[:count])])


def _translations(game: Game, data: Prepared, device: str) -> bytes:
    paired = data.spec.paired
    half = streams.held_out(data.splits["test"], 0)
    assert half.sources is not None
    count = min(COLUMNS * _ROWS, len(half.sources))
    (block,) = streams.translated(game, half, count, device, paired=paired)
    way_back = quantise(game.back(scale(block.images))) if game.back else None
    parts = [block.sources, block.images, block.targets, way_back]
    return bands([part.cpu().numpy() for part in parts if part is not None])
