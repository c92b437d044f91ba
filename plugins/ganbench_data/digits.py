"""The handwritten digits that come with scikit-learn: real images for which nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ganbench.api import Dataset, DataSpec, Split


class Digits(Dataset):
    """1,797 real handwritten digits, 8×8 in grey, 10 classes; part of scikit-learn, nothing to download.

    The test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI Machine Learning Repository,
    1998, doi:10.24432/C50P49), as `sklearn.datasets.load_digits` has it; CC BY 4.0. Its 0 .. 16 become 0 .. 255.

    The images are in order of writer, so cutting the list in two would put different hands into train and test, and
    the real row of FCD would measure writers. Therefore every third image of each class is a test image: 1,198 train
    and 599 test images, with the same writers and the same share of each class in both.
    """

    def spec(self) -> DataSpec:
        return DataSpec((1, 8, 8), classes=10)

    def load(self, root: Path) -> Mapping[str, Split]:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
        labels = bunch.target.astype(np.int64)
        test = np.zeros(len(labels), bool)
        test[np.argsort(labels, kind="stable")[::3]] = True
        return {"train": Split(images[~test], labels[~test]), "test": Split(images[test], labels[test])}
