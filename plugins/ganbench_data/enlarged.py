"""MNIST at the 32×32 pixels that many networks are made for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from ganbench.api import DataSpec, Split
from ganbench_data.published import MNIST


class MNIST32(MNIST):
    """MNIST with a border of 2 black pixels, 32×32 in grey, 10 classes (60,000 train, 10,000 test).

    The published images in the middle of 32×32, as LeNet-5 has them. No grey level is changed, as resizing would. What
    is read, downloaded and checked is what ``mnist`` is made of.
    """

    border: ClassVar[int] = 2

    def spec(self) -> DataSpec:
        return DataSpec((1, 32, 32), classes=10)

    def load(self, root: Path) -> Mapping[str, Split]:
        edges = ((0, 0), (0, 0), (self.border, self.border), (self.border, self.border))
        return {name: split._replace(images=np.pad(split.images, edges)) for name, split in super().load(root).items()}
