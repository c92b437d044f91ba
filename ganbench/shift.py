"""One executor at work on many units: it takes what no other run has, watches the clock, tries again what was lost."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ganbench.contracts import Executor
from ganbench.environment import out_of_memory_kills
from ganbench.errors import StorageError
from ganbench.store import Record, Unit, cannot_write
from ganbench.worker import AGAIN, CANNOT_WRITE

_POLL = 0.02  # seconds between looks at the executor
_WATCH = 0.2  # seconds between looks at the progress of running units, and at the units that other runs have


@dataclass(frozen=True)
class Limits:
    """How long an attempt may take, and how often what is ``lost``, ``oom``, ``timeout`` or ``failed`` is retried."""

    minutes: float | None = None
    retries: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _Running:
    unit: Unit
    out_of_memory: int
    started: float = field(default_factory=time.monotonic)
    timed_out: bool = False


class Shift:
    """Runs all units of `todo`, `executor.slots` at a time.

    A unit is claimed first; `begin` then makes it ready, or says False where another run did it meanwhile. `watch` gets
    the progress of what runs; `ended` hears of every unit that has ended, and its True ends the shift.
    """

    def __init__(
        self,
        executor: Executor,
        todo: Sequence[Unit],
        limits: Limits,
        begin: Callable[[Unit], bool],
        watch: Callable[[Mapping[str, Record]], None],
        ended: Callable[[Unit], bool] = lambda unit: False,
        note: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.executor, self.limits = executor, limits
        self.begin, self.watch, self.ended, self.note = begin, watch, ended, note
        self.waiting = list(todo)
        self.running: dict[Path, _Running] = {}
        self.tries: Counter[tuple[Path, str]] = Counter()

    def run(self) -> None:
        """Until every unit has ended, here or in another run. However it ends, nothing is left running or claimed.

        Raises `StorageError` when records can no longer be written.
        """
        looked = told = 0.0
        others = 0
        try:
            while self.waiting or self.running:
                if len(self.running) < self.executor.slots and time.monotonic() - looked > _WATCH:
                    if not self._fill():
                        return
                    looked = time.monotonic() if len(self.running) < self.executor.slots else 0.0
                    if not self.running and len(self.waiting) != others:
                        others = len(self.waiting)
                        if others:
                            self.note(f"waiting for {others} that another run is at work on")
                for directory, code in self.executor.poll():
                    looked = 0.0
                    if self._take(self.running.pop(directory), code):
                        return
                self._watch_the_clock()
                if time.monotonic() - told > _WATCH:
                    told = time.monotonic()
                    units = [running.unit for running in self.running.values()]
                    self.watch({unit.directory.name: unit.progress() for unit in units})
                time.sleep(_POLL)
        finally:
            self.executor.cancel()
            for running in self.running.values():
                with suppress(StorageError):
                    _close(running, None)
                running.unit.release()

    def _fill(self) -> bool:
        """Hand out what can be claimed while there are free slots. False when a unit's end ends the shift."""
        for unit in list(self.waiting):
            if len(self.running) == self.executor.slots:
                break
            if not unit.claim():
                continue  # another run has it; perhaps that one dies
            self.waiting.remove(unit)
            if self.begin(unit):
                self._submit(unit)
            else:
                unit.release()
                if self.ended(unit):
                    return False
        return True

    def _submit(self, unit: Unit) -> None:
        self.running[unit.directory] = _Running(unit, out_of_memory_kills())
        self.executor.submit(unit.directory)

    def _take(self, running: _Running, code: int) -> bool:
        """A unit whose process is done with it: again, or the end of it. True when that ends the shift."""
        unit = running.unit
        kept = False
        try:
            if code == CANNOT_WRITE:
                raise cannot_write(unit.directory)
            # Once, should a worker say so of what is not a broken-off recording.
            anew = code == AGAIN and not self.tries[unit.directory, "anew"] and not running.timed_out
            kind = "anew" if anew else _close(running, code, self.limits.minutes)
            self.tries[unit.directory, kind] += 1
            if anew or self.tries[unit.directory, kind] <= self.limits.retries.get(kind, 0):
                why = f"no CUDA graphs ({unit.manifest.get('eager')})" if anew else unit.manifest["reason"]
                self.note(f"{unit.directory.name}: {why}; trying again")
                self._submit(unit)
                kept = True
        finally:
            if not kept:
                unit.release()
        return not kept and self.ended(unit)

    def _watch_the_clock(self) -> None:
        if self.limits.minutes is None:
            return
        for running in self.running.values():
            if not running.timed_out and time.monotonic() - running.started > self.limits.minutes * 60:
                running.timed_out = True
                self.executor.stop(running.unit.directory)


def _close(running: _Running, code: int | None, minutes: float | None = None) -> str:
    """Give a unit whose process left it unfinished its status. How it ended: as a status, or as ``lost``.

    `code` is None where the unit was cancelled.
    """
    unit = running.unit
    manifest = unit.manifest
    if running.timed_out and manifest["status"] in ("running", "planned", "interrupted"):
        unit.end("timeout", f"stopped after its timeout of {minutes:g} minutes")
        return "timeout"
    if manifest["status"] == "interrupted" and code is not None:
        return "lost"  # somebody ended the process, and not this run
    if manifest["status"] not in ("running", "planned"):
        return str(manifest["status"])
    if code is None:
        unit.end("interrupted", "stopped before it was done")
        return "interrupted"
    if code != -signal.SIGKILL:
        ended = f"was killed by {_name(-code)}" if code < 0 else f"ended with exit code {code} before it was done"
        unit.end("failed", f"its process {ended}; see log.txt")
        return "failed"
    if out_of_memory_kills() > running.out_of_memory:
        unit.end("oom", "the system killed its process for lack of memory")
        return "oom"
    unit.end("interrupted", "its process was killed from outside (SIGKILL)")
    return "lost"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
