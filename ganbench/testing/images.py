"""Real data for checks: scikit-learn's digits, brought to the shape that a component takes."""

from __future__ import annotations

from functools import cache

import numpy as np

from ganbench.contracts import DataSpec, Split


@cache
def digits(spec: DataSpec) -> Split:
    """1,797 digits as uint8 N×C×H×W of `spec.shape`, enlarged bilinearly; labels below `spec.classes`, or None.

    Their order is mixed, always in the same way. Sources are their negatives, brought to `spec.source`; unpaired ones
    are in another order. Points are the digits' first d principal components, scaled to unit variance.
    """
    import torch
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.RandomState(0).permutation(len(bunch.images))
    images = torch.from_numpy(bunch.images[order].astype(np.float32))[:, None] * (255 / 16)
    labels = bunch.target[order].astype(np.int64) % spec.classes if spec.classes else None
    if spec.kind == "points":
        flat = images.flatten(1) - images.flatten(1).mean(0)
        points = flat @ torch.linalg.svd(flat, full_matrices=False).Vh[: spec.channels].T
        return Split((points / points.std(0)).numpy(), labels)

    def shaped(shape: tuple[int, ...]) -> np.ndarray:
        channels, *size = shape
        fitting = images
        if size[0] != 8:
            fitting = torch.nn.functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
        pixels: np.ndarray = fitting.expand(-1, channels, -1, -1).round().to(torch.uint8).contiguous().numpy()
        return pixels

    if spec.source is None:
        return Split(shaped(spec.shape), labels)
    sources = 255 - shaped(spec.source)
    if spec.paired:
        return Split(shaped(spec.shape), labels, sources)
    mixed = np.random.RandomState(1).permutation(len(sources))
    return Split(shaped(spec.shape), labels, sources[mixed], None if labels is None else labels[mixed])
