"""Published datasets, read from an .npz file below the data root or else through torchvision, and checked."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ganbench.api import Dataset, DatasetError, DataSpec, Split
from ganbench_data.npz import read_splits, signature


class Published(Dataset):
    """Base of datasets that everybody knows: what is found must be the published set, or it is not trained on.

    Looked for as ``<data root>/<name>.npz`` (keys ``x_train y_train x_test y_test``), then by torchvision below
    ``<data root>/torchvision``, which downloads what is not there.
    """

    name: ClassVar[str]
    #: The class in `torchvision.datasets`, and the folder that it keeps below its root.
    loader: ClassVar[str]
    shape: ClassVar[tuple[int, int, int]]
    classes: ClassVar[int] = 10
    counts: ClassVar[Mapping[str, int]]
    #: Of the classes, in the order of their labels; of digits there are none but the labels.
    names: ClassVar[Sequence[str]] = ()
    #: Whether the .npz file may hold any number of images and leave out the test split.
    any_number: ClassVar[bool] = False
    #: Where to get the files that torchvision reads and what to do with them, if its download often fails.
    by_hand: ClassVar[str] = ""

    def spec(self) -> DataSpec:
        return DataSpec(self.shape, self.classes)

    def class_names(self) -> Sequence[str]:
        return self.names

    def source(self, root: Path) -> str:
        return signature(root / f"{self.name}.npz")

    def load(self, root: Path) -> Mapping[str, Split]:
        path, folder = root / f"{self.name}.npz", root / "torchvision"
        wanted = f"the published {self.loader}"
        if path.exists():
            splits, any_number = read_splits(path), self.any_number
            wanted = f"fit for {self.name}" if any_number else wanted
            where, advice = str(path), f"put a file there that is, or use npz:{path} to train on it as it is"
        else:
            splits, any_number = self._torchvision(folder), False
            where, advice = f"what torchvision keeps in {folder}", "delete it there and prepare again"
        if wrong := self._wrong(splits, any_number) or self.differs(splits):
            raise DatasetError(f"{where} is not {wanted}: {wrong}; {advice}")
        return splits

    def read(self, loader: Callable[..., Any], folder: Path, split: str) -> Split:
        """One split by the torchvision class `loader`, which keeps its files below `folder`.

        ``download=True`` downloads nothing where the files are already there. May raise anything.
        """
        data = loader(folder, train=split == "train", download=True)
        # Tensors N×H×W or an array N×H×W×C, with a tensor or a list of targets.
        images = np.asarray(data.data)
        images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
        return Split(images, np.asarray(data.targets, dtype=np.int64))

    def differs(self, splits: Mapping[str, Split]) -> str:
        """What is not as published in splits of the right shape; empty when all is well."""
        return ""

    def _wrong(self, splits: Mapping[str, Split], any_number: bool) -> str:
        """What is wrong with shapes and labels; empty when nothing is."""
        for split, count in self.counts.items():
            if split not in splits:
                if any_number and split != "train":
                    continue
                return f"it has no {split} split"
            images, labels, *_ = splits[split]
            wanted = (len(images) if any_number else count, *self.shape)
            if images.shape != wanted:
                return f"its {split} images are of shape {images.shape} (N×C×H×W), not {wanted}"
            if self.classes == 0:
                if labels is not None:
                    return f"its {split} images have labels, and this dataset is unlabelled"
            elif labels is None or ((labels < 0) | (labels >= self.classes)).any():
                return f"its {split} labels are missing or not 0 to {self.classes - 1}"
        return ""

    def _torchvision(self, folder: Path) -> dict[str, Split]:
        try:
            import torchvision.datasets

            loader = getattr(torchvision.datasets, self.loader)
            with members_kept_inside():
                return {split: self.read(loader, folder, split) for split in self.counts}
        except Exception as error:  # torchvision lets through whatever sockets, archives and parsers raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            reason = reason if len(reason) <= 250 else reason[:250] + " ..."  # each mirror adds its own complaint
            raise DatasetError(
                f"dataset {self.name!r} is not to be had: there is no {folder.parent / self.name}.npz (keys x_train "
                f"y_train x_test y_test), and torchvision could neither read it in {folder} nor download it there "
                f"({reason}); put the file there, or {self.by_hand}run `ganbench data prepare {self.name}` with a "
                "network, and without damaged files in that folder"
            ) from error


@contextmanager
def members_kept_inside() -> Iterator[None]:
    """Archives opened meanwhile write nowhere but below their folder, and no links that lead out of it (PEP 706).

    Python does that by itself from 3.14 on, and torchvision asks for it in some versions only.
    """
    before = vars(tarfile.TarFile)["extraction_filter"]
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before


class _Hashed(Published):
    #: SHA-256 of images (uint8 N×C×H×W) and labels (uint8 N) in the published order, for each split.
    digests: ClassVar[Mapping[str, tuple[str, str]]]

    def differs(self, splits: Mapping[str, Split]) -> str:
        for split, wanted in self.digests.items():
            images, labels, *_ = splits[split]
            assert labels is not None  # `_wrong` has seen to it
            for what, array, digest in zip(("images", "labels"), (images, labels), wanted, strict=True):
                content = np.ascontiguousarray(array, np.uint8).reshape(-1).data
                if hashlib.sha256(content).hexdigest() != digest:
                    return f"its {split} {what} have the right shape and another content"
        return ""


class MNIST(_Hashed):
    """70,000 handwritten digits, 28×28 in grey, 10 classes (60,000 train, 10,000 test).

    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the
    IEEE 86(11), 1998; CC BY-SA 3.0. The content is checked against the SHA-256 of the published arrays.
    """

    name = "mnist"
    loader = "MNIST"
    shape = (1, 28, 28)
    counts: ClassVar[Mapping[str, int]] = {"train": 60_000, "test": 10_000}
    digests: ClassVar[Mapping[str, tuple[str, str]]] = {
        "train": (
            "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
        ),
        "test": (
            "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        ),
    }


class FashionMNIST(_Hashed):
    """70,000 pictures of clothes, 28×28 in grey, 10 classes (60,000 train, 10,000 test).

    Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
    arXiv:1708.07747, 2017; MIT. The content is checked against the SHA-256 of the published arrays.
    """

    name = "fashion-mnist"
    loader = "FashionMNIST"
    shape = (1, 28, 28)
    names = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")
    counts: ClassVar[Mapping[str, int]] = {"train": 60_000, "test": 10_000}
    digests: ClassVar[Mapping[str, tuple[str, str]]] = {
        "train": (
            "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
            "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        ),
        "test": (
            "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
            "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
        ),
    }


class CIFAR10(Published):
    """60,000 colour photographs, 32×32, 10 classes (50,000 train, 10,000 test).

    Krizhevsky, "Learning multiple layers of features from tiny images", technical report, 2009; published without a
    licence, for research. Distributors keep it in different orders, so what is checked (beyond the MD5 sums that
    torchvision checks) is what no order changes: the images per class and the mean of each channel.
    """

    name = "cifar10"
    loader = "CIFAR10"
    shape = (3, 32, 32)
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    counts: ClassVar[Mapping[str, int]] = {"train": 50_000, "test": 10_000}
    #: Means of red, green and blue over the train images on a scale from 0 to 1, as they are commonly quoted.
    means: ClassVar[tuple[float, float, float] | None] = (0.4914, 0.4822, 0.4465)

    def differs(self, splits: Mapping[str, Split]) -> str:
        if wrong := _per_class(splits, {split: [count // 10] * 10 for split, count in self.counts.items()}):
            return wrong
        means = splits["train"].images.mean((0, 2, 3)) / 255
        if self.means and not np.allclose(means, self.means, rtol=0, atol=1e-4):
            return f"its channel means are {means.round(4).tolist()}, not {list(self.means)}"
        return ""


class SVHN(Published):
    """99,289 digits of house numbers, 32×32 in colour, 10 classes (73,257 train, 26,032 test).

    The cropped digits (format 2) of Netzer, Wang, Coates, Bissacco, Wu and Ng, "Reading digits in natural images with
    unsupervised feature learning", NIPS workshop on deep learning and unsupervised feature learning, 2011; for
    non-commercial use only. Zero has the label 0, though it is 10 in the published files; the 531,131 extra images are
    left out. What is checked, beyond the MD5 sums that torchvision checks, is the number of images per class.
    """

    name = "svhn"
    loader = "SVHN"
    shape = (3, 32, 32)
    counts: ClassVar[Mapping[str, int]] = {"train": 73_257, "test": 26_032}
    per_class: ClassVar[Mapping[str, Sequence[int]]] = {
        "train": (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
        "test": (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595),
    }

    def read(self, loader: Callable[..., Any], folder: Path, split: str) -> Split:
        data = loader(folder, split=split, download=True)
        return Split(data.data, data.labels)

    def differs(self, splits: Mapping[str, Split]) -> str:
        return _per_class(splits, self.per_class)


def _per_class(splits: Mapping[str, Split], wanted: Mapping[str, Sequence[int]]) -> str:
    """How the images per class differ from those wanted; empty when they do not."""
    for split, counts in wanted.items():
        labels = splits[split].labels
        assert labels is not None  # `_wrong` has seen to it
        classes = np.bincount(labels, minlength=len(counts)).tolist()
        if classes != list(counts):
            return f"its {split} split has {classes} images per class, not {list(counts)}"
    return ""
