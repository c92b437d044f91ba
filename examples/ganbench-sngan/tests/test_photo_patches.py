"""The patches: what they are, and that no pixel of a photograph is in both splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ganbench_sngan.photo_patches import PhotoPatches, _patches


@pytest.mark.parametrize(
    ("params", "train", "test"),
    [
        ({}, 2000, 1000),
        ({"channels": 1}, 2000, 1000),
        ({"size": 28}, 2550, 1300),
        ({"size": 8, "channels": 1}, 34650, 17350),
    ],
)
def test_shapes_and_counts(params: dict[str, int], train: int, test: int) -> None:
    dataset = PhotoPatches(params=PhotoPatches.Params.resolve(params))
    splits = dataset.load(Path())
    assert {name: len(split.images) for name, split in splits.items()} == {"train": train, "test": test}
    for images, labels, *_ in splits.values():
        assert images.shape[1:] == dataset.spec().shape
        assert images.dtype == np.uint8
        assert np.bincount(labels).tolist() == [len(images) / 2] * 2


@pytest.mark.parametrize("size", [8, 28, 32])
def test_no_pixel_is_in_both_splits_and_all_of_the_middle_is_in_one(size: int) -> None:
    numbered = np.arange(427 * 640).reshape(1, 427, 640)
    train, test = (set(_patches(numbered, size, test=test).flat) for test in (False, True))
    assert not train & test
    assert set(numbered[0, :350, :500].flat) <= train | test


def test_the_two_photographs_differ_in_colour() -> None:
    images, labels, *_ = PhotoPatches().load(Path())["train"]
    palace, dahlia = (images[labels == label].mean((0, 2, 3)) for label in (0, 1))
    assert palace.min() > 2 * dahlia.min()
