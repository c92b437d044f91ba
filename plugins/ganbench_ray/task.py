"""What a Ray task does: one unit of work, on the node that Ray chose for it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from ganbench.api import Parcel


def do(parcel: Parcel, device: str, threads: int) -> int:
    """The unit's exit code. Cancelling the task asks the unit to end. Raises `UserError` where the node is not fit."""
    with _cancelled() as asked:
        return parcel.run(device=device, threads=threads, stop=lambda: bool(asked))


@contextmanager
def _cancelled() -> Iterator[list[int]]:
    """Filled when Ray cancels the task, which it does by a Ctrl-C: here that raises nothing, and breaks nothing off."""
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
