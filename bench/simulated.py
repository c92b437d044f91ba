"""A cluster that is simulated: an executor whose nodes train nothing, and write what workers there would have written.

The nodes are one process beside the main one (``python simulated.py SECONDS``), which takes directories, ends each after
a time drawn from a log-normal distribution, and writes its records as a worker does, but for the wait for the disk: on a
real cluster others wait for it. `bench/cluster.py` makes a plugin of this file.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import NamedTuple

from ganbench.api import hookimpl
from ganbench.contracts import Executor

SPREAD = 0.8  # standard deviation of the logarithm of a cell's seconds
FAILURES = 0.02  # of all attempts; one half ends as failed, the other is lost with its node


class Attempts(NamedTuple):
    """When attempts were handed out and when they ended, in seconds of the monotonic clock, in order of their ends."""

    began: array[float]
    ended: array[float]

    def idle(self, slots: int, until: float) -> float:
        """The share of the slots' time without an attempt, from the first one to `until`."""
        first = min(self.began)
        busy = sum(max(0.0, min(end, until) - start) for start, end in zip(self.began, self.ended, strict=True))
        return 1.0 - busy / (slots * (until - first))


class Simulated(Executor):
    """A thousand GPUs that are a heap of times."""

    #: Of the executor that was made last, for who measures.
    attempts = Attempts(array("d"), array("d"))

    def __init__(self, *, jobs: int | None, device: str, slots_per_gpu: int = 1) -> None:
        assert jobs
        self._slots = jobs
        self._began: dict[str, float] = {}
        self._rest = b""
        Simulated.attempts = Attempts(array("d"), array("d"))
        command = [sys.executable, __file__, os.environ["SIMULATED_SECONDS"]]
        self._nodes = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._nodes.stdin
        assert self._nodes.stdout
        self._to, self._from = self._nodes.stdin, self._nodes.stdout.fileno()
        os.set_blocking(self._from, False)

    @property
    def slots(self) -> int:
        return self._slots

    def submit(self, directory: Path) -> None:
        self._began[str(directory)] = time.monotonic()
        self._to.write(f"{directory}\n".encode())

    def poll(self) -> list[tuple[Path, int]]:
        ended = []
        while True:
            try:
                said = os.read(self._from, 1 << 20)
            except BlockingIOError:
                return ended
            if not said:
                raise RuntimeError("the simulated nodes are gone")
            *lines, self._rest = (self._rest + said).split(b"\n")
            for line in lines:
                directory, code, when = line.decode().rsplit("\t", 2)
                self.attempts.began.append(self._began.pop(directory))
                self.attempts.ended.append(float(when))
                ended.append((Path(directory), int(code)))

    def stop(self, directory: Path) -> None:
        raise NotImplementedError("no benchmark file of the simulation has a timeout")

    def cancel(self) -> None:
        self._to.close()
        self._nodes.wait()


@hookimpl
def register_executors(register):
    register("simulated", "ganbench_simulated:Simulated", summary="nodes that train nothing")


def nodes(mean: float) -> None:
    """Be the nodes: directories come in, ``directory, exit code, time of its end`` go out. `mean` seconds per cell."""
    sys.path.insert(0, os.environ["SIMULATED_BENCH"])
    import scale
    from numpy.random import default_rng

    events = scale.evaluations(default_rng(0), 64)
    done = scale.manifest(events[-1], events[0], 300.0, {})
    draw = random.Random(0)
    middle = mean / 2.718281828459045 ** (SPREAD**2 / 2)
    due: list[tuple[float, str, str]] = []
    rest = b""
    while True:
        wait = max(0.0, due[0][0] - time.monotonic()) if due else None
        if select.select([0], [], [], wait)[0]:
            if not (said := os.read(0, 1 << 20)):
                return
            *lines, rest = (rest + said).split(b"\n")
            for line in lines:
                directory, chance = line.decode(), draw.random()
                ending = "lost" if chance < FAILURES / 2 else "failed" if chance < FAILURES else "done"
                seconds = middle * 2.718281828459045 ** draw.gauss(0.0, SPREAD)
                heapq.heappush(due, (time.monotonic() + seconds, directory, ending))
                _write(f"{directory}/manifest.json", {**done, "status": "running", "pid": 1, "host": "node"})
                _write(f"{directory}/progress.json", {"spent": 0.5, "updates": 1000, "metrics": {"fcd": 9.0}})
        while due and due[0][0] <= time.monotonic():
            when, directory, ending = heapq.heappop(due)
            if ending != "lost":
                reason = {"reason": "ValueError: simulated"} if ending == "failed" else {}
                _write(f"{directory}/manifest.json", {**done, **reason, "status": ending})
                os.unlink(f"{directory}/progress.json")
            code = {"done": 0, "failed": 1, "lost": -signal.SIGKILL}[ending]
            os.write(1, f"{directory}\t{code}\t{when}\n".encode())


def _write(path: str, record: dict[str, object]) -> None:
    with open(f"{path}.tmp", "w") as file:
        file.write(json.dumps(record))
    os.replace(f"{path}.tmp", path)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nodes(float(sys.argv[1]))
