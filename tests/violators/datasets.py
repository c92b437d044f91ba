"""A dataset of squares that keeps the contract, and datasets that break it in one line each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from ganbench.api import Dataset, DatasetError, DataSpec, Params, Split, param


@dataclass(frozen=True)
class SquareParams(Params):
    size: int = param(8, "pixels", min=4, max=64)


class Squares(Dataset):
    """Squares on noise, in two classes."""

    Params = SquareParams
    classes: ClassVar[int] = 2

    def spec(self):
        return DataSpec((1, self.params.size, self.params.size), self.classes)

    def load(self, root):
        splits = {"train": self.split(40, 0), "test": self.split(20, 1)}
        return {name: self.spoil(name, split) for name, split in splits.items()}

    def split(self, n, seed):
        images = np.random.RandomState(seed).randint(0, 100, (n, *self.spec().shape)).astype(np.uint8)
        labels = np.arange(n) % 2
        images[labels == 1, :, :3, :3] = 255
        return Split(images, labels.astype(np.int64))

    def spoil(self, name, split):
        """Break something."""
        return split


class NoSummary(Squares):
    # no docstring
    pass


class Default(Squares):
    """A default out of range."""

    @dataclass(frozen=True)
    class Params(SquareParams):
        extra: int = param(0, "a number", min=1)


class NoHelp(Squares):
    """A parameter without a word."""

    @dataclass(frozen=True)
    class Params(SquareParams):
        extra: int = param(1, "")


class Changing(Squares):
    """Parameters that change on the way."""

    @dataclass(frozen=True)
    class Params(SquareParams):
        def __post_init__(self):
            object.__setattr__(self, "size", self.size + 1)


class Loading(Squares):
    """It loads to know its shape."""

    def spec(self):
        if not getattr(self, "known", None):
            self.known = super().spec()
            self.load(Path())
        return self.known


class Oblong(Squares):
    """Not square."""

    def spec(self):
        return replace(super().spec(), shape=(1, self.params.size, self.params.size + 1))


class Floats(Squares):
    """Images of another type."""

    def spoil(self, name, split):
        return split._replace(images=split.images.astype(np.float32))


class Black(Squares):
    """Floats from 0 to 1, cast."""

    def spoil(self, name, split):
        return split._replace(images=(split.images > 50).astype(np.uint8))


class FromOne(Squares):
    """Classes from 1."""

    def spoil(self, name, split):
        return split if name == "train" else split._replace(labels=split.labels + 1)


class NeverSeen(Squares):
    """A class without images."""

    classes = 3


class Twice(Squares):
    """One split, taken twice."""

    def split(self, n, seed):
        return super().split(40, 0)


class Drawn(Squares):
    """Other images every time."""

    drawn = 0

    def spoil(self, name, split):
        Drawn.drawn += 1
        split.images[0, 0, 0, 0] = Drawn.drawn
        return split


class Hashed(Squares):
    """The order of a set."""

    def spoil(self, name, split):
        split.images[0, 0, 0, :4] = list(hash("train").to_bytes(8, "big", signed=True)[:4])
        return split


class NewSource(Squares):
    """A source that is another one every time."""

    asked = 0

    def source(self, root):
        NewSource.asked += 1
        return str(self.asked)


class Nowhere(Squares):
    """An error without a place."""

    def load(self, root):
        if "empty-root" in str(root):
            raise DatasetError("there is no such file")
        return super().load(root)


class Crash(Squares):
    """An error of another kind."""

    def load(self, root):
        if "empty-root" in str(root):
            (root / "squares.npz").read_bytes()
        return super().load(root)


class Named(Squares):
    """Squares by a path, which keeps the contract."""

    takes_argument = True

    def load(self, root):
        if not Path(self.argument).exists():
            raise DatasetError(f"there is no {self.argument}; name a file that is there")
        return super().load(root)


VIOLATORS = [
    (NoSummary, "has_a_summary", set()),
    (Default, "defaults_are_admissible", {"params_round_trip_through_json"}),
    (NoHelp, "every_parameter_has_a_help_text", set()),
    (Changing, "params_round_trip_through_json", set()),
    (Loading, "spec_is_known_without_loading", set()),
    (Oblong, "spec_is_known_without_loading", set()),
    (Floats, "images_are_bytes_of_the_shape_that_spec_says", set()),
    (Black, "images_use_the_range_of_bytes", set()),
    (FromOne, "labels_are_the_numbers_of_classes", set()),
    (NeverSeen, "every_class_has_train_images", set()),
    (Twice, "test_images_are_not_train_images", set()),
    (Drawn, "loading_twice_gives_the_same", set()),
    (Hashed, "another_process_loads_the_same", set()),
    (NewSource, "source_is_cheap_and_stable", set()),
    (Nowhere, "says_where_it_looked_when_nothing_is_there", set()),
    (Crash, "says_where_it_looked_when_nothing_is_there", set()),
]
GOOD = [Squares]
SLOW = {"imports_no_torch", "another_process_loads_the_same"}
