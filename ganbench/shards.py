"""A static part of a grid (``--shard 3/10``): which cells are in it is decided by their keys alone."""

from __future__ import annotations

import re
from typing import NamedTuple

from ganbench.errors import UserError, shown


class Shard(NamedTuple):
    """The `number`-th of so many `parts`, from 1 on. Every cell is in one of them, wherever it is asked, and always."""

    number: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``3/10``. Raises `UserError` for anything else."""
        found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text.strip(), re.ASCII)
        if found is None or int(found[1]) > int(found[2]):
            raise UserError(
                f"--shard {shown(text)} is not K/N with K from 1 to N, such as 3/10 for the third of ten parts"
            )
        return cls(int(found[1]), int(found[2]))

    def has(self, key: str) -> bool:
        """Whether the cell with this key (a SHA-256 in hex) is in it. Changing the grid moves no other cell."""
        return int(key[:16], 16) % self.parts == self.number - 1
