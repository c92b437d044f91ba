"""Sample sheets: images in a grid, as a PNG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

ROWS = COLUMNS = 10
_GAP = 2  # pixels between tiles


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
