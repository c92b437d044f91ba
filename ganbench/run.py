"""``ganbench run``: what is done is skipped, what is new or was interrupted is trained, what failed is reported."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from ganbench import code, probing, shared, slots, space
from ganbench.config import DEVICE
from ganbench.contracts import Executor
from ganbench.data import data_root, fetch, lookup
from ganbench.environment import EMULATED, bf16, cores, machine
from ganbench.errors import UserError
from ganbench.estimate import Estimates, ends_after, sentence
from ganbench.executors import InlineExecutor, employ
from ganbench.observed import Observed
from ganbench.plan import Cell, Plan
from ganbench.plugins import Plugins, use
from ganbench.provenance import of_plan, of_unit
from ganbench.shards import Shard
from ganbench.shift import Limits, Shift
from ganbench.store import PLANNED, Record, Store, Unit
from ganbench.worker import lacking

_TRIED = ("failed", "oom", "timeout", "diverged")
_DONE: Record = {"status": "done"}  # all that is kept of the manifests of done cells


@dataclass(frozen=True)
class Options:
    """What the command line asks for beside the file."""

    only: Sequence[str] = ()
    shard: Shard | None = None
    jobs: int | None = None
    device: str | None = None
    executor: str | None = None  # the file's, if it names one, or ``process``
    fail_fast: bool = False
    retry: Sequence[str] = ()  # statuses, of those that ended
    stale: Literal["retrain", "keep"] | None = None
    debug: bool = False


class View(Protocol):
    """Who watches a run: a live display, or plain lines."""

    def note(self, message: str) -> None: ...
    def started(self, total: int, done: int) -> None: ...
    def running(self, units: Mapping[str, Record]) -> None: ...
    def expect(self, seconds: float | None) -> None: ...
    def finished(self, cell: Cell, manifest: Record) -> None: ...


@dataclass
class Outcome:
    """How a run ended: the cells of the plan by status, and those that did not get done, with their reasons."""

    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[Cell, Record]] = field(default_factory=list)
    trained: int = 0


def choose_device(wanted: str, *, elsewhere: bool = False) -> str:
    """``auto`` as ``cuda`` where there is a usable GPU, else ``cpu``. Raises `UserError` when the GPU is not there.

    `elsewhere`: cells run on other machines, and ``cuda`` is taken at its word.
    """
    if not re.match(DEVICE, wanted):  # the file's was checked with the file
        raise UserError(f"--device {wanted!r} is not one of auto, cpu, cuda, cuda:N")
    if elsewhere and ":" in wanted:
        raise UserError(f"device {wanted!r} is one GPU of this machine, and cells run on others; write 'cuda'")
    if elsewhere and wanted != "auto":
        return wanted
    if wanted == "cpu" or (wanted == "auto" and shutil.which("nvidia-smi") is None):
        return "cpu"  # without importing torch
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    _, _, index = wanted.partition(":")
    if wanted != "auto" and int(index or 0) >= count:
        raise UserError(f"device {wanted!r} is not there ({count} CUDA devices found); `ganbench doctor` shows what is")
    return wanted if wanted != "auto" else "cuda" if count else "cpu"


def _fetch_datasets(plan: Plan, store: Store) -> None:
    """Bring the datasets that another machine has prepared for this store."""
    if common := shared.of(store.root / "references" / "any"):
        for name, chosen in plan.datasets.items():
            fetch(name, chosen.dataset, data_root(), common)


def fingerprints(plan: Plan) -> dict[str, str]:
    """The content fingerprint of every dataset of the plan that is prepared."""
    found = {name: lookup(name, chosen.dataset, data_root()) for name, chosen in plan.datasets.items()}
    return {name: prepared.fingerprint for name, prepared in found.items() if prepared}


def selected(cells: Sequence[Cell], only: Sequence[str], shard: Shard | None = None) -> list[Cell]:
    """The cells whose variant, dataset or directory matches one of the patterns; all of them without patterns.

    With `shard`, those of them that are in it, which may be none.
    """
    if shard:
        return [cell for cell in selected(cells, only) if shard.has(cell.key)]
    if not only:
        return list(cells)
    chosen = [
        cell
        for cell in cells
        if any(fnmatch.fnmatch(name, p) for p in only for name in (cell.variant, cell.dataset, cell.directory))
    ]
    if not chosen:
        known = ", ".join(sorted({cell.variant for cell in cells} | {cell.dataset for cell in cells}))
        raise UserError(f"--only {' '.join(only)} matches no cell; variants and datasets here: {known}")
    return chosen


def state(cell: Cell, manifest: Record) -> str:
    """What a run would make of a cell: ``skipped``, its last status, or ``planned`` where there is no record."""
    return "skipped" if cell.skip else str(manifest["status"])


def looked_at(cells: Iterable[Cell], store: Store, plugins: Plugins) -> Iterator[tuple[Cell, Record, str]]:
    """Each cell with its manifest, and what changed in its variant's code since it was trained (or tried), or "".

    A manifest is read once and not kept, and only where there is a directory.
    """
    made, changes = store.made(), Changes(plugins)
    for cell in cells:
        manifest = store.cell(cell.directory).manifest if cell.directory in made else PLANNED
        yield cell, manifest, changes.since(cell, manifest)


class Changes:
    """Which cells were trained (or tried) by other code than today's."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._today: dict[str, dict[str, str]] = {}

    def since(self, cell: Cell, manifest: Record) -> str:
        """What changed in the code of the cell's variant; empty where nothing did."""
        then: dict[str, str] = manifest.get("code", {})
        if not then:
            return ""
        name = cell.variant_id
        if name not in self._today:
            self._today[name] = code.fingerprint(self._plugins.find("variants", name), self._plugins)
        return code.changed(then, self._today[name])


def run(plan: Plan, toml: str, store: Store, options: Options, view: View, plugins: Plugins) -> Outcome:
    """Bring the results folder up to the plan. Ctrl-C, SIGTERM and SIGHUP stop the workers and raise `Stopped`.

    Several runs may be at work in one folder at once: each takes the units that no other has taken.
    """
    use(plugins.named)  # those of another file may have been in use last
    chosen = plan.executor_called(options.executor)
    executor: type[Executor] = chosen.component.load()
    device = choose_device(options.device or plan.benchmark.device, elsewhere=executor.remote)
    on_unit = device.partition(":")[0]  # a worker sees only the GPU it was given
    if options.only:  # before anything is created, and while it can still be refused: does the selection match?
        selected(plan.cells({}, on_unit), options.only)

    def crew(jobs: int | None, share: int = 1) -> Executor:
        if options.debug:
            return InlineExecutor(jobs=jobs, device=device, debug=True)
        return employ(executor, chosen.params, jobs=jobs, device=device, slots_per_gpu=share)

    outline = {
        "name": plan.benchmark.name,
        "rank": plan.rank,
        "metrics": {name: {"direction": cls.direction} for name, cls in plan.metric_classes.items()},
        "budget": {"unit": plan.benchmark.budget.unit, "amount": plan.benchmark.budget.amount},
        "evaluate": plan.benchmark.evaluate.model_dump(),
        "seeds": plan.benchmark.seed_list,
        "train_on": plan.benchmark.train_on,
        "reference": plan.benchmark.reference,
        "extractors": {asked: plugins.name(component) for asked, component in plan.extractors.items()},
        "components": of_plan(plan),
    }
    with _stoppable(), closing(store):
        store.make()
        if executor.remote and (options.device or plan.benchmark.device) == "auto":
            view.note(f"device auto means {device}, as on this machine; cells run on others: write cpu or cuda")
        _fetch_datasets(plan, store)
        if device == "cpu" and plan.benchmark.precision == "bf16" and bf16() == "":
            view.note(f"{EMULATED}; fp32 is faster there")
        _prepare(plan, store, on_unit, crew, options, view)
        cells = plan.cells(fingerprints(plan), on_unit)
        training = _Training(cells, store, plan, options, view, plugins, on_unit)
        store.plan({**outline, "cells": {cell.directory: cell.outline() for cell in cells}}, toml)
        measured = any(training.todo.values()) and not (options.jobs or options.debug)
        share = slots.per_gpu(plan, store, device, view.note) if measured else 1
        outcome = training.run(crew(options.jobs, share))
        if plan.probes:
            _probe(plan, store, training.cells.values(), device, lambda: crew(options.jobs, share), view)
        return outcome


class Stopped(KeyboardInterrupt):
    """A run was stopped: by SIGINT, SIGTERM or SIGHUP (`number`), and how far it had come, if it had begun."""

    def __init__(self, number: int, outcome: Outcome | None = None) -> None:
        self.number = number
        self.outcome = outcome

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM; a closed terminal counts as SIGTERM."""
        return 130 if self.number == signal.SIGINT else 143


@contextmanager
def _stoppable() -> Iterator[None]:
    """Raise `Stopped` on the signals that mean it, but on none that this process was started to ignore (nohup)."""

    def stop(number: int, frame: object) -> None:
        if number == signal.SIGHUP:  # the terminal is gone, and nothing can be printed there
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        raise Stopped(number)

    heard = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prepare(
    plan: Plan, store: Store, on_unit: str, crew: Callable[[int | None], Executor], options: Options, view: View
) -> None:
    """Make every dataset ready: its arrays, its classifier, the references and the real rows."""
    tasks = {name: plan.reference_task(chosen, on_unit) for name, chosen in plan.datasets.items()}
    units = {name: store.reference(name) for name in tasks}

    def ready(name: str) -> bool:
        manifest = units[name].manifest
        prepared = lookup(name, plan.datasets[name].dataset, data_root())
        fingerprint = prepared.fingerprint if prepared else None
        task = units[name].task if units[name].exists else {}
        return manifest["status"] == "done" and task == tasks[name] and manifest["fingerprint"] == fingerprint

    def may_be_there(manifest: Record) -> bool:
        """What was unavailable may no longer be: weights may have been put in place."""
        return bool(manifest["unavailable"].keys() - manifest.get("inapplicable", {}).keys())

    todo = {name: unit for name, unit in units.items() if not ready(name) or may_be_there(unit.manifest)}
    attempts = {name: unit.manifest["attempt"] for name, unit in todo.items()}

    def begin(unit: Unit) -> bool:  # two runs may prepare at once
        name = next(name for name, known in units.items() if known is unit)
        if ready(name) and unit.manifest["attempt"] > attempts[name]:
            return False  # another run did it meanwhile
        if not unit.hold():
            return False
        unit.create(tasks[name])
        return True

    said: set[str] = set()

    def watch(progress: Mapping[str, Record]) -> None:
        for facts in progress.values():
            if (doing := facts.get("doing", "")) and doing not in said:
                said.add(doing)
                view.note(doing)

    if todo:
        jobs = min(options.jobs or len(todo), len(todo))
        limits = Limits(retries={"lost": plan.benchmark.retries.lost})
        Shift(crew(jobs), list(todo.values()), limits, begin, watch, note=view.note).run()
    for name, unit in todo.items():
        manifest = unit.manifest
        if manifest["status"] != "done":
            view.note(f"{name} cannot be used: {manifest['reason']}")
        for metric, reason in manifest.get("unavailable", {}).items():
            view.note(f"{metric} is unavailable on {name}: {reason}")


def _probe(
    plan: Plan, store: Store, cells: Iterable[Cell], device: str, crew: Callable[[], Executor], view: View
) -> None:
    """Carry out the plan's probes on the best cells. One that cannot be is a note, and fails no run."""
    chosen = [(cell.directory, cell.variant, cell.dataset) for cell in cells if not cell.skip]
    tasks: dict[Path, Record] = {}
    units: list[Unit] = []
    for cell in probing.best_cells(store, plan.rank, chosen):
        store.complete(cell.directory)
        for probe in plan.probes:
            try:
                unit, task = probing.unit_of(store, cell, probe, device.partition(":")[0])
            except UserError as error:
                view.note(f"{probe.name}: {error}")
                continue
            if unit.manifest["status"] not in ("done", "skipped"):
                tasks[unit.directory] = task
                units.append(unit)
    if not tasks:
        return
    view.note(f"carrying out {len(tasks)} probe{'s' * (len(tasks) > 1)} on the best cells")

    def begin(unit: Unit) -> bool:
        if not unit.hold():
            return False
        unit.create(tasks[unit.directory])
        return True

    def ended(unit: Unit, manifest: Record) -> bool:
        task = tasks[unit.directory]
        if manifest["status"] != "done":
            what = f"probe {task['probe']['name']} of {task['variant']} on {task['dataset']}"
            view.note(f"{what} is {manifest['status']}: {manifest.get('reason') or 'see its log.txt'}")
        return False

    benchmark = plan.benchmark
    limits = Limits(benchmark.timeout.minutes if benchmark.timeout else None, {"lost": benchmark.retries.lost})
    Shift(crew(), units, limits, begin, lambda units: None, ended, view.note).run()


class _Training:
    """The cells of a plan that are chosen: which of them want work, the work, and what came of it."""

    def __init__(
        self, cells: list[Cell], store: Store, plan: Plan, options: Options, view: View, plugins: Plugins, on_unit: str
    ) -> None:
        """Raises `UserError` when cells are stale and the options do not say what to do with them."""
        self.store, self.plan, self.options, self.view, self.plugins = store, plan, options, view, plugins
        self.cells = {cell.directory: cell for cell in selected(cells, options.only, options.shard)}
        self.references = {name: store.reference(name).manifest for name in {cell.dataset for cell in cells}}
        self.changes, self.observed = Changes(plugins), Observed(plugins)
        self.trained = 0
        self.retrained: set[str] = set()  # to be set aside and trained again
        self.attempts: dict[str, int] = {}
        self.todo: dict[str, bool] = {}  # what wants work -> whether that is training
        self.manifests: dict[str, Record] = {}  # of what is done and wants none, and of what has ended
        self.estimates = Estimates(on_unit)
        self.learnt, self.rested = True, 0.0  # whether there are records that the order does not know, and until when
        found: list[str] = []
        for cell, manifest, what in looked_at(cells, store, plugins):
            name, done = cell.directory, manifest["status"] == "done"
            if done:
                self.estimates.add_cell(cell, manifest)
            if name not in self.cells:
                continue
            if done and what:
                found.append(what)
                if options.stale == "retrain":
                    self.retrained.add(name)
            self.attempts[name] = manifest["attempt"]
            if self._wants(cell, manifest):
                self.todo[name] = not done or name in self.retrained
            elif done:
                self.manifests[name] = _DONE
        if self.todo:
            self.estimates.add_former(store, cells)
        if found and options.stale is None:
            count = f"{len(found)} done cells were" if len(found) > 1 else "1 done cell was"
            raise UserError(
                f"{count} trained by other code than today's ({found[0]}): "
                "--stale retrain trains again (and keeps the old records in retired/), --stale keep leaves them"
            )

    def _wants(self, cell: Cell, manifest: Record) -> bool:
        """Whether there is something to do for a cell, as its manifest says."""
        reference = self.references[cell.dataset]
        if cell.skip or reference["status"] != "done":
            return False
        if cell.directory in self.retrained:
            return True
        if manifest["status"] == "done":
            return bool(set(lacking(manifest, self.plan.metric_versions)) - set(reference["unavailable"]))
        if manifest["attempt"] > self.attempts[cell.directory]:
            return manifest["status"] not in _TRIED  # another run has tried it since this one was started
        if manifest["status"] not in _TRIED or manifest.get("cause") in ("dataset", "plugin"):
            return True
        if self.store.cell(cell.directory).task != cell.task or manifest["status"] in self.options.retry:
            return True
        return bool(self.changes.since(cell, manifest))

    def run(self, executor: Executor) -> Outcome:
        """Train what is not done, and score again what lacks a metric."""
        todo = [self.store.cell(name) for name in self.todo]
        if self._without_dataset() and self.options.fail_fast:
            todo.clear()
        if self.estimates.device == "cpu":
            self.estimates.machine = machine(max(1, cores() // executor.slots))
        todo.sort(key=self._order, reverse=True)
        if not self.options.debug:
            specs = {name: chosen.spec for name, chosen in self.plan.datasets.items()}
            tasks = [self.cells[unit.directory.name].task for unit in todo if self.todo[unit.directory.name]]
            space.check(self.store.root, space.estimate(tasks, specs.get, executor.slots))
        self.view.started(len(self.cells), len(self.cells) - len(todo))
        if self.estimates.count and any(self.todo.values()):
            new = [self.cells[name] for name, training in self.todo.items() if training]
            self.view.note(sentence(new, self.estimates, executor.slots))
        self.plugins.notify("run_started", folder=self.store.root, cells=len(todo))
        benchmark = self.plan.benchmark
        limits = Limits(benchmark.timeout.minutes if benchmark.timeout else None, benchmark.retries.model_dump())
        self.shift = Shift(executor, todo, limits, self._begin, self._watch, self._ended, self.view.note)
        try:
            self.shift.run()
        except Stopped as stop:
            stop.outcome = self._outcome()
            self.plugins.notify("run_finished", folder=self.store.root, statuses=dict(stop.outcome.statuses))
            raise
        outcome = self._outcome()
        self.plugins.notify("run_finished", folder=self.store.root, statuses=dict(outcome.statuses))
        return outcome

    def _without_dataset(self) -> bool:
        """Write down that cells cannot be trained for lack of their dataset; whether there are any."""
        found = False
        for name, cell in self.cells.items():
            reference = self.references[cell.dataset]
            if cell.skip or reference["status"] == "done":
                continue
            unit = self.store.cell(name)
            if unit.status != "done" and unit.claim():
                if unit.hold():
                    unit.create(cell.task)
                    reason = f"{cell.dataset} cannot be used: {reference.get('reason', '')}"
                    made = of_unit(cell.task, self.plugins)
                    unit.update(status="failed", reason=reason, cause="dataset", components=made)
                    found = True
                unit.release()
        return found

    def _begin(self, unit: Unit) -> bool:
        """Make a cell that this run has taken ready for its worker; False where it is no longer wanted."""
        name = unit.directory.name
        cell, manifest = self.cells[name], PLANNED if unit.fresh else unit.manifest
        if not self._wants(cell, manifest) or not unit.hold():
            return False
        if name in self.retrained:
            self.store.retire(unit)
            self.retrained.remove(name)
            if not unit.hold():  # in a store the claim went with the records
                return False
            manifest = PLANNED
        unit.create(cell.task)
        self.trained += manifest["status"] != "done"
        self.observed.started(unit)
        return True

    def _ended(self, unit: Unit, manifest: Record) -> bool:
        """Tell of a cell that has ended; whether the run shall end with it."""
        cell = self.cells[unit.directory.name]
        self.manifests[cell.directory] = _DONE if manifest["status"] == "done" else manifest
        if manifest["status"] == "done":
            self.estimates.add_cell(cell, manifest)
            self.learnt = True
            self._reorder()
        self.view.finished(cell, manifest)
        self.observed.finished(unit, manifest)
        return self.options.fail_fast and manifest["status"] != "done"

    def _outcome(self) -> Outcome:
        outcome = Outcome(trained=self.trained)
        for cell in self.cells.values():
            name = cell.directory
            # What ended in this run, or was done before it, stays so; all else may have changed, by another run too.
            manifest = self.manifests.get(name) or self.store.cell(name).manifest
            status = state(cell, manifest)
            outcome.statuses[status] += 1
            if status not in ("done", "skipped"):
                outcome.failures.append((cell, manifest))
        return outcome

    def _order(self, unit: Unit) -> float:
        """Longest first; what is only scored again comes last."""
        name = unit.directory.name
        return self.estimates.order(self.cells[name]) if self.todo[name] else 0.0

    def _reorder(self) -> None:
        """Put what waits in the order of what is known by now, and tell when all will be done.

        Of a hundred thousand cells that takes a second: it is done again only after fifty times as long.
        """
        began = time.monotonic()
        if not self.learnt or began < self.rested:
            return
        self.learnt = False
        self.shift.waiting = deque(sorted(self.shift.waiting, key=self._order, reverse=True))
        busy = []
        for running in self.shift.running.values():
            spent = self.shift.progress.get(running.unit.directory.name, {}).get("spent", 0.0)
            busy.append(self._order(running.unit) * (1.0 - spent))
        left = ends_after(map(self._order, self.shift.waiting), self.shift.executor.slots, busy)
        self.view.expect(left if left < float("inf") else None)
        self.rested = time.monotonic() + 50 * (time.monotonic() - began)

    def _watch(self, units: Mapping[str, Record]) -> None:
        for unit in self.shift.seen:
            self.observed.look(unit, units.get(unit.directory.name, {}))
        self._reorder()
        self.view.running(units)
