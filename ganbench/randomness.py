"""The state of every random number generator that a variant may draw from, to be kept and set again."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def seed(number: int) -> None:
    """Start all of them from `number` (from 0 to 2**31 - 1)."""
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def state(device: torch.device) -> dict[str, Any]:
    """Torch's generators of the CPU and of `device`, NumPy's and Python's global ones: tensors, numbers and texts."""
    name, keys, *rest = np.random.get_state()
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": [str(name), torch.tensor(np.asarray(keys, np.int64)), *map(float, rest)],
        "python": [version, list(numbers), gauss],
    }


def host(device: torch.device) -> list[Any]:
    """The state of the generators that are not `device`'s own, to be compared: it differs once one was drawn from."""
    own = [] if device.type == "cpu" else torch.get_rng_state().tolist()
    name, keys, *rest = np.random.get_state()
    return [own, str(name), np.asarray(keys).tolist(), rest, random.getstate()]


def restore(kept: dict[str, Any]) -> None:
    """Set the generators to a `state`."""
    torch.set_rng_state(kept["torch"].cpu())
    if kept["cuda"] is not None:
        torch.cuda.set_rng_state(kept["cuda"].cpu())
    name, keys, position, has_gauss, gauss = kept["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), int(position), int(has_gauss), gauss))
    version, numbers, last = kept["python"]
    random.setstate((version, tuple(numbers), last))
