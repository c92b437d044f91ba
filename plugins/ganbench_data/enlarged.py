"""MNIST at the 32×32 pixels that many networks are made for, all of it or some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ganbench.api import DataSpec, Params, Split, param
from ganbench_data.published import MNIST


@dataclass(frozen=True)
class MNIST32Params(Params):
    train: int = param(60_000, "how many train images to take, the first of them", min=100, max=60_000)
    test: int = param(10_000, "how many test images to take, the first of them", min=100, max=10_000)


class MNIST32(MNIST):
    """MNIST with a border of 2 black pixels, 32×32 in grey, 10 classes (60,000 train, 10,000 test).

    The published images in the middle of 32×32, as LeNet-5 has them. No grey level is changed, as resizing would. What
    is read, downloaded and checked is what ``mnist`` is made of.
    """

    Params = MNIST32Params
    params: MNIST32Params
    border: ClassVar[int] = 2

    def spec(self) -> DataSpec:
        return DataSpec((1, 32, 32), classes=10)

    def load(self, root: Path) -> Mapping[str, Split]:
        edges = ((0, 0), (0, 0), (self.border, self.border), (self.border, self.border))
        taken = {"train": slice(self.params.train), "test": slice(self.params.test)}
        parts = {name: split.at(taken[name], None) for name, split in super().load(root).items()}
        return {name: part._replace(images=np.pad(part.images, edges)) for name, part in parts.items()}
