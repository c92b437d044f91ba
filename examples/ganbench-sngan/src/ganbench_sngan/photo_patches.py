"""Patches of the two photographs that come with scikit-learn: real colour images for which nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ganbench.api import Dataset, DataSpec, Params, Split, param

PHOTOGRAPHS = ("china.jpg", "flower.jpg")


@dataclass(frozen=True)
class PhotoPatchesParams(Params):
    size: int = param(32, "height and width of a patch in pixels", symbol="SIZE", choices=(8, 28, 32))
    channels: int = param(3, "3 for colour, 1 for grey", symbol="C", choices=(1, 3))


class PhotoPatches(Dataset):
    """3,000 patches (32×32, in colour) of two photographs, labelled by photograph; nothing to download.

    The photographs (427×640) are scikit-learn's samples china.jpg and flower.jpg, CC BY 2.0, from Flickr
    (danielbuechele, vultilion). Class 0 is a Chinese palace (roof, wood, sky), class 1 a dahlia before green.

    Each photograph is cut into squares of two patches' height and width; what is left at its right and lower edge goes
    unused. A square gives 25 patches, a quarter of a patch apart, and belongs to one split only: those on every third
    diagonal to the test split, the others to the train split. So no pixel is in both, and both have all parts of both
    photographs. The patches of a square overlap: there are fewer independent images than patches, and neighbouring
    squares continue each other's shapes. It is a set for textures and for trying things out, not one to rank GANs by.
    """

    Params = PhotoPatchesParams
    params: PhotoPatchesParams

    def spec(self) -> DataSpec:
        return DataSpec((self.params.channels, self.params.size, self.params.size), classes=len(PHOTOGRAPHS))

    def load(self, root: Path) -> Mapping[str, Split]:
        from sklearn.datasets import load_sample_image

        photographs = [_channels(load_sample_image(name), self.params.channels) for name in PHOTOGRAPHS]
        splits = {}
        for split in ("train", "test"):
            patches = [_patches(photograph, self.params.size, test=split == "test") for photograph in photographs]
            labels = np.repeat(np.arange(len(patches), dtype=np.int64), [len(one) for one in patches])
            splits[split] = Split(np.concatenate(patches), labels)
        return splits


def _channels(photograph: np.ndarray, channels: int) -> np.ndarray:
    """Uint8 H×W×3 as uint8 `channels`×H×W; grey is the luma of ITU-R BT.601."""
    if channels == 1:
        photograph = np.rint(photograph @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]
    return photograph.transpose(2, 0, 1)


def _patches(photograph: np.ndarray, size: int, *, test: bool) -> np.ndarray:
    """The patches N×C×size×size of one split, square by square."""
    side, step = 2 * size, size // 4
    rows, columns = (extent // side for extent in photograph.shape[1:])
    starts = range(0, side - size + 1, step)
    return np.stack(
        [
            photograph[:, top : top + size, left : left + size]
            for row in range(rows)
            for column in range(columns)
            if ((row + column) % 3 == 0) == test
            for top in (row * side + start for start in starts)
            for left in (column * side + start for start in starts)
        ]
    )
