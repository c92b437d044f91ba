"""Which images the networks of this package can be built for. Needs no torch."""

from __future__ import annotations

from ganbench.api import DataSpec


def halvings(size: int, most: int) -> int:
    """How often a resolution can be halved, down to 2 pixels at least: 8 (most 3) -> 2, 28 -> 2, 32 -> 3."""
    count = 0
    while count < most and size % 2 == 0 and size > 2:
        size, count = size // 2, count + 1
    return count


def unsuitable(data: DataSpec) -> str | None:
    """Why images of this size cannot be made, or None."""
    if halvings(data.size, 2) < 2:
        return (
            f"the networks halve images twice or more: their size has to be a multiple of 4 from 8 on, not {data.size}"
        )
    return None
