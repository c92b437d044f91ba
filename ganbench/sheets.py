"""Sample sheets: images in a grid, as a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

ROWS = COLUMNS = 10
_GAP = 2  # pixels between tiles


_INK = (8, 48, 107)  # where density is highest: the dark end of ColorBrewer's Blues
_CELLS, _PIXELS = 96, 2  # squares along each axis of a density, and pixels along each of them
_MARGIN = 0.2  # of the real points' extent, around them
_LINE = (217, 95, 2)  # of contours: an orange that stands out from Blues and is told apart without red and green
_INSIDE = (0.5, 0.9)  # shares of the points that contours enclose
_SMOOTH = 2  # squares, of the density that they are of


def sheet(images: np.ndarray, columns: int = COLUMNS) -> bytes:
    """A PNG of uint8 images N×C×H×W (C is 1 or 3), row by row, `columns` to a row, on white."""
    n, _, height, width = images.shape
    rows = -(-n // columns)
    canvas = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = _GAP + i // columns * (height + _GAP), _GAP + i % columns * (width + _GAP)
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG")
    return buffer.getvalue()


def sheet_labels(classes: int) -> np.ndarray:
    """Labels int64 100 of a sheet with a row per class (the first ten classes)."""
    return np.repeat(np.arange(ROWS) % classes, COLUMNS)


def real_sheet(images: np.ndarray, labels: np.ndarray | None, classes: int) -> bytes:
    """A PNG of 100 real images, a row per class where they are labelled."""
    if labels is None:
        return sheet(np.asarray(images[: ROWS * COLUMNS]))
    rows = [np.flatnonzero(labels == label)[:COLUMNS] for label in range(min(classes, ROWS))]
    height, width = images.shape[2:]
    tiles = np.full((len(rows) * COLUMNS, images.shape[1], height, width), 255, np.uint8)
    for row, chosen in enumerate(rows):
        tiles[row * COLUMNS : row * COLUMNS + len(chosen)] = images[chosen]
    return sheet(tiles)


def bands(parts: Sequence[np.ndarray], columns: int = COLUMNS) -> bytes:
    """A PNG of several things that belong together, such as sources and what became of them: each below the other.

    `parts` are uint8 N×C×H×W, of one size; grey ones are coloured where others are. With more than `columns` of them
    there are several bands.
    """
    channels = max(part.shape[1] for part in parts)
    parts = [part.repeat(channels, axis=1) if part.shape[1] < channels else part for part in parts]
    size = max(part.shape[2] for part in parts)
    tiles: list[np.ndarray] = []
    count = min(len(part) for part in parts)
    for start in range(0, count, columns):
        for part in parts:
            row = np.full((columns, channels, size, size), 255, np.uint8)
            some = part[start : min(start + columns, count)]
            row[: len(some), :, : some.shape[2], : some.shape[3]] = some
            tiles.append(row)
    return sheet(np.concatenate(tiles), columns)


def density_sheet(*clouds: np.ndarray) -> bytes:
    """A PNG of where points (float N×d) are, side by side: of their first two coordinates, the darker the more.

    All have the axes of the first, and a margin; what is beyond is not on it. Darkness goes with the square root of the
    density, so that a mode with a few points is seen. On all but the first are contours of the first one's density,
    around the densest half and nine tenths of its points.
    """
    low, high = clouds[0].min(0)[:2].astype(float), clouds[0].max(0)[:2].astype(float)
    span = np.maximum(high - low, 1e-6)
    edges = [np.linspace(a, b, _CELLS + 1) for a, b in zip(low - _MARGIN * span, high + _MARGIN * span, strict=True)]
    tiles: list[np.ndarray] = []
    lines = np.zeros(0, bool)
    for cloud in clouds:
        if cloud.shape[1] == 1:  # a band across the middle
            counts = np.repeat(np.histogram(cloud[:, 0], edges[0])[0][:, None], _CELLS, axis=1).astype(float)
        else:
            counts, _, _ = np.histogram2d(cloud[:, 0], cloud[:, 1], edges)
        share = np.sqrt(counts / max(counts.max(), 1)).T[::-1]  # the second coordinate goes up
        shade = np.stack([255 - share * (255 - end) for end in _INK]).round().astype(np.uint8)
        tile = shade.repeat(_PIXELS, axis=1).repeat(_PIXELS, axis=2)
        if not tiles:
            lines = _contours(counts.T[::-1])
        else:
            tile[:, lines] = np.array(_LINE, np.uint8)[:, None]
        tiles.append(tile)
    return sheet(np.stack(tiles), len(tiles))


def _contours(counts: np.ndarray) -> np.ndarray:
    """Where the pixels of a density have lines around the densest `_INSIDE` of what `counts` counts, bool."""
    from scipy.ndimage import binary_erosion, gaussian_filter, zoom

    density = zoom(gaussian_filter(counts.astype(float), _SMOOTH), _PIXELS, order=1)
    highest = np.sort(density, axis=None)[::-1]
    lines = np.zeros(density.shape, bool)
    for share in _INSIDE:
        least = highest[np.searchsorted(highest.cumsum(), share * highest.sum())]
        inside = density >= least
        lines |= inside & ~binary_erosion(inside, border_value=1)
    return lines
