"""A dataset seen as a distribution (Höckler 2021, section 4.1): exact statistics of every pixel, drawn and counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ganbench.data import Prepared
from ganbench.errors import UserError
from ganbench.store import write_atomically

VALUES = 256
#: The column near the edge that is looked at, counted from 0; the other one is the centre column.
EDGE = 2
#: Bytes of images in memory at a time.
_BLOCK = 2**23
_CLASSES = ("classes.png", "classes.csv")


class Channel(NamedTuple):
    """One channel over all images and pixels; `std` is that of the population, all values on the scale 0 to 255."""

    name: str
    mean: float
    std: float
    lowest: int
    highest: int


@dataclass(frozen=True, eq=False)
class Distribution:
    """What the pixels of N images C×H×W are like, each pixel on its own; exact, values on the scale 0 to 255.

    `mean` and `variance` (population) are float64 C×H×W. `values` (all pixels) and `centre` (the pixel in row H//2 and
    column W//2) are int64 C×256, the number of times that each value occurs; `columns` has int64 C×H×256 of the same
    kind for the columns looked at, by their position.
    """

    images: int
    mean: np.ndarray
    variance: np.ndarray
    values: np.ndarray
    centre: np.ndarray
    columns: Mapping[int, np.ndarray]

    def channels(self) -> list[Channel]:
        """What the values of each channel are like over all its pixels."""
        found = []
        value = np.arange(VALUES)
        for name, counts in zip(channel_names(len(self.values)), self.values, strict=True):
            mean = float(counts @ value / counts.sum())
            std = float(np.sqrt(counts @ (value - mean) ** 2 / counts.sum()))
            seen = np.flatnonzero(counts)
            found.append(Channel(name, mean, std, int(seen[0]), int(seen[-1])))
        return found


def channel_names(channels: int) -> Sequence[str]:
    """In words, for images of 1 or 3 channels."""
    return ("grey",) if channels == 1 else ("red", "green", "blue")


def measure(images: np.ndarray) -> Distribution:
    """The distribution of uint8 images N×C×H×W, memory-mapped or not; memory does not grow with N."""
    count, channels, height, width = images.shape
    looked_at = sorted({min(EDGE, width - 1), width // 2})
    total = np.zeros((channels, height, width), np.int64)
    squares = np.zeros((channels, height, width), np.int64)
    values = np.zeros((channels, VALUES), np.int64)
    columns = {column: np.zeros((channels, height, VALUES), np.int64) for column in looked_at}
    # Moves the values of each row to a range of their own, so that one count serves all rows.
    offsets = VALUES * np.arange(height)
    step = max(1, _BLOCK // (channels * height * width))
    for start in range(0, count, step):
        block = np.asarray(images[start : start + step])
        total += block.sum(0, dtype=np.int64)
        squares += np.square(block, dtype=np.uint16).sum(0, dtype=np.int64)
        for channel in range(channels):
            values[channel] += np.bincount(block[:, channel].reshape(-1), minlength=VALUES)
            for column, counts in columns.items():
                shifted = block[:, channel, :, column] + offsets
                counts[channel] += np.bincount(shifted.reshape(-1), minlength=height * VALUES).reshape(height, VALUES)
    mean = total / count
    centre = columns[width // 2][:, height // 2]
    return Distribution(count, mean, squares / count - mean**2, values, centre, columns)


def class_counts(prepared: Prepared) -> dict[str, np.ndarray]:
    """Split -> the number of images of each class, int64; empty for unlabelled data."""
    return {
        name: np.bincount(split.labels, minlength=prepared.spec.classes)
        for name, split in prepared.splits.items()
        if split.labels is not None
    }


def write(prepared: Prepared, folder: Path) -> tuple[Distribution, list[Path]]:
    """Measure the train split, write pictures and tables into `folder`; what was measured, and the paths written.

    ``samples.png``, ``pixels.png``, ``values.png`` and ``columns.png``; for labelled data also ``classes.png`` and
    ``classes.csv``. The same images give the same bytes. Raises `UserError` when `folder` cannot be written.
    """
    if prepared.spec.kind == "points":
        raise UserError(f"{prepared.name} holds points, not images; `ganbench data list` says what is known of them")
    with _writing(folder):  # before the images are read, which takes a while
        folder.mkdir(parents=True, exist_ok=True)
    distribution = measure(prepared.splits["train"].images)
    written = []
    for name, content in _files(prepared, distribution):
        with _writing(folder):
            write_atomically(folder / name, content)
        written.append(folder / name)
    with _writing(folder):
        # Classes from a time when images under this name had labels would be taken for today's.
        for name in _CLASSES:
            if folder / name not in written:
                (folder / name).unlink(missing_ok=True)
    return distribution, written


def _files(prepared: Prepared, distribution: Distribution) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file, one figure in memory at a time."""
    # Here and not above: seaborn takes seconds to import.
    from ganbench.report import distribution_plots as plots
    from ganbench.report.style import png  # and no SVG: heat maps gain nothing there and take longest to write

    counts = class_counts(prepared)
    yield "samples.png", png(plots.samples(prepared))
    if counts:
        yield "classes.png", png(plots.classes(prepared.name, counts))
        yield "classes.csv", _csv(counts).encode()
    yield "pixels.png", png(plots.pixels(prepared.name, distribution))
    yield "values.png", png(plots.values(prepared.name, distribution))
    yield "columns.png", png(plots.columns(prepared.name, distribution))


def _csv(counts: Mapping[str, np.ndarray]) -> str:
    rows = zip(*counts.values(), strict=True)
    lines = [",".join(map(str, [label, *row])) for label, row in enumerate(rows)]
    return "\n".join([",".join(["class", *counts]), *lines]) + "\n"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"the folder {folder} cannot be written ({error.strerror or error}); choose another with --out"
        ) from error
