"""Random numbers that belong to a row, so that a sample is drawn from the same ones in a batch of any size."""

from __future__ import annotations

import zlib
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_INTO = ("normal_", "uniform_", "bernoulli_", "exponential_", "random_", "log_normal_", "cauchy_", "geometric_")


class RandomRows(TorchDispatchMode):
    """Inside, whatever is drawn with n rows has in row i the numbers of sample `first` + i, whatever n is.

    `drawn` counts these draws; those of another shape are left as they are.
    """

    def __init__(self, n: int, first: int = 0) -> None:
        super().__init__()
        self.n, self.first, self.drawn = n, first, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded not in function.tags or not isinstance(result, Tensor):
            return result
        if result.dim() == 0 or len(result) != self.n:
            return result
        self.drawn += 1
        name = function._schema.name.partition("::")[2]
        for i in range(self.n):
            torch.manual_seed(zlib.crc32(f"{self.drawn} {self.first + i}".encode()))
            result[i : i + 1] = self._row(function, name, args, kwargs or {}, result[i : i + 1])
        return result

    def _row(self, function: Any, name: str, args: Any, kwargs: Any, row: Tensor) -> Tensor:
        """The numbers of one row, drawn by the same function."""
        if name in _INTO:
            drawn: Tensor = function(torch.empty_like(row), *args[1:], **kwargs)
            return drawn
        rest = [list(row.shape) if isinstance(arg, list | tuple | torch.Size) else arg for arg in args]
        rest = [arg[:1] if isinstance(arg, Tensor) and len(arg) == self.n else arg for arg in rest]
        found: Tensor = function(*rest, **kwargs)
        return found
