"""Where units of work run: in this process, or in one process per slot."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess
from pathlib import Path

from ganbench.contracts import Executor
from ganbench.environment import cores
from ganbench.store import Unit


class InlineExecutor(Executor):
    """Runs every unit in the main process, one after another: for debugging."""

    slots = 1

    def __init__(self, *, jobs: int | None, device: str) -> None:
        self._ended: list[tuple[Path, int]] = []

    def submit(self, directory: Path) -> None:
        from ganbench.worker import run_in_this_process

        with Unit(directory).log.open("a") as log, redirect_stdout(log), redirect_stderr(log):
            self._ended.append((directory, run_in_this_process(directory)))
        if Unit(directory).status == "interrupted":
            raise KeyboardInterrupt  # the worker's part of the process took the signal

    def poll(self) -> list[tuple[Path, int]]:
        ended, self._ended = self._ended, []
        return ended

    def cancel(self) -> None:
        pass


class ProcessExecutor(Executor):
    """One process per running unit, so that a unit can take down nothing but itself.

    The processes are forked from a server that has imported torch once. On a CPU there is one slot per core and the
    cores are shared out evenly; on GPUs one slot per GPU (or `jobs` slots, dealt out over the GPUs in turn).
    """

    def __init__(self, *, jobs: int | None, device: str) -> None:
        self._gpus = _gpus(device)
        self._slots = jobs or len(self._gpus) or cores()
        self._threads = max(1, cores() // self._slots)
        # Threads that wait for each other without spinning: ten times faster when cores are shared with other work.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(method)
        assert isinstance(context, ForkServerContext | SpawnContext)
        self._context: ForkServerContext | SpawnContext = context
        if isinstance(context, ForkServerContext):
            context.set_forkserver_preload(["ganbench.preload"])
        self._running: dict[int, tuple[Path, ForkServerProcess | SpawnProcess]] = {}

    @property
    def slots(self) -> int:
        return self._slots

    def submit(self, directory: Path) -> None:
        slot = next(slot for slot in range(self._slots) if slot not in self._running)
        gpu = self._gpus[slot % len(self._gpus)] if self._gpus else ""
        process = self._context.Process(target=_work, args=(directory, self._threads, gpu), daemon=True)
        process.start()
        self._running[slot] = (directory, process)

    def poll(self) -> list[tuple[Path, int]]:
        ended = []
        for slot, (directory, process) in list(self._running.items()):
            if process.exitcode is not None:
                ended.append((directory, process.exitcode))
                process.close()
                del self._running[slot]
        return ended

    def cancel(self) -> None:
        for _, process in self._running.values():
            process.terminate()
        for _, process in self._running.values():
            process.join(10)
            if process.exitcode is None:
                process.kill()
                process.join()


def _work(directory: Path, threads: int, gpu: str) -> None:
    """A unit's process: everything it prints goes to the unit's log."""
    if gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    log = os.open(Unit(directory).log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from ganbench.worker import run_in_this_process

    # A terminal's Ctrl-C reaches workers too; the main process hears it and sends each of them one SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()  # the main process, not the server that forked this one
    assert parent is not None
    sys.exit(run_in_this_process(directory, threads, orphaned=lambda: not parent.is_alive()))


def _gpus(device: str) -> list[str]:
    """The GPUs that `device` means: ``cuda:1`` that one, ``cuda`` all that this process may see, ``cpu`` none."""
    if not device.startswith("cuda"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name for name in visible.split(",") if name] or [str(i) for i in range(_gpu_count())]
    _, _, index = device.partition(":")
    return [names[int(index)]] if index else names


def _gpu_count() -> int:
    import torch

    return max(1, torch.cuda.device_count())
