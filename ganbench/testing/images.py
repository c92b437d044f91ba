"""Real images for checks: scikit-learn's digits, brought to the shape that a component takes."""

from __future__ import annotations

from functools import cache

import numpy as np

from ganbench.contracts import DataSpec, Split


@cache
def digits(spec: DataSpec) -> Split:
    """1,797 digits as uint8 N×C×H×W of `spec.shape`, enlarged bilinearly; labels below `spec.classes`, or None.

    Their order is mixed, always in the same way.
    """
    import torch
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.RandomState(0).permutation(len(bunch.images))
    images = torch.from_numpy(bunch.images[order].astype(np.float32))[:, None] * (255 / 16)
    if spec.size != 8:
        images = torch.nn.functional.interpolate(images, size=spec.shape[1:], mode="bilinear", align_corners=False)
    pixels = images.expand(-1, spec.channels, -1, -1).round().to(torch.uint8).contiguous().numpy()
    labels = bunch.target[order].astype(np.int64) % spec.classes if spec.classes else None
    return Split(pixels, labels)
