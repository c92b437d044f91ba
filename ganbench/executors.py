"""Where units of work run: in this process, or in worker processes that take unit after unit."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

from ganbench.contracts import Executor
from ganbench.environment import cores
from ganbench.errors import UserError
from ganbench.params import Params
from ganbench.plugins import Settled
from ganbench.store import Unit

_GRACE = 10.0  # seconds between asking a worker to stop and killing it
_PING = 5.0  # seconds of silence after which a worker at work is asked whether it is alive
_SILENCE = 600.0  # seconds after which one that does not answer is taken for lost: stopped, frozen, or stuck in C
_UNITS = 100  # after so many units a worker is replaced, so that what plugins leak does not add up

_ALIVE, _STOP = None, False  # messages: the question whether a worker is alive and its answer; the request to stop


def employ(cls: type[Executor], params: Params, *, jobs: int | None, device: str, slots_per_gpu: int = 1) -> Executor:
    """An executor of a class. Those without parameters need not know of any."""
    more = {"params": params} if params.fields() else {}
    return cls(jobs=jobs, device=device, slots_per_gpu=slots_per_gpu, **more)


class InlineExecutor(Executor):
    """Runs every unit in the main process, one after another: for debugging. Nothing can stop a unit but Ctrl-C."""

    slots = 1

    def __init__(self, *, jobs: int | None, device: str, slots_per_gpu: int = 1, debug: bool = False) -> None:
        """`debug`: units print to the terminal, and what one raises is examined with pdb."""
        self._ended: list[tuple[Path, int]] = []
        self._debug = debug

    def submit(self, directory: Path) -> None:
        from ganbench.worker import run_in_this_process

        if self._debug:
            code = run_in_this_process(directory, examine=_post_mortem)
        else:
            with Unit(directory).log.open("a") as log, redirect_stdout(log), redirect_stderr(log):
                code = run_in_this_process(directory)
        self._ended.append((directory, code))
        if code > 128:
            signal.raise_signal(code - 128)  # the worker's part of the process took it

    def poll(self) -> list[tuple[Path, int]]:
        ended, self._ended = self._ended, []
        return ended

    def stop(self, directory: Path) -> None:
        pass  # a unit that runs has the whole process

    def cancel(self) -> None:
        pass


def _post_mortem(error: BaseException) -> None:
    import pdb

    pdb.post_mortem(error.__traceback__)


class ProcessExecutor(Executor):
    """Units in worker processes of their own, so that a unit can take down nothing but itself.

    Workers are forked from a server that has imported torch once, and take unit after unit; one whose unit ends in any
    status but done is replaced. On a CPU there is one slot per core and the cores are shared out evenly; on GPUs there
    are `slots_per_gpu` slots on each (or `jobs` slots, dealt out over the GPUs in turn).
    """

    def __init__(self, *, jobs: int | None, device: str, slots_per_gpu: int = 1, threads: int | None = None) -> None:
        """`threads` of each worker, where the cores are not this executor's alone."""
        self._gpus = gpu_ids(device)
        self._slots = jobs or len(self._gpus) * slots_per_gpu or cores()
        self._threads = threads or max(1, cores() // self._slots)
        self._context = context()
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []
        self._polled = time.monotonic()

    @property
    def slots(self) -> int:
        return self._slots

    def submit(self, directory: Path) -> None:
        worker = self._idle.pop() if self._idle else self._start()
        self._busy.append(worker)
        worker.give(directory)

    def _start(self) -> _Worker:
        slot = next(slot for slot in range(self._slots) if all(worker.slot != slot for worker in self._busy))
        gpu = self._gpus[slot % len(self._gpus)] if self._gpus else ""
        return _Worker(self._context, slot, self._threads, gpu)

    def poll(self) -> list[tuple[Path, int]]:
        now = time.monotonic()
        if now - self._polled > _PING:  # this process was stopped or asleep: the silence was its own
            for worker in self._busy:
                worker.heard = now
        self._polled = now
        ended = []
        for worker in list(self._busy):
            code = worker.code(now)
            if code is None:
                continue
            ended.append((worker.directory, code))
            self._busy.remove(worker)
            if code == 0 and worker.units < _UNITS:
                self._idle.append(worker)
            else:
                worker.end()
        return ended

    def stop(self, directory: Path) -> None:
        for worker in self._busy:
            if worker.directory == directory:
                worker.stop()

    def cancel(self) -> None:
        workers = self._busy + self._idle
        self._busy, self._idle = [], []
        try:
            for worker in workers:
                worker.stop()
            deadline = time.monotonic() + _GRACE
            while any(worker.process.exitcode is None for worker in workers) and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:  # also when a second Ctrl-C does not want to wait
            for worker in workers:
                worker.end()


def context() -> ForkServerContext | SpawnContext:
    """Where processes with torch come from: forked, where that can be, from one server that has imported it once.

    Raises `UserError` in such a process that is just importing its main script, which then has no guard.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UserError('workers import the script that runs ganbench: put its code below `if __name__ == "__main__":`')
    # Threads that wait for each other all but without spinning: ten times faster when cores are shared with other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # GNU's: some microseconds of it, so that two threads of a small network need not be woken for every operation
    # (1.6 times as fast alone, 1.1 times as slow on a busy core).
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(["ganbench.preload"])
    return forking


def apart(function: Callable[..., Any], *arguments: Any, patience: float) -> Any:
    """What a function of a module returns in a process of its own; None where that dies or takes longer (seconds)."""
    processes = context()
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=_apart, args=(sender, function, arguments, Settled.here()), daemon=True)
    process.start()
    sender.close()  # this process's end, so that the child's death is the end of the pipe
    try:
        return receiver.recv() if receiver.poll(patience) else None
    except EOFError:
        return None
    finally:
        receiver.close()
        process.kill()
        process.join()


def _apart(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...], plugins: Settled) -> None:
    in_silence()
    plugins.settle()
    sender.send(function(*arguments))


def in_silence() -> None:
    """From now on nothing that this process prints is seen: what variants say or warn of belongs to their cells."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.close(silence)


class _Worker:
    """A worker process, as the main process sees it. Directories go to it, the exit codes of units come back."""

    def __init__(self, context: ForkServerContext | SpawnContext, slot: int, threads: int, gpu: str) -> None:
        self.slot = slot
        self.units = 0
        self.directory = Path()
        self._connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, threads, gpu, Settled.here()))
        self.process.start()
        theirs.close()
        self.heard = self._pinged = time.monotonic()
        self._kill_at = float("inf")

    def give(self, directory: Path) -> None:
        self.directory = directory
        self.units += 1
        self.heard = time.monotonic()
        with suppress(OSError):  # it died while it was idle: `code` tells
            self._connection.send(str(directory))

    def code(self, now: float) -> int | None:
        """The exit code of its unit, once that has ended; minus the signal if the process was killed."""
        try:
            while self._connection.poll():
                self.heard = now
                if (code := self._connection.recv()) is not _ALIVE:
                    return int(code)
            if self.process.exitcode is not None:
                return self.process.exitcode
            if now - max(self.heard, self._pinged) > _PING:
                self._pinged = now
                self._connection.send(_ALIVE)
        except (OSError, EOFError):
            self.process.join(1)
            self._kill()  # nothing, unless the unit closed what is not its own
            self.process.join()
            return self.process.exitcode
        if now > self._kill_at or now - self.heard > _SILENCE:
            self._kill()
        return None

    def stop(self) -> None:
        """Ask for the end of the unit and of the process; after a grace, `code` does not ask any more."""
        with suppress(OSError):
            self._connection.send(_STOP)
        self._kill_at = time.monotonic() + _GRACE

    def end(self) -> None:
        """The end of the process and of all that it started."""
        self._connection.close()
        self._kill()
        self.process.join()
        self.process.close()

    def _kill(self) -> None:
        try:
            os.killpg(self._pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # no group yet, or none any more
            self.process.kill()

    @property
    def _pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid


def _serve(connection: Connection, threads: int, gpu: str, plugins: Settled) -> None:
    """A worker process: units come through `connection`, exit codes go back, until the other end is closed.

    It leads a session and a group of its own: a terminal's Ctrl-C reaches the main process alone, which asks each
    worker once, and all that a unit starts can be killed with it.
    """
    os.setsid()
    plugins.settle()
    if gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    faulthandler.enable()  # a segfault leaves a traceback in the unit's log
    from ganbench.worker import CANNOT_WRITE, run_in_this_process

    todo: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    answers = threading.Lock()

    def answer(message: int | None) -> None:
        with answers, suppress(OSError):  # there is nobody any more who could be told
            connection.send(message)

    def listen() -> None:
        """Hear the main process also while a unit is running. When it is gone, stop as it would have asked to."""
        try:
            while (message := connection.recv()) is not _STOP:
                answer(_ALIVE) if message is _ALIVE else todo.put(message)
        except (OSError, EOFError):
            pass
        todo.put(None)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=listen, daemon=True).start()
    while (directory := todo.get()) is not None:
        try:
            _print_to(Unit(Path(directory)).log)
        except OSError:
            answer(CANNOT_WRITE)
            continue
        code = run_in_this_process(Path(directory), threads, expendable=True)
        _print_to(Path(os.devnull))
        answer(code)


def _print_to(path: Path) -> None:
    """Send whatever this process prints, C libraries and child processes included, to the end of a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def gpu_ids(device: str) -> list[str]:
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
