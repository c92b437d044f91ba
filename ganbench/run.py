"""``ganbench run``: what is done is skipped, what is new or was interrupted is trained, what failed is reported."""

from __future__ import annotations

import fnmatch
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ganbench.config import DEVICE
from ganbench.contracts import Executor
from ganbench.data import data_root, lookup
from ganbench.errors import UserError
from ganbench.plan import Cell, Plan
from ganbench.plugins import Plugins
from ganbench.store import Record, Store, Unit
from ganbench.worker import lacking

_POLL = 0.1  # seconds between looks at the running units
_TRIED = ("failed", "oom", "timeout", "diverged")


@dataclass(frozen=True)
class Options:
    """What the command line asks for beside the file."""

    only: Sequence[str] = ()
    jobs: int | None = None
    device: str | None = None
    executor: str = "process"
    fail_fast: bool = False
    retry: bool = False


class View(Protocol):
    """Who watches a run: a live display, or plain lines."""

    def note(self, message: str) -> None: ...
    def started(self, total: int, done: int) -> None: ...
    def running(self, units: Mapping[str, Record]) -> None: ...
    def finished(self, cell: Cell, manifest: Record) -> None: ...


@dataclass
class Outcome:
    """How a run ended: the cells of the plan by status, and those that did not get done, with their reasons."""

    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[Cell, Record]] = field(default_factory=list)
    trained: int = 0


def choose_device(wanted: str) -> str:
    """``auto`` as ``cuda`` where there is a usable GPU, else ``cpu``. Raises `UserError` when the GPU is not there."""
    if not re.match(DEVICE, wanted):  # the file's was checked with the file
        raise UserError(f"--device {wanted!r} is not one of auto, cpu, cuda, cuda:N")
    if wanted == "cpu" or (wanted == "auto" and shutil.which("nvidia-smi") is None):
        return "cpu"  # without importing torch
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    _, _, index = wanted.partition(":")
    if wanted != "auto" and int(index or 0) >= count:
        raise UserError(f"device {wanted!r} is not there ({count} CUDA devices found); `ganbench doctor` shows what is")
    return wanted if wanted != "auto" else "cuda" if count else "cpu"


def fingerprints(plan: Plan) -> dict[str, str]:
    """The content fingerprint of every dataset of the plan that is prepared."""
    found = {name: lookup(name, chosen.dataset, data_root()) for name, chosen in plan.datasets.items()}
    return {name: prepared.fingerprint for name, prepared in found.items() if prepared}


def selected(cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """The cells whose variant, dataset or directory matches one of the patterns; all of them without patterns."""
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


def state(cell: Cell, store: Store) -> str:
    """What a run would make of a cell: ``skipped``, its last status, or ``planned`` where there is no record."""
    return "skipped" if cell.skip else store.cell(cell.directory).status


def run(plan: Plan, toml: str, store: Store, options: Options, view: View, plugins: Plugins) -> Outcome:
    """Bring the results folder up to the plan. Ctrl-C and SIGTERM stop the workers and raise `KeyboardInterrupt`."""
    device = choose_device(options.device or plan.benchmark.device)
    executor: type[Executor] = plugins.find("executors", options.executor).load()
    on_unit = device.partition(":")[0]  # a worker sees only the GPU it was given
    # Before anything is created, and while it can still be refused: does the selection match?
    selected(plan.cells({}, on_unit), options.only)
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
    }
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        with store.open():
            _prepare(plan, store, on_unit, device, executor, options, view)
            cells = plan.cells(fingerprints(plan), on_unit)
            store.plan({**outline, "cells": {cell.directory: cell.outline() for cell in cells}}, toml)
            return _train(cells, store, device, executor, options, view, plugins)
    finally:
        signal.signal(signal.SIGTERM, before)


class Terminated(KeyboardInterrupt):
    """SIGTERM: the same as Ctrl-C, but for the exit code."""


def _terminated(number: int, frame: object) -> None:
    raise Terminated


def _prepare(
    plan: Plan, store: Store, on_unit: str, device: str, executor: type[Executor], options: Options, view: View
) -> None:
    """Make every dataset ready: its arrays, its classifier, the references and the real rows."""
    todo: list[Unit] = []
    for name, chosen in plan.datasets.items():
        unit, task = store.reference(name), plan.reference_task(chosen, on_unit)
        prepared = lookup(name, chosen.dataset, data_root())
        fingerprint = prepared.fingerprint if prepared else None
        manifest = unit.manifest
        ready = manifest["status"] == "done" and unit.task == task and manifest["fingerprint"] == fingerprint
        # What was unavailable may no longer be: weights may have been put in place.
        if not ready or manifest["unavailable"]:
            unit.create(task)
            todo.append(unit)
    if todo:
        jobs = min(options.jobs or len(todo), len(todo))
        said: set[str] = set()

        def watch(units: Mapping[str, Record]) -> None:
            for progress in units.values():
                if (doing := progress.get("doing", "")) and doing not in said:
                    said.add(doing)
                    view.note(doing)

        _execute(executor(jobs=jobs, device=device), todo, watch, lambda unit: False)
    for unit in todo:
        manifest = unit.manifest
        if manifest["status"] != "done":
            view.note(f"{unit.task['dataset']} cannot be used: {manifest['reason']}")
        for metric, reason in manifest.get("unavailable", {}).items():
            view.note(f"{metric} is unavailable on {unit.task['dataset']}: {reason}")


def _train(
    cells: list[Cell],
    store: Store,
    device: str,
    executor: type[Executor],
    options: Options,
    view: View,
    plugins: Plugins,
) -> Outcome:
    """Train what is not done, and score again what lacks a metric."""
    chosen = {cell.directory: cell for cell in selected(cells, options.only)}
    todo: list[Unit] = []
    stopped = False
    for name, cell in chosen.items():
        unit, reference = store.cell(name), store.reference(cell.dataset).manifest
        if cell.skip or (unit.status in _TRIED and not options.retry and unit.task == cell.task):
            continue
        if reference["status"] != "done":
            if unit.status != "done":
                unit.create(cell.task)
                unit.update(status="failed", reason=f"{cell.dataset} cannot be used: {reference.get('reason', '')}")
                stopped = options.fail_fast
        elif unit.status != "done" or set(lacking(unit.manifest, cell.task["metrics"])) - set(reference["unavailable"]):
            unit.create(cell.task)
            todo.append(unit)

    if stopped:
        todo.clear()

    outcome = Outcome(trained=sum(unit.status != "done" for unit in todo))
    seconds = _known_seconds(cells, store)
    todo.sort(key=lambda unit: -seconds.get((unit.task["variant"], unit.task["dataset"]), float("inf")))
    crew = executor(jobs=options.jobs, device=device)
    view.started(len(chosen), len(chosen) - len(todo))
    plugins.notify("run_started", folder=store.root, cells=len(todo))

    def ended(unit: Unit) -> bool:
        manifest = unit.manifest
        view.finished(chosen[unit.directory.name], manifest)
        plugins.notify("cell_finished", directory=unit.directory, cell=unit.task, manifest=manifest)
        return options.fail_fast and manifest["status"] != "done"

    def begun(unit: Unit) -> None:
        plugins.notify("cell_started", directory=unit.directory, cell=unit.task)

    if todo:
        _execute(crew, todo, view.running, ended, begun)
    for cell in chosen.values():
        status = state(cell, store)
        outcome.statuses[status] += 1
        if status not in ("done", "skipped"):
            outcome.failures.append((cell, store.cell(cell.directory).manifest))
    plugins.notify("run_finished", folder=store.root, statuses=dict(outcome.statuses))
    return outcome


def _execute(
    executor: Executor,
    todo: Sequence[Unit],
    watch: Callable[[Mapping[str, Record]], None],
    ended: Callable[[Unit], bool],
    begun: Callable[[Unit], None] = lambda unit: None,
) -> None:
    """Run all units, `slots` at a time. `ended` says whether to stop; then, as on Ctrl-C, what runs is interrupted."""
    waiting, running = list(todo), dict[Path, Unit]()
    try:
        while waiting or running:
            while waiting and len(running) < executor.slots:
                unit = waiting.pop(0)
                running[unit.directory] = unit
                begun(unit)
                executor.submit(unit.directory)
            for directory, code in executor.poll():
                unit = running.pop(directory)
                _close(unit, code)
                if ended(unit):
                    return
            watch({unit.directory.name: unit.progress() for unit in running.values()})
            time.sleep(_POLL)
    finally:
        executor.cancel()
        for unit in running.values():
            _close(unit, None)


def _close(unit: Unit, code: int | None) -> None:
    """Give a unit whose process is gone without a word its status. `code` None: it was cancelled."""
    if unit.status not in ("running", "planned"):
        return
    if code is None:
        unit.update(status="interrupted", reason="stopped by the user")
    elif code < 0:
        name = signal.Signals(-code).name
        hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
        unit.update(status="failed", reason=f"its process was killed by {name}{hint}; see log.txt")
    else:
        unit.update(status="failed", reason=f"its process ended with exit code {code} before it was done; see log.txt")
    unit.progress({})


def _known_seconds(cells: Sequence[Cell], store: Store) -> dict[tuple[str, str], float]:
    """How long cells of a variant on a dataset took, from those that are done."""
    known: dict[tuple[str, str], Any] = {}
    for cell in cells:
        manifest = store.cell(cell.directory).manifest
        if manifest["status"] == "done":
            known[cell.variant, cell.dataset] = manifest["seconds"]["total"]
    return known
