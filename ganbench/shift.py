"""One executor at work on many units: it takes what no other run has, watches the clock, tries again what was lost."""

from __future__ import annotations

import signal
import time
from collections import Counter, deque
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
_LOOKS = 20  # running units at which one look is taken: where there are more, in turns, every
_TURN = 0.5  # seconds


@dataclass(frozen=True)
class Limits:
    """How long an attempt may take, and how often what is ``lost``, ``oom``, ``timeout`` or ``failed`` is retried."""

    minutes: float | None = None
    retries: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _Running:
    unit: Unit
    out_of_memory: int | None
    started: float = field(default_factory=time.monotonic)
    timed_out: bool = False


class Shift:
    """Runs all units of `todo`, `executor.slots` at a time.

    A unit is claimed first; `begin` then makes it ready, or says False where another run did it meanwhile. `watch` gets
    the latest progress of what runs; `ended` hears of every unit that has ended, with its manifest, and its True ends
    the shift.
    """

    def __init__(
        self,
        executor: Executor,
        todo: Sequence[Unit],
        limits: Limits,
        begin: Callable[[Unit], bool],
        watch: Callable[[Mapping[str, Record]], None],
        ended: Callable[[Unit, Record], bool] = lambda unit, manifest: False,
        note: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.executor, self.limits = executor, limits
        self.begin, self.watch, self.ended, self.note = begin, watch, ended, note
        self.waiting = deque(todo)  # the next one first
        self.elsewhere: list[Unit] = []  # what another run has; perhaps that one dies
        self.running: dict[Path, _Running] = {}
        self.progress: dict[str, Record] = {}  # of what runs, as it was seen last
        self.seen: list[Unit] = []  # the units that were looked at last
        self.turns: deque[_Running] = deque()  # whose progress is still to be looked at in this round of looks
        self.tries: Counter[tuple[Path, str]] = Counter()

    def run(self) -> None:
        """Until every unit has ended, here or in another run. However it ends, nothing is left running or claimed.

        Raises `StorageError` when records can no longer be written.
        """
        looked = told = 0.0
        others = 0
        try:
            while self.waiting or self.elsewhere or self.running:
                if not self.waiting and time.monotonic() - looked > _WATCH:
                    self.waiting, self.elsewhere = deque(self.elsewhere), []
                    looked = time.monotonic()
                if not self._fill():
                    return
                if not self.running and len(self.elsewhere) != others:
                    others = len(self.elsewhere)
                    if others:
                        self.note(f"waiting for {others} that another run is at work on")
                for directory, code in self.executor.poll():
                    looked = 0.0
                    if self._take(self.running.pop(directory), code):
                        return
                if time.monotonic() - told > (_WATCH if len(self.running) <= _LOOKS else _TURN):
                    told = time.monotonic()
                    self._watch_the_clock()
                    self._look()
                time.sleep(_POLL)
        finally:
            self.executor.cancel()
            for running in self.running.values():
                with suppress(StorageError):
                    _close(running, None)
                running.unit.release()

    def _fill(self) -> bool:
        """Hand out what can be claimed while there are free slots. False when a unit's end ends the shift."""
        while self.waiting and len(self.running) < self.executor.slots:
            unit = self.waiting.popleft()
            if not unit.claim():
                self.elsewhere.append(unit)
            elif self.begin(unit):
                self._submit(unit)
            else:
                unit.release()
                if self.ended(unit, unit.manifest):
                    return False
        return True

    def _look(self) -> None:
        """Read the progress of what runs, a few units at a time where there are many, and hand all on."""
        self.seen = []
        if not self.turns:
            self.turns = deque(self.running.values())
        while self.turns and len(self.seen) < _LOOKS:
            running = self.turns.popleft()
            if self.running.get(running.unit.directory) is running:
                self.progress[running.unit.directory.name] = running.unit.progress()
                self.seen.append(running.unit)
        self.watch({path.name: self.progress.get(path.name, {}) for path in self.running})

    def _submit(self, unit: Unit) -> None:
        here = not self.executor.remote  # what this machine's system kills says nothing of others
        self.running[unit.directory] = _Running(unit, out_of_memory_kills() if here else None)
        self.executor.submit(unit.directory)

    def _take(self, running: _Running, code: int) -> bool:
        """A unit whose process is done with it: again, or the end of it. True when that ends the shift."""
        unit = running.unit
        self.progress.pop(unit.directory.name, None)
        kept = False
        try:
            if code == CANNOT_WRITE:
                raise cannot_write(unit.directory)
            # Once, should a worker say so of what is not a broken-off recording.
            anew = code == AGAIN and not self.tries[unit.directory, "anew"] and not running.timed_out
            kind, manifest = ("anew", unit.manifest) if anew else _close(running, code, self.limits.minutes)
            if kind != "done" and self._again(unit, kind):
                why = f"no CUDA graphs ({manifest.get('eager')})" if anew else manifest["reason"]
                self.note(f"{unit.directory.name}: {why}; trying again")
                self._submit(unit)
                kept = True
        finally:
            if not kept:
                unit.release()
        return not kept and self.ended(unit, manifest)

    def _again(self, unit: Unit, kind: str) -> bool:
        """Count an attempt that ended in this way; whether there is to be another."""
        self.tries[unit.directory, kind] += 1
        return kind == "anew" or self.tries[unit.directory, kind] <= self.limits.retries.get(kind, 0)

    def _watch_the_clock(self) -> None:
        if self.limits.minutes is None:
            return
        now = time.monotonic()
        for directory in self.executor.waiting():
            self.running[directory].started = now
        for running in self.running.values():
            if not running.timed_out and now - running.started > self.limits.minutes * 60:
                running.timed_out = True
                self.executor.stop(running.unit.directory)


def _close(running: _Running, code: int | None, minutes: float | None = None) -> tuple[str, Record]:
    """Give a unit whose process left it unfinished its status. How it ended, as a status or as ``lost``; its manifest.

    `code` is None where the unit was cancelled.
    """
    unit = running.unit
    manifest = unit.manifest
    if running.timed_out and manifest["status"] in ("running", "planned", "interrupted"):
        return "timeout", unit.end("timeout", f"stopped after its timeout of {minutes:g} minutes")
    if manifest["status"] == "interrupted" and code is not None:
        return "lost", manifest  # somebody ended the process, and not this run
    if manifest["status"] not in ("running", "planned"):
        return str(manifest["status"]), manifest
    if code is None:
        return "interrupted", unit.end("interrupted", "stopped before it was done")
    if code == Executor.OUT_OF_MEMORY:
        return "oom", unit.end("oom", "its process was ended for lack of memory")
    if code != -signal.SIGKILL:
        ended = f"was killed by {_name(-code)}" if code < 0 else f"ended with exit code {code} before it was done"
        return "failed", unit.end("failed", f"its process {ended}; see log.txt")
    if running.out_of_memory is not None and out_of_memory_kills() > running.out_of_memory:
        return "oom", unit.end("oom", "the system killed its process for lack of memory")
    return "lost", unit.end("interrupted", "its process was killed from outside (SIGKILL)")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
