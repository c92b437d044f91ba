"""Two translations of real handwritten digits for which nothing is downloaded: one in pairs, one in two collections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganbench.api import Dataset, DataSpec, Params, Split, param


@dataclass(frozen=True)
class DigitParams(Params):
    size: int = param(32, "height and width that the 8×8 digits are enlarged to", choices=(16, 32, 64))


class EdgesToDigits(Dataset):
    """Outlines to handwritten digits in grey, 1,198 train and 599 test pairs, 10 classes; nothing to download.

    scikit-learn's digits (see `digits`, whose splits they have), enlarged to `size` (bicubic). A source is the outline,
    one pixel wide and white on black, of what is brighter than mid-grey: the shape is given, and the grey levels have
    to be found. Named after pix2pix's edges2shoes.
    """

    Params = DigitParams
    params: DigitParams

    def spec(self) -> DataSpec:
        shape = (1, self.params.size, self.params.size)
        return DataSpec(shape, classes=10, source=shape, paired=True)

    def load(self, root: Path) -> Mapping[str, Split]:
        return {
            name: Split(enlarged(images, self.params.size), labels, outlines(enlarged(images, self.params.size)))
            for name, (images, labels) in _digits(root).items()
        }


class ChalkToInk(Dataset):
    """White chalk digits on a green board to blue ink on paper, unpaired: 599 + 599 train, 300 + 299 test images.

    scikit-learn's digits (see `digits`, whose splits they have), enlarged to `size` (bicubic), in colour, 10 classes.
    Every other digit of a split is in chalk, with grain (seed 0), and the others are in ink, with a thinner stroke: no
    digit is in both.
    """

    Params = DigitParams
    params: DigitParams

    def spec(self) -> DataSpec:
        shape = (3, self.params.size, self.params.size)
        return DataSpec(shape, classes=10, source=shape)

    def load(self, root: Path) -> Mapping[str, Split]:
        grain, splits = np.random.RandomState(0), {}
        for name, (images, labels) in _digits(root).items():
            order = np.argsort(labels, kind="stable")  # alternating within each class
            chalked, inked = np.sort(order[1::2]), np.sort(order[::2])
            strokes = enlarged(images, self.params.size) / 255.0
            chalk = strokes[chalked] * grain.uniform(0.7, 1.0, strokes[chalked].shape)
            splits[name] = Split(
                _mixed(strokes[inked] ** 2, (245, 236, 215), (25, 45, 140)),
                labels[inked],
                _mixed(chalk, (28, 62, 48), (238, 238, 228)),
                labels[chalked],
            )
        return splits


def _digits(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels of dataset `digits`, by split."""
    from ganbench_data.digits import Digits

    found = {}
    for name, split in Digits().load(root).items():
        assert split.labels is not None
        found[name] = split.images, split.labels
    return found


def enlarged(images: np.ndarray, size: int) -> np.ndarray:
    """Uint8 N×1×8×8 to N×1×size×size."""
    from PIL import Image

    tiles = [Image.fromarray(image[0]).resize((size, size), Image.Resampling.BICUBIC) for image in images]
    return np.stack([np.asarray(tile) for tile in tiles])[:, None]


def outlines(images: np.ndarray) -> np.ndarray:
    """The rim of what is brighter than mid-grey in uint8 N×1×H×W, as 255 on 0."""
    from scipy.ndimage import binary_erosion

    bright = images > 127
    inside = np.stack([binary_erosion(image[0]) for image in bright])[:, None]
    return (bright & ~inside).astype(np.uint8) * 255


def _mixed(share: np.ndarray, ground: tuple[int, int, int], stroke: tuple[int, int, int]) -> np.ndarray:
    """Colours between `ground` and `stroke` as uint8 N×3×H×W, by `share` (N×1×H×W, 0 to 1) of the stroke's."""
    low, high = (np.array(colour, float)[None, :, None, None] for colour in (ground, stroke))
    mixed: np.ndarray = np.rint(low + share * (high - low)).astype(np.uint8)
    return mixed
