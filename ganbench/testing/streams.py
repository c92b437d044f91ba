"""What metrics are shown: digits as their classifier sees them, or points; noise, and blurred ones. Needs torch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganbench.contracts import Features
from ganbench.data import data_root, prepare
from ganbench.plugins import installed

_DIM = 16  # of latent vectors


@cache
def streams(samples: int, device: str, *, extracted: bool, enlarged: bool = False) -> dict[str, Features]:
    """``train``, and of ``real`` (test images), ``noise`` and ``blurred`` as many as `samples`.

    What they ought to be (`targets`) are the real images. Their `latents` are the same, standard normal: in the
    ``encoded`` of the real ones they are found again, of noise they are not, and of blurred ones by half. With
    `enlarged` all are 16×16, and what the classifier sees in them is as before.
    """
    data = prepare("digits", installed().dataset("digits"), data_root())
    splits: dict[str, tuple[Tensor, Tensor]] = {}
    for name in ("train", "test"):
        images, labels, *_ = data.splits[name]
        chosen = np.arange(max(samples, len(images)) if name == "train" else samples) % len(images)
        order = np.random.RandomState(0).permutation(len(images))[chosen]  # kept in the order of the writers
        assert labels is not None
        pixels = torch.tensor(np.asarray(images)[order], device=device)
        splits[name] = (pixels, torch.tensor(np.asarray(labels)[order], device=device))
    real, labels_of_test = splits["test"]
    noise = torch.randint(0, 256, real.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    stages = real.float()
    for _ in range(2):
        stages = torch.nn.functional.avg_pool2d(stages, 3, stride=1, padding=1, count_include_pad=False)
    shown = {
        "train": splits["train"],
        "real": splits["test"],
        "noise": (noise.to(device), labels_of_test),
        "blurred": (stages.round().to(torch.uint8), labels_of_test),
    }
    found = {}
    for name, (pixels, classes) in shown.items():
        seen = _seen(pixels, classes, device, extracted)
        target = shown["train" if name == "train" else "real"][0]
        size = 2 if enlarged else 1
        larger, wanted = (one.repeat_interleave(size, 2).repeat_interleave(size, 3) for one in (pixels, target))
        found[name] = seen._replace(images=larger, targets=wanted)
    latents, others = torch.randn(2, samples, _DIM, generator=torch.Generator().manual_seed(0)).to(device)
    encoded = {"real": latents, "noise": others, "blurred": (latents + others) / 2}
    return found | {name: found[name]._replace(latents=latents, encoded=seen) for name, seen in encoded.items()}


def _seen(images: Tensor, labels: Tensor, device: str, extracted: bool) -> Features:
    if not extracted:
        return Features(images, labels)
    from ganbench.testing.learning import digits_evaluator

    features, logits = digits_evaluator(device).extractors["classifier"](images)
    return Features(images, labels, features, logits)


@cache
def points(samples: int, device: str) -> dict[str, Features]:
    """The same for metrics of points: four labelled Gaussians in the plane, of unequal weights.

    ``noise`` is uniform on a square around them. ``blurred`` is the mean of each point and the next two, which fills
    the gaps between modes, as it fills those between strokes.
    """
    rng = np.random.default_rng(0)
    centres = 4.0 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])

    def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.choice(4, size=n, p=[0.45, 0.3, 0.2, 0.05])
        return centres[labels] + 0.5 * rng.standard_normal((n, 2)), labels

    real, labels = drawn(samples)
    shown = {
        "train": drawn(max(samples, 2000)),
        "real": (real, labels),
        "noise": (rng.uniform(-8, 8, (samples, 2)), labels),
        "blurred": (sum(np.roll(real, -i, axis=0) for i in range(3)) / 3, labels),
    }
    return {
        name: Features(torch.tensor(cloud, dtype=torch.float32, device=device), torch.tensor(of, device=device))
        for name, (cloud, of) in shown.items()
    }


def held(thing: Any) -> int:
    """The bytes of all tensors, arrays, texts and numbers that an object holds, each once."""
    seen: set[int] = set()

    def count(value: Any) -> int:
        if id(value) in seen or isinstance(value, type) or callable(value):
            return 0
        seen.add(id(value))
        if isinstance(value, Tensor):
            return value.untyped_storage().nbytes()
        if isinstance(value, np.ndarray):
            return int(value.nbytes)
        size = sys.getsizeof(value)
        if isinstance(value, Mapping):
            return size + sum(count(k) + count(v) for k, v in value.items())
        if isinstance(value, list | tuple | set | frozenset):
            return size + sum(map(count, value))
        return size + (count(vars(value)) if hasattr(value, "__dict__") else 0)

    return count(thing)
