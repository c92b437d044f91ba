"""The checks of executors: small units of work that end, fail, are stopped and are killed."""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from ganbench.contracts import Executor
from ganbench.executors import employ
from ganbench.plugins import installed
from ganbench.store import Store, Unit
from ganbench.testing import common
from ganbench.testing.cases import Case, Checks
from ganbench.testing.outcomes import NotApplicable, Violation

_PATIENCE = 120.0  # seconds for what takes one or two
_AFTER_STOP = 30.0  # seconds from a request to stop: a grace, and a kill

_BENCHMARK = """
name = "executor-check"
seeds = 1
budget = {{ generator_updates = {updates} }}
evaluate = {{ times = 1, samples = 10 }}
metrics = ["fcd"]
[[grid]]
variants = ["mlp-gan"]
datasets = ["digits"]
params.width = 4
params.batch_size = 4
"""


class ExecutorCase(Case):
    """An executor under test, with units to run: cells of a tiny GAN on digits."""

    @cached_property
    def store(self) -> Store:
        """Where the units are."""
        store = Store(self.folder("results"))
        store.make()
        return store

    def unit(self, name: str, *, updates: int = 2, broken: bool = False) -> Unit:
        """A new unit; `broken` ones fail (their dataset does not exist)."""
        task = _task(updates, self.device)
        if broken:
            task |= {"dataset": "no-such-data", "dataset_id": "no/such-data"}
        unit = self.store.cell(f"{name}-{len(self.store.made())}")
        unit.create(task)
        return unit

    def executor(self, jobs: int | None = 1) -> Executor:
        return employ(self.cls, self.params, jobs=jobs, device=self.device)

    @cached_property
    def at_once(self) -> bool:
        """Whether a unit is over when `submit` returns."""
        executor, unit = self.executor(), self.unit("first")
        try:
            executor.submit(unit.directory)
            return unit.status == "done"
        finally:
            executor.cancel()


def _task(updates: int, device: str) -> dict[str, Any]:
    """The task of a cell of that many updates."""
    import tempfile

    from ganbench.config import read
    from ganbench.data import data_root, prepare
    from ganbench.plan import resolve

    digits = prepare("digits", installed().dataset("digits"), data_root())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.toml"
        path.write_text(_BENCHMARK.format(updates=updates))
        plan = resolve(*read(path), installed())
        return dict(plan.cells({"digits": digits.fingerprint}, device)[0].task)


CASE = ExecutorCase
CHECKS = Checks[ExecutorCase]()

CHECKS.formal(common.has_a_summary)
CHECKS.formal(common.imports_no_torch)
CHECKS.formal(common.defaults_are_admissible)
CHECKS.formal(common.every_parameter_has_a_help_text)
CHECKS.formal(common.params_round_trip_through_json)


def ended(executor: Executor, units: list[Unit], patience: float = _PATIENCE) -> dict[Path, list[int]]:
    """Every exit code that `poll` reports until all units have one, and once more."""
    codes: dict[Path, list[int]] = {unit.directory: [] for unit in units}
    deadline = time.monotonic() + patience
    while not all(codes.values()) and time.monotonic() < deadline:
        for directory, code in executor.poll():
            codes.setdefault(directory, []).append(code)
        time.sleep(0.05)
    for directory, code in executor.poll():
        codes.setdefault(directory, []).append(code)
    return codes


def _until(happened: Callable[[], bool], patience: float = _PATIENCE) -> bool:
    deadline = time.monotonic() + patience
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _running(executor: Executor, unit: Unit) -> None:
    """Submit a unit and wait until it trains. A run polls all the time."""
    executor.submit(unit.directory)
    if not _until(lambda: bool(executor.poll() or unit.progress())) or not unit.progress():
        raise Violation(
            f"a unit that was submitted did not begin to train within {_PATIENCE:.0f} s (its status: {unit.status})",
            wanted="units to be started",
            do="start `python -m ganbench.worker DIR` in `submit`",
        )


def _alive(pid: int) -> bool:
    """Whether a process of this machine is at work (not only waiting to be reaped)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@CHECKS.formal
def says_how_many_run_at_once(case: ExecutorCase) -> None:
    """`slots` is at least 1 and, where `jobs` is given, no more; without `jobs` it is the executor's choice."""
    for jobs in (1, 2, None):
        executor = case.executor(jobs)
        slots = executor.slots
        executor.cancel()
        if not isinstance(slots, int) or slots < 1 or (jobs and slots > jobs):
            raise Violation(
                f"with jobs={jobs} it has {slots!r} slots", wanted="1 to jobs", do="take `jobs` as the most"
            )


@CHECKS.substantive
def units_are_done_and_reported_once(case: ExecutorCase) -> None:
    """As many units as there are slots run to their end, and `poll` reports each once, with exit code 0.

    When they are reported, they are done: their manifests say so.
    """
    executor = case.executor(2)
    units = [case.unit("done") for _ in range(executor.slots)]
    try:
        for unit in units:
            executor.submit(unit.directory)
        codes = ended(executor, units)
    finally:
        executor.cancel()
    for unit in units:
        if codes[unit.directory] != [0] or unit.status != "done":
            raise Violation(
                f"`poll` reported {codes[unit.directory] or 'nothing'} for a unit whose status is {unit.status}",
                wanted="exit code 0, once, when it is done",
                do="wait for the process of `python -m ganbench.worker DIR` and hand on its exit code",
            )
    if strange := [path for path in codes if path not in {unit.directory for unit in units}]:
        raise Violation(
            f"`poll` reported {strange[0]}", wanted="directories as they were submitted", do="keep the path"
        )


@CHECKS.substantive
def a_unit_that_fails_has_its_code_and_hurts_no_other(case: ExecutorCase) -> None:
    """A unit that fails is reported with exit code 1, and one that runs beside it or after it is done all the same."""
    executor = case.executor(2)
    bad, good = case.unit("bad", broken=True), case.unit("good")
    try:
        codes: dict[Path, list[int]] = {}
        if executor.slots > 1:
            executor.submit(bad.directory)
            executor.submit(good.directory)
            codes = ended(executor, [bad, good])
        else:
            for unit in (bad, good):
                executor.submit(unit.directory)
                codes |= ended(executor, [unit])
    finally:
        executor.cancel()
    if codes[bad.directory] != [1]:
        raise Violation(
            f"`poll` reported {codes[bad.directory] or 'nothing'} for a unit that failed",
            wanted="exit code 1, as the worker gives it",
            do="hand on the exit code of the worker's process",
        )
    if codes[good.directory] != [0]:
        raise Violation(
            f"`poll` reported {codes[good.directory] or 'nothing'} for a unit beside one that failed",
            wanted="exit code 0",
            do="let units share nothing that a failure takes down",
        )


@CHECKS.substantive
def a_unit_that_is_asked_to_stop_stops(case: ExecutorCase) -> None:
    """`stop` ends one unit within seconds, with a checkpoint, and `poll` then reports it, not with exit code 0.

    Not applicable where a unit is over when `submit` returns.
    """
    if case.at_once:
        raise NotApplicable("its units are over when `submit` returns")
    executor, unit = case.executor(), case.unit("long", updates=10**8)
    try:
        _running(executor, unit)
        executor.stop(unit.directory)
        codes = ended(executor, [unit], _AFTER_STOP)[unit.directory]
        if not codes or codes == [0]:
            raise Violation(
                f"{_AFTER_STOP:.0f} s after `stop` it was reported with {codes or 'nothing'}; status {unit.status}",
                wanted="its end, and an exit code other than 0",
                do="send SIGTERM to the worker, and SIGKILL after some seconds",
            )
        if not unit.checkpoints():
            raise Violation(
                "the unit that was stopped left no checkpoint",
                wanted="an end by SIGTERM, on which the worker keeps what it has",
                do="send SIGTERM first",
            )
    finally:
        executor.cancel()


@CHECKS.substantive
def a_unit_that_is_killed_is_reported(case: ExecutorCase) -> None:
    """A worker that dies (killed for its memory, say) is reported with minus its signal, and the next unit is done.

    Not applicable where a unit is over when `submit` returns, or runs on another machine.
    """
    if case.at_once:
        raise NotApplicable("its units are over when `submit` returns")
    executor, unit, after = case.executor(), case.unit("killed", updates=10**8), case.unit("after")
    try:
        _running(executor, unit)
        if unit.manifest["host"] != platform.node():
            raise NotApplicable("its units run on another machine")
        os.kill(unit.manifest["pid"], signal.SIGKILL)
        codes = ended(executor, [unit], _AFTER_STOP)[unit.directory]
        if codes != [-signal.SIGKILL]:
            raise Violation(
                f"a unit whose process was killed was reported with {codes or 'nothing'}",
                wanted=f"[{-signal.SIGKILL}], minus the signal",
                do="watch the process, not only what it says",
            )
        executor.submit(after.directory)
        if ended(executor, [after])[after.directory] != [0]:
            raise Violation("the unit after it was not done", wanted="exit code 0", do="start a new process for it")
    finally:
        executor.cancel()


@CHECKS.substantive
def cancel_stops_everything(case: ExecutorCase) -> None:
    """`cancel` returns within seconds, and then nothing runs: no unit, and no process that a unit ran in.

    Called when nothing runs it does nothing.
    """
    case.executor().cancel()
    executor = case.executor()
    unit = case.unit("cancelled", updates=2 if case.at_once else 10**8)
    try:
        if case.at_once:
            executor.submit(unit.directory)
            executor.poll()
        else:
            _running(executor, unit)
        began = time.monotonic()
        executor.cancel()
        seconds = time.monotonic() - began
    except BaseException:
        with suppress(Exception):
            executor.cancel()
        raise
    manifest = unit.manifest
    local = manifest.get("host") == platform.node() and manifest["pid"] != os.getpid()
    if unit.status == "running" or (local and _alive(manifest["pid"])):
        raise Violation(
            f"after `cancel` a unit still runs (its status is {unit.status})",
            wanted="nothing that runs",
            do="stop every worker as `stop` does, and wait for it",
        )
    if seconds > _AFTER_STOP:
        raise Violation(f"`cancel` took {seconds:.0f} s", wanted="some seconds", do="kill what does not end by itself")


@CHECKS.substantive
def nothing_is_left_behind(case: ExecutorCase) -> None:
    """After `cancel`, the process that did a unit is gone, and nobody holds the unit: it can be run again."""
    executor, unit = case.executor(), case.unit("left")
    try:
        executor.submit(unit.directory)
        ended(executor, [unit])
    finally:
        executor.cancel()
    manifest = unit.manifest
    if manifest.get("host") == platform.node() and manifest["pid"] != os.getpid():
        pid = manifest["pid"]
        if not _until(lambda: not _alive(pid), 2.0):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise Violation(
                f"the process of a unit that was done still runs after `cancel` (pid {pid})",
                wanted="no processes",
                do="end the workers in `cancel`",
            )
    if not unit.claim():
        raise Violation("somebody still holds the unit's lock", wanted="a free unit", do="end what holds it")
    unit.release()
