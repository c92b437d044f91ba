"""CUDA graphs played on a CPU: torch's operations are written down once and done again on the same tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganbench.graphs import NotRecorded, Recorder


class CpuRecorder(Recorder):
    """What a graph is true to, this is too: Python runs once only, every tensor keeps its place in memory, random
    numbers go on from where the generator is, and nothing can be read on the host meanwhile.
    """

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        tape, state = _Tape(), torch.get_rng_state()
        try:
            with tape:
                work()
        finally:  # a CPU has done what it was to write down
            with torch.no_grad():
                for tensor, value in reversed(tape.overwritten):
                    tensor.copy_(value)
            torch.set_rng_state(state)
        return tape.replay


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.overwritten: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise NotRecorded(f"{function} waits for the device")
        for argument, given in zip(function._schema.arguments, (*args, *kwargs.values()), strict=False):
            if argument.alias_info and argument.alias_info.is_write:
                self.overwritten += [(t, t.clone()) for t in tree_leaves(given) if isinstance(t, Tensor)]
        result = function(*args, **kwargs)
        self.calls.append((function, args, kwargs, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        for function, args, kwargs, result in self.calls:
            again = function(*args, **kwargs)
            for kept, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(kept, Tensor) and kept.data_ptr() != new.data_ptr():
                    kept.copy_(new)
