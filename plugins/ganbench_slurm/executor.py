"""The executor ``slurm``. Submitit is imported when one is made: `ganbench list` and `plan` do not wait for it."""

from __future__ import annotations

import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ganbench.api import Executor, Params, Parcel, UserError, param
from ganbench_slurm.job import Job
from ganbench_slurm.queue import TERMINAL, Queue, Submitter

_GATHER = 2.0  # seconds for which units are gathered before they are submitted together, as one array
_LOOK = 5.0  # seconds between looks at the queue, which is everybody's
_GRACE = 25.0  # seconds for all jobs to end when the run does; Slurm itself kills what takes longer than its KillWait


@dataclass(frozen=True)
class SlurmParams(Params):
    """``executor = { name = "slurm", params = { partition = "gpu", minutes = 240 } }``."""

    partition: str = param("", "Slurm's partition; empty: its default")
    account: str = param("", "whom the time is charged to; empty: the user's default")
    minutes: int = param(60, "time limit of a job; a cell that takes longer goes on in the same job, run again", min=1)
    warning: int = param(120, "seconds before the limit at which a cell makes its checkpoint", min=10)
    cpus: int = param(1, "CPUs of a cell, which are its threads", min=1)
    memory: float = param(0.0, "GiB of main memory of a cell; 0: the partition's default", min=0.0)
    gres: str = param("", "generic resources of a cell; empty: gpu:1 where cells are trained on GPUs")
    at_once: int = param(100, "cells in the queue at once, waiting or running; --jobs overrules it", min=1)
    options: str = param("", "more options of sbatch, as on a command line: --qos=long --constraint=a100")
    setup: str = param("", "a line of shell before a cell begins: module load cuda")


class SlurmExecutor(Executor):
    """Every unit a job of Slurm, those submitted together an array, on nodes that share a file system.

    Which job a unit has is written into its directory, and jobs do not need this process: should it be killed, they go
    on, and whoever submits such a unit again gets the job that is there instead of a second one.
    """

    Params = SlurmParams
    remote = True

    def __init__(self, *, jobs: int | None, device: str, slots_per_gpu: int = 1, params: SlurmParams) -> None:
        if slots_per_gpu > 1:
            raise UserError('slots_per_gpu is for GPUs of this machine; Slurm shares them by gres = "shard:1", say')
        self._slots, self._device, self._params = jobs or params.at_once, device, params
        self._queue = Queue()
        self._submitters: dict[Path, Submitter] = {}
        self._gathered: list[Path] = []
        self._since = 0.0  # when the first of them came
        self._jobs: dict[Path, str] = {}
        self._pending: set[Path] = set()
        self._gone: set[Path] = set()  # without a result when they were looked at last
        self._looked = 0.0

    @property
    def slots(self) -> int:
        return self._slots

    def submit(self, directory: Path) -> None:
        self._since = self._since if self._gathered else time.monotonic()
        self._gathered.append(directory)

    def waiting(self) -> Collection[Path]:
        return (*self._gathered, *self._pending)

    def poll(self) -> list[tuple[Path, int]]:
        now = time.monotonic()
        if self._gathered and (now - self._since > _GATHER or len(self._gathered) == self._slots):
            self._hand_over()
        if not self._jobs or now - self._looked < _LOOK:
            return []
        return self._look()

    def _hand_over(self) -> None:
        """Submit what was gathered, but for units whose job of an earlier run is still in the queue."""
        before = {directory: _job(directory) for directory in self._gathered}
        states = self._queue.states() if any(before.values()) else {}
        new: dict[Path, list[Path]] = {}
        for directory, job in before.items():
            if job and states.get(job, "COMPLETED") not in TERMINAL:
                self._jobs[directory] = job
                self._pending |= {directory} if states[job] == "PENDING" else set()
            else:
                new.setdefault(_root(directory), []).append(directory)
        self._gathered = []
        for root, directories in new.items():
            work = [Job(Parcel.of(directory), self._device, self._params.cpus) for directory in directories]
            for directory, job in zip(directories, self._submitter(root).submit(work), strict=True):
                _record(directory).write_text(job)
                self._jobs[directory] = job
                self._pending.add(directory)

    def _submitter(self, root: Path) -> Submitter:
        if root not in self._submitters:
            self._submitters[root] = Submitter(root / "slurm", self._params, gpu=self._device != "cpu")
        return self._submitters[root]

    def _look(self) -> list[tuple[Path, int]]:
        """Ask Slurm for all jobs. One that has ended or is not known any more is over: with a result, or none twice."""
        self._looked, ended = time.monotonic(), []
        states = self._queue.states()
        self._pending = {directory for directory, job in self._jobs.items() if states.get(job) == "PENDING"}
        for directory, job in list(self._jobs.items()):
            state = states.get(job, "")
            if state and state not in TERMINAL:
                self._gone.discard(directory)
                continue
            result = self._submitter(_root(directory)).result(job)
            if result is None and directory not in self._gone:
                self._gone.add(directory)  # a shared file system may be late
                continue
            self._forget(directory)
            if isinstance(result, str):
                raise UserError(result)
            if result is None:
                result = self.OUT_OF_MEMORY if state == "OUT_OF_MEMORY" else -signal.SIGKILL
            ended.append((directory, result))
        return ended

    def _forget(self, directory: Path) -> None:
        self._submitter(_root(directory)).clear(self._jobs.pop(directory))
        self._gone.discard(directory)
        self._pending.discard(directory)
        _record(directory).unlink(missing_ok=True)

    def stop(self, directory: Path) -> None:
        if directory in self._gathered:
            self._hand_over()
        if job := self._jobs.get(directory):
            self._queue.cancel([job])

    def cancel(self) -> None:
        self._gathered = []
        if self._jobs:
            self._queue.cancel(self._jobs.values())
        deadline = time.monotonic() + _GRACE
        while self._jobs and time.monotonic() < deadline:  # what does not end by then, Slurm kills
            try:
                self._look()
            except UserError:
                continue
            time.sleep(min(0.5, _LOOK))
        if not self._jobs:
            for submitter in self._submitters.values():
                submitter.sweep()


def _record(directory: Path) -> Path:
    return directory / ".slurm"


def _job(directory: Path) -> str:
    """The job that a run gave the unit; empty where there is none."""
    try:
        return _record(directory).read_text().strip()
    except OSError:
        return ""


def _root(directory: Path) -> Path:
    """The results folder of a unit: of a cell, of a dataset made ready, or of a probe of a cell."""
    below = next((path for path in directory.parents if path.name in ("cells", "references")), directory)
    return below.parent
