"""Checkpoints: what a killed cell goes on from. Whole or not there, verified before they are opened, two kept."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import torch

from ganbench.store import Unit, write_atomically

KEPT = 2


def save(unit: Unit, state: dict[str, Any], rounds: int) -> None:
    """Write `state` (tensors, numbers, texts in dicts and lists) and delete all but the last two.

    The file is a line with the SHA-256 of what follows it.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest().encode()
    write_atomically(unit.checkpoint(rounds), digest + b"\n" + content)
    for path in unit.checkpoints()[KEPT:]:
        path.unlink(missing_ok=True)


def load(unit: Unit, device: str, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest that is whole, its tensors on `device`; None where there is none. Damaged ones are deleted."""
    for path in unit.checkpoints():
        try:
            digest, _, content = path.read_bytes().partition(b"\n")
            if hashlib.sha256(content).hexdigest().encode() != digest:
                raise ValueError("its checksum does not fit")
            state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            if not isinstance(state, dict):
                raise ValueError("it holds no game")
            return state
        except Exception as error:  # whatever a damaged file makes of torch.load
            # Not the words of torch, which tell how to run what a file contains.
            reason = str(error) if type(error) is ValueError else type(error).__name__
            say(f"{path.name} is damaged ({reason}) and not used")
            path.unlink(missing_ok=True)
    return None
