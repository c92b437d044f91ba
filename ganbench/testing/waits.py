"""Notices, on any device, where Python waits for a device: values that are read, and shapes that depend on values."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

#: Methods that hand a tensor's values to Python, seen also where the tensor is in the CPU's memory already.
_READING = [
    "item",
    "tolist",
    "numpy",
    "cpu",
    "__bool__",
    "__int__",
    "__float__",
    "__complex__",
    "__index__",
    "__array__",
    "__repr__",
    "__format__",
    "__contains__",
]
#: Operations whose result's shape depends on values, or that look at values on the host.
_WAITING = [
    "_local_scalar_dense",
    "item",
    "is_nonzero",
    "equal",
    "nonzero",
    "masked_select",
    "_unique",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "bincount",
    "_linalg_check_errors",
]


class Waits:
    """What was seen: each time what was called, and where."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def add(self, what: str) -> None:
        here = str(Path(__file__))
        outside = [f for f in traceback.extract_stack() if f.filename != here and "/torch/" not in f.filename]
        place = f" ({outside[-1].filename}:{outside[-1].lineno})" if outside else ""
        self.seen.append(f"{what}{place}")


class _Functions(TorchFunctionMode):
    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        if name in _READING and args and isinstance(args[0], Tensor):
            self.waits.add(f"Tensor.{name}")
        elif name == "to" and "cpu" in (*args, *(kwargs or {}).values()):
            self.waits.add('Tensor.to("cpu")')
        return function(*args, **(kwargs or {}))


class _AsOnAGPU(TorchFunctionMode):
    """Does what torch does on a GPU where that looks at values on a CPU only: `one_hot` checks its labels there."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__name__", "") == "one_hot" and (classes := [*args[1:], *kwargs.values(), -1][0]) >= 0:
            labels = args[0]
            return (labels[..., None] == torch.arange(classes, device=labels.device)).long()
        return function(*args, **kwargs)


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Nothing inside looks at values but what would on a GPU, too."""
    with _AsOnAGPU():
        yield


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, waits: Waits) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits = waits

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._schema.name.partition("::")[2]
        if name in _WAITING or (name == "repeat_interleave" and len(args) == 1):
            self.waits.add(f"torch's {name}")
        elif name == "index" and _masked(args[1]):
            self.waits.add("indexing with a mask")
        elif name in ("index_put", "index_put_") and _masked(args[1]) and args[2].numel() > 1:
            self.waits.add("assigning to a mask")
        return function(*args, **(kwargs or {}))


def _masked(indices: Any) -> bool:
    return any(isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in indices)


@contextmanager
def watching(device: str) -> Iterator[Waits]:
    """Note every wait inside; on a GPU torch raises at those that only CUDA sees."""
    waits = Waits()
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_sync_debug_mode("error")
    try:
        with _Functions(waits), _AsOnAGPU(), _Operations(waits):
            yield waits
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        waits.add(f"CUDA says: {error}".partition("\n")[0])
    finally:
        if on_gpu:
            torch.cuda.set_sync_debug_mode("default")
