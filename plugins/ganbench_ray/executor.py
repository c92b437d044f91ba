"""The executor ``ray``. Ray is imported when one is made, so that `ganbench list` and `plan` do not wait for it."""

from __future__ import annotations

import queue
import signal
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.api import Executor, Params, Parcel, UserError, param
from ganbench_ray import cluster

_GRACE = 15.0  # seconds for all units to end when the run does: theirs, and some for the way
_COUNTED = 1.0  # seconds for which a count of the cluster's slots holds


@dataclass(frozen=True)
class RayParams(Params):
    """``executor = { name = "ray", params = { address = "auto", cpus = 2 } }``."""

    address: str = param("", "HOST:PORT, auto (must run), local (a new one); empty: auto if one runs, else local")
    cpus: int = param(1, "CPUs of a cell, which are its threads", min=1)
    memory: float = param(0.0, "GiB of main memory that Ray keeps free for a cell; 0: it does not look", min=0.0)


class RayExecutor(Executor):
    """Every unit a task of a Ray cluster, on this machine or on many that share a file system.

    A task asks for `cpus`, for a GPU's part where cells are trained on GPUs (`slots_per_gpu`), and for `memory`. Nodes
    may come and go: there are as many slots as the cluster has room for, and what ran on a lost node is reported as
    killed.
    """

    Params = RayParams
    remote = True

    def __init__(self, *, jobs: int | None, device: str, slots_per_gpu: int = 1, params: RayParams) -> None:
        self._device, self._jobs, self._params = device, jobs, params
        self._running: dict[Path, tuple[Any, Parcel]] = {}
        self._ended: queue.SimpleQueue[tuple[Path, Future[int]]] = queue.SimpleQueue()
        self._needs = {"CPU": float(params.cpus)}
        if device != "cpu":
            self._needs["GPU"] = 1 / slots_per_gpu
        if params.memory:
            self._needs["memory"] = params.memory * 2**30
        self._ours = cluster.connect(params.address)
        self._room, self._counted = cluster.room(self._needs), time.monotonic()
        if not self._room:
            self.cancel()
            raise UserError(f"no node of the cluster has room for a cell ({self._asked()}); `ray status` shows them")
        self._task = self._remote()

    def _asked(self) -> str:
        """What a cell takes, in words."""
        shown = {"CPU": "CPU {:g}", "GPU": "GPU {:.3g}", "memory": "memory {:g} GiB"}
        units = {"memory": 2**30}
        return ", ".join(shown[name].format(need / units.get(name, 1)) for name, need in self._needs.items())

    def _remote(self) -> Any:
        import ray

        from ganbench_ray.task import do

        return ray.remote(do).options(
            num_cpus=self._needs["CPU"],
            num_gpus=self._needs.get("GPU", 0),
            memory=int(self._needs.get("memory", 0)) or None,
            max_retries=0,  # what is lost is told, and tried again by whoever counts
        )

    @property
    def slots(self) -> int:
        """What the cluster has room for now, or one that waits until there is room, as clusters that grow want it."""
        if time.monotonic() - self._counted > _COUNTED:
            self._room, self._counted = cluster.room(self._needs), time.monotonic()
        return max(1, min(self._room, self._jobs or self._room))

    def submit(self, directory: Path) -> None:
        parcel = Parcel.of(directory)
        task = self._task.remote(parcel, self._device, self._params.cpus)
        self._running[directory] = task, parcel
        task.future().add_done_callback(lambda future: self._ended.put((directory, future)))

    def poll(self) -> list[tuple[Path, int]]:
        ended = []
        with suppress(queue.Empty):
            while True:
                directory, future = self._ended.get_nowait()
                del self._running[directory]
                ended.append((directory, exit_code(future)))
        return ended

    def waiting(self) -> list[Path]:
        """What is in Ray's queue, behind the tasks of others."""
        return [directory for directory, (_, parcel) in self._running.items() if parcel.waits]

    def stop(self, directory: Path) -> None:
        import ray

        if directory in self._running:
            task, _ = self._running[directory]
            ray.cancel(task, force=False)

    def cancel(self) -> None:
        import ray

        try:
            for directory in self._running:
                self.stop(directory)
            deadline = time.monotonic() + _GRACE
            while self._running and time.monotonic() < deadline:
                with suppress(UserError):
                    self.poll()
                time.sleep(0.02)
        finally:  # also when a second Ctrl-C does not want to wait
            for task, _ in self._running.values():
                ray.cancel(task, force=True)
            self._running.clear()
            if self._ours:
                ray.shutdown()


def exit_code(future: Future[int]) -> int:
    """The exit code of a task's unit. Raises `UserError` where a node is not fit, which ends the run."""
    from ray import exceptions

    try:
        return future.result()
    except exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, UserError):
            raise UserError(str(cause)) from None
        if isinstance(cause, exceptions.TaskCancelledError):
            return -signal.SIGTERM
        why = f"{type(cause).__name__}: {cause}".strip().partition("\n")[0]
        raise UserError(f"a node cannot run cells ({why}); is ganbench installed there as it is here?") from error
    except exceptions.TaskCancelledError:
        return -signal.SIGTERM
    except exceptions.OutOfMemoryError:
        return Executor.OUT_OF_MEMORY
    except exceptions.RayError:  # its process, its node, or what it said is lost
        return -signal.SIGKILL
