"""The checks of datasets: what they load from the data root, and what they say where nothing is."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ganbench.contracts import Dataset, DataSpec, Split
from ganbench.data import data_root
from ganbench.errors import DatasetError, UserError
from ganbench.testing import common
from ganbench.testing.cases import Case, Checks
from ganbench.testing.outcomes import NotApplicable, Violation

_SPLITS = ("train", "test")


class DatasetCase(Case):
    """A dataset under test, read from the data root."""

    def __init__(self, cls: type[Dataset], name: str, **given: Any) -> None:
        super().__init__(cls, name, **given)
        if cls.takes_argument and not self.argument:
            raise UserError(f"dataset {name!r} needs a path to be checked with: {name}:PATH (of a class: argument=)")

    def dataset(self, argument: str | None = None) -> Dataset:
        made: Dataset = self.cls(self.argument if argument is None else argument, self.params)
        return made

    @cached_property
    def _first(self) -> Mapping[str, Split] | Exception:
        try:
            return self.dataset().load(data_root())
        except Exception as error:
            return error

    @property
    def loaded(self) -> Mapping[str, Split]:
        """What it loads. Not applicable where it says that its source is not there."""
        if isinstance(self._first, DatasetError):
            raise NotApplicable(f"it cannot be loaded here: {self._first}")
        if isinstance(self._first, Exception):
            raise self._first
        return self._first

    @property
    def train(self) -> Split:
        """The train split."""
        if "train" not in self.loaded:
            raise NotApplicable("it has no train split")
        return self.loaded["train"]

    def question(self) -> dict[str, Any]:
        facts = {"argument": self.argument, "params": self.values, "root": str(data_root())}
        return {} if isinstance(self._first, Exception) else {"then": "dataset", **facts}


CASE = DatasetCase
CHECKS = Checks[DatasetCase]()

CHECKS.formal(common.has_a_summary)
CHECKS.formal(common.imports_no_torch)
CHECKS.formal(common.defaults_are_admissible)
CHECKS.formal(common.every_parameter_has_a_help_text)
CHECKS.formal(common.params_round_trip_through_json)


def fingerprint(splits: Mapping[str, Split]) -> str:
    """SHA-256 (hex) over names, shapes, types and bytes of what was loaded, whatever that is."""
    digest = hashlib.sha256()
    for name, split in sorted(splits.items()):
        for kind, array in split._asdict().items():
            if array is not None:
                digest.update(json.dumps([name, kind, np.shape(array), str(np.asarray(array).dtype)]).encode())
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@contextmanager
def no_network() -> Iterator[None]:
    """Every connection and every look-up of a name is refused."""

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise OSError("this check allows no network")

    kept = socket.socket.connect, socket.create_connection, socket.getaddrinfo
    socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        socket.socket.connect, socket.create_connection, socket.getaddrinfo = kept  # type: ignore[method-assign]


@CHECKS.formal
def spec_is_known_without_loading(case: DatasetCase) -> None:
    """`spec` gives square (C, H, W), or (d,) of points, and the classes without loading an image or a network.

    `ganbench plan` calls it for every benchmark file. 0 classes are unlabelled data, and one class says nothing.
    """
    dataset, asked = case.dataset(), []

    def load(root: Path) -> Mapping[str, Split]:
        asked.append(root)
        raise AssertionError("spec called load")

    dataset.load = load  # type: ignore[method-assign]
    try:
        with no_network():
            spec = dataset.spec()
    except DatasetError as error:
        raise NotApplicable(f"what it is about is not there: {error}") from None
    except Exception:
        if not asked:
            raise
        spec = None
    if asked:
        raise Violation(
            "`spec` calls `load`",
            wanted="shape and classes without reading images",
            do="write them down, or read headers and labels only",
        )
    assert spec is None or isinstance(spec, DataSpec)
    shape = spec.shape if spec else ()
    for what, sizes in (("shape", shape), ("source", spec.source if spec else None)):
        fits = sizes is None or (all(isinstance(n, int) and n > 0 for n in sizes) and _square(sizes))
        if not fits or (sizes is not None and what == "source" and len(sizes) != 3):
            raise Violation(
                f"its {what} is {sizes}",
                wanted="(C, H, W) with H = W, or (d,) of points",
                do="crop or pad the images to a square",
            )
    if spec and (spec.classes < 0 or spec.classes == 1):
        raise Violation(
            f"it has {spec.classes} classes", wanted="0 (unlabelled) or at least 2", do="say 0 and load no labels"
        )


@CHECKS.substantive
def images_are_bytes_of_the_shape_that_spec_says(case: DatasetCase) -> None:
    """`load` gives ``train``, and ``test`` where there is one: at least two uint8 images N×C×H×W each.

    Points are float32 N×d and finite. Sources, where `spec` says that there are some, are uint8 images too, as many as
    images where they are paired.
    """
    spec = case.dataset().spec()
    if "train" not in case.loaded or set(case.loaded) - set(_SPLITS):
        raise Violation(
            f"its splits are {', '.join(case.loaded) or 'none'}", wanted="train and, if there is one, test", do="rename"
        )
    for name, split in case.loaded.items():
        kind: type[np.generic] = np.float32 if spec.kind == "points" else np.uint8
        _array(split.images, kind, spec.shape, f"{name} images")
        if spec.kind == "points" and not np.isfinite(split.images).all():
            raise Violation(f"some {name} points are not finite", wanted="numbers", do="leave such points out")
        if spec.source is None:
            if split.sources is not None:
                raise Violation(f"its {name} split has sources", wanted="None, as `spec` names none", do="correct one")
            continue
        _array(split.sources, np.uint8, spec.source, f"{name} sources")
        assert split.sources is not None
        if spec.paired and len(split.sources) != len(split.images):
            raise Violation(
                f"it has {len(split.sources)} {name} sources and {len(split.images)} images",
                wanted="a source for every image, in the same order",
                do="leave out what has no partner, or say paired=False",
            )


def _square(shape: tuple[int, ...]) -> bool:
    return len(shape) == 1 or (len(shape) == 3 and shape[1] == shape[2])


def _array(array: Any, kind: type[np.generic], shape: tuple[int, ...], what: str) -> None:
    """Two or more of `shape` and of type `kind`."""
    if not isinstance(array, np.ndarray) or array.dtype != kind or array.shape[1:] != tuple(shape):
        seen = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise Violation(
            f"its {what} are {seen}",
            wanted=f"a NumPy array, {np.dtype(kind)} of shape N×{'×'.join(map(str, shape))}",
            do="convert and transpose them in `load`, or correct `spec`",
        )
    if len(array) < 2:
        raise Violation(f"it has {len(array)} {what}", wanted="two or more", do="leave out an empty split")


@CHECKS.substantive
def images_use_the_range_of_bytes(case: DatasetCase) -> None:
    """Images go beyond 1, and are not all one grey: floats from 0 to 1 that were cast to bytes are black."""
    images = case.train.images
    if images.dtype != np.uint8:
        raise NotApplicable("its data are points")
    if images.max() <= 1 or images.min() == images.max():
        raise Violation(
            f"its train images run from {images.min()} to {images.max()}",
            wanted="grey levels from 0 to 255",
            do="scale floats by 255 and round them before `astype(np.uint8)`",
        )


@CHECKS.substantive
def labels_are_the_numbers_of_classes(case: DatasetCase) -> None:
    """Labels are int64, one for each image, from 0 to classes - 1; unlabelled data (0 classes) has None."""
    classes = case.dataset().spec().classes
    for name, (images, labels, *_) in case.loaded.items():
        if not classes and labels is not None:
            raise Violation(f"its {name} split has labels", wanted="None, as `spec` says 0 classes", do="correct one")
        if not classes:
            continue
        if labels is None or labels.dtype != np.int64 or labels.shape != (len(images),):
            seen = "missing" if labels is None else f"{labels.dtype} of shape {labels.shape}"
            raise Violation(
                f"its {name} labels are {seen}", wanted=f"int64 of shape ({len(images)},)", do="use astype(np.int64)"
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise Violation(
                f"its {name} labels run from {labels.min()} to {labels.max()}",
                wanted=f"0 to {classes - 1}, as `spec` says {classes} classes",
                do="number the classes from 0",
            )


@CHECKS.substantive
def every_class_has_train_images(case: DatasetCase) -> None:
    """No class is empty in the train split: conditional GANs and classifiers are asked for each of them."""
    classes, labels = case.dataset().spec().classes, case.train.labels
    if not classes or labels is None:
        raise NotApplicable("it is unlabelled")
    if missing := sorted(set(range(classes)) - set(np.unique(labels).tolist())):
        raise Violation(
            f"{len(missing)} of {classes} classes have no train image (for instance {missing[0]})",
            wanted="images of every class",
            do="count the classes that are there in `spec`, and number them without gaps",
        )


@CHECKS.substantive
def test_images_are_not_train_images(case: DatasetCase) -> None:
    """Fewer than half of the test images are train images as well: the real row is scored on the test split.

    Published sets hold some doubles; a split taken twice is all doubles.
    """
    if "test" not in case.loaded:
        raise NotApplicable("it has no test split (ganbench holds one out)")
    known = {image.tobytes() for image in case.train.images}
    test = case.loaded["test"].images
    double = sum(image.tobytes() in known for image in test)
    if 2 * double > len(test):
        raise Violation(
            f"{double} of {len(test)} test images are train images too",
            wanted="other images for the test",
            do="cut the data once, or leave the test split out and have ganbench hold one out",
        )


@CHECKS.substantive
def loading_twice_gives_the_same(case: DatasetCase) -> None:
    """Two loads give the same images and labels in the same order: the fingerprint is part of every cell's key."""
    if fingerprint(case.loaded) != fingerprint(case.dataset().load(data_root())):
        raise Violation(
            "two loads differ",
            wanted="the same bytes in the same order",
            do="sort file names, and draw from a generator with a fixed seed",
        )


@CHECKS.substantive
def another_process_loads_the_same(case: DatasetCase) -> None:
    """A new process, where strings hash differently and sets have another order, loads the same images and labels."""
    wanted = fingerprint(case.loaded)
    answers = case.asked
    if answers["error"]:
        raise NotApplicable("its modules cannot be imported in a new process")
    if answers["raised"]:
        raise Violation(
            f"in a new process `load` raised {answers['raised']}",
            wanted="the same images",
            do="keep no state in classes",
        )
    if answers["fingerprint"] != wanted:
        raise Violation(
            "a new process loads something else",
            wanted="the same bytes in the same order",
            do="sort what comes from sets and directories",
        )


@CHECKS.substantive
def source_is_cheap_and_stable(case: DatasetCase) -> None:
    """`source` is a text that is the same before and after loading and takes less than a second.

    It is asked for each time a benchmark file is planned, to see whether the prepared copy is still good.
    """
    _ = case.loaded
    dataset = case.dataset()
    began = time.perf_counter()
    found = dataset.source(data_root())
    seconds = time.perf_counter() - began
    again = case.dataset().source(data_root())
    dataset.load(data_root())
    after = dataset.source(data_root())
    if not isinstance(found, str) or found != again or found != after:
        raise Violation(
            f"`source` gave {found!r}, {again!r} and, after loading, {after!r}",
            wanted="one text for one state of the source",
            do="make it of sizes and times of modification, in sorted order",
        )
    if seconds > 1:
        raise Violation(
            f"`source` took {seconds:.1f} s", wanted="less than a second", do="look at sizes and times, not at contents"
        )


@CHECKS.formal
def says_where_it_looked_when_nothing_is_there(case: DatasetCase) -> None:
    """With an empty data root and no network it works, or raises `DatasetError` that names the place where it looked.

    A dataset that takes an argument is asked for a path that does not exist. The message is all that a user has.
    """
    empty = case.folder("empty-root")
    missing = str(empty / "nothing-here") if case.cls.takes_argument else ""
    try:
        with no_network():
            dataset = case.dataset(missing)
            dataset.spec()
            dataset.source(empty)
            dataset.load(empty)
    except DatasetError as error:
        if str(empty) not in str(error):
            raise Violation(
                f"the error is {str(error)!r}",
                wanted=f"a sentence with the place where it looked ({missing or f'below {empty}'})",
                do="name the path, and what is to be put there",
            ) from None
        return
    except Exception as error:
        raise Violation(
            f"it raised {type(error).__name__}: {error}",
            wanted="ganbench.api.DatasetError",
            do="catch it, and say where the data was looked for and what to do",
        ) from error
    if missing:
        raise Violation(
            f"it loads {missing}, which does not exist", wanted="DatasetError", do="look whether its argument is there"
        )
