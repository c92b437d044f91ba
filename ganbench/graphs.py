"""CUDA graphs: a turn's kernels recorded once and launched together, so that small networks do not wait for Python.

What is recorded is what the eager loop does in a turn, double backward of a gradient penalty and optimiser included.
Torch's default generator on the device is part of the graph: a replay draws what the eager turn would have drawn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


class NotRecorded(Exception):
    """The device broke off a recording, for the reason given.

    Torch's generator on that device then is of no more use, so that the process has to be given up.
    """


class Recorder(ABC):
    """Records work on a device; `ganbench.train.play` tries it after some rounds, and `reason` says what came of it."""

    #: Why turns are not replayed from recordings; empty when they are.
    reason = "training ended before"

    def playing(self) -> AbstractContextManager[object]:
        """What the whole game is played under."""
        return nullcontext()

    @abstractmethod
    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record `work`, which is not to take effect meanwhile; calling what is returned does it, each time anew.

        Raises `NotRecorded`.
        """


class CudaRecorder(Recorder):
    """Records CUDA graphs (torch.cuda.CUDAGraph) in one pool of memory, on the stream that the game is played on.

    The default stream cannot be recorded, and gradients are to be added up on the stream that they were first seen on:
    hence one other stream for all.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def playing(self) -> Iterator[None]:
        outside = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(outside)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            outside.wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                work()
        except Exception as error:
            # An operation that cannot be recorded raises first; that the recording is broken off raises next.
            cause = error.__context__ or error
            raise NotRecorded(f"{type(cause).__name__}: {cause}".partition("\n")[0]) from error
        return graph.replay


def recorder_for(device: torch.device) -> Recorder | None:
    """What records turns on `device`; None where they need no recording."""
    return CudaRecorder(device) if device.type == "cuda" else None
