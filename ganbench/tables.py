"""From records on disk to tables: derived, rebuildable, and complete (a failure is a row, never a hole)."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ganbench.aside import halved
from ganbench.contracts import Tables
from ganbench.errors import GanbenchError, UserError
from ganbench.provenance import FACTS, of_cell, of_old
from ganbench.records import Kind, all_events, check_event, check_manifest, check_run, check_task
from ganbench.store import read_json, read_lines

if TYPE_CHECKING:
    from ganbench.store import Record, Store, Unit

Budget = Mapping[str, Any]
_LARGEST = 2**28  # bytes of a file of records; real ones are a thousand times smaller
_CELLS = [
    "key",
    "variant",
    "dataset",
    "seed",
    "status",
    "reason",
    "params",
    "symbols",
    "labels",
    "overrides",
    "budget",
    "evaluate",
    "precision",
    "generator_updates",
    "images",
    "epochs",
    "seconds",
    "train_seconds",
    "evaluate_seconds",
    "conditional",
    "code",
    "unavailable",
    "speed",
    "components",
    "environment",
    "classes",
    "directory",
]
_SCORES = [
    "key",
    "variant",
    "dataset",
    "seed",
    "point",
    "generator_updates",
    "images",
    "epochs",
    "seconds",
    "metric",
    "value",
]
_POINTS = ["curve", "best", "last"]
_AXES = ("generator_updates", "images", "epochs", "seconds")
_REFERENCES = ["dataset", "metric", "value", "samples", "note", *(f"metric_{what}" for what in FACTS)]
_DATASETS = [
    "dataset",
    "status",
    "reason",
    "shape",
    "classes",
    "train",
    "test",
    "fingerprint",
    "extractors",
    "components",
    "baselines",
    "directory",
]


def build(store: Store) -> Tables:
    """Read every record below `store`. Cells that an earlier plan left behind are not part of the run's tables.

    A cell or dataset whose records are not what they should be has failed, with what is wrong for its reason. Raises
    `UserError` where there is no run, or its record is damaged.
    """
    try:
        run = _checked(store.root, "run.json", check_run) or store.run()
    except _Damaged as damage:
        raise UserError(f"{store.root} cannot be reported on: {damage}") from None
    cells: list[dict[str, Any]] = []
    scores, once = _Scores(), _Once()
    planned: dict[str, dict[str, Any]] = run["cells"]
    units = [store.cell(name) for name in planned]
    reading = halved(lambda unit: trusted(store, unit, "cell"), units)
    for unit, read, outline in zip(units, reading, planned.values(), strict=True):
        cells.append(_cell(unit, read, once.outline(outline), run, scores, once))
    references, datasets = [], []
    wanted = {outline["dataset"]: store.reference(outline["dataset"]) for outline in planned.values()}
    for dataset, unit in sorted(wanted.items(), key=lambda item: item[1].directory):
        if os.path.lexists(unit.directory / "task.json"):
            manifest = trusted(store, unit, "reference")[1]
            datasets.append(_dataset(dataset, unit, manifest))
            references += _references(dataset, manifest)
    table = pd.DataFrame(cells, columns=_CELLS)
    if table["precision"].hasnans:  # what pandas makes of None among texts
        table["precision"] = pd.Series([cell["precision"] for cell in cells], dtype=object)
    budgets = distinct(cell["budget"] for cell in cells if cell["status"] != "skipped")
    return Tables(
        {**run, "budgets": budgets} if len(budgets) > 1 else run,
        table,
        scores.table(),
        pd.DataFrame(references, columns=_REFERENCES).astype({"value": float}),
        pd.DataFrame(datasets, columns=_DATASETS),
    )


class _Damaged(GanbenchError):
    """A record that cannot be relied on."""


def _checked(folder: Path, name: str, check: Callable[[Any], str], read: Callable[[str], Any] = read_json) -> Any:
    """What `read` makes of the file `name`; None where there is none. Raises `_Damaged` where `check` finds fault."""
    path = f"{folder}{os.sep}{name}"  # a Path takes as long to make as the file to read
    try:
        about = os.lstat(path)
    except (OSError, ValueError):
        return None
    # A link could lead to what is none of a report's business, and a device never ends.
    if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST:
        raise _Damaged(f"its {name} is no plain file of less than {_LARGEST >> 20} MiB")
    try:
        record = read(path)
    except OSError:
        record = None
    if wrong := check(record):
        raise _Damaged(f"its {name} is damaged: {wrong}")
    return record


def _events(path: str) -> list[Any] | None:
    """The lines of ``events.jsonl``; None where there are whole ones, but not one of JSON."""
    events = read_lines(path)
    if not events:
        with open(path, "rb") as file:
            return None if b"\n" in file.read() else []  # of a line that was just being written
    return events


def _check_events(events: list[Record] | None) -> str:
    """What is wrong with the lines of ``events.jsonl``; empty when nothing is."""
    if events is None:
        return "it has no lines of JSON"
    if all_events(events) and all(b["generator_updates"] > a["generator_updates"] for a, b in pairwise(events)):
        return ""
    updates = -1
    for number, event in enumerate(events, 1):
        if wrong := check_event(event):
            return f"line {number}: {wrong}"
        if event["generator_updates"] <= updates:
            return f"line {number}: generator_updates should be more than in the line before"
        updates = event["generator_updates"]
    return ""


def trusted(store: Store, unit: Unit, kind: Kind) -> tuple[Record, Record, list[Record]]:
    """Task (empty where there is none), manifest and events of a unit that anybody may have written.

    Where one of them is damaged, there is nothing but a manifest that says what is wrong as the reason of a failure.
    """
    task, folder = "cell.json" if kind == "cell" else "task.json", unit.directory
    try:
        if _leads_out(folder, store.root):
            raise _Damaged("its directory is a link that leads out of the results folder")
        return (
            _checked(folder, task, partial(check_task, unit=kind)) or {},
            _checked(folder, "manifest.json", partial(check_manifest, unit=kind)) or {"status": "planned"},
            _checked(folder, "events.jsonl", _check_events, _events) or [],
        )
    except _Damaged as damage:
        return {}, {"status": "failed", "reason": str(damage)}, []


def _leads_out(folder: Path, root: Path) -> bool:
    """Whether `folder`, two levels below `root`, is really somewhere else."""
    if not os.path.islink(folder) and not os.path.islink(folder.parent):
        return False
    return not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root))


def distinct(budgets: Iterable[Budget | None]) -> list[Budget]:
    """Every budget once, in order."""
    return list({budget_text(budget): budget for budget in budgets if budget}.values())


def budget_text(budget: Budget) -> str:
    """``30 epochs``, ``24,000 images``."""
    return f"{budget['amount']:,.10g} {budget['unit'].replace('_', ' ')}"


class _Once:
    """Values that are the same in many cells (the parameters of all seeds) kept once: 100,000 cells take gigabytes."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __call__(self, value: Any) -> Any:
        return self._known.setdefault(repr(value), value)  # which tells 1, 1.0 and True from each other

    def outline(self, outline: dict[str, Any]) -> dict[str, Any]:
        """The outline of a cell, with what it shares with others."""
        for name in ("params", "symbols", "labels", "overrides", "budget", "evaluate"):
            if name in outline:
                outline[name] = self(outline[name])
        return outline


class _Scores:
    """The table of scores in the making, column by column."""

    def __init__(self) -> None:
        self._cells: list[Mapping[str, Any]] = []
        # Of every evaluation: its cell, its point, how many scores it has, and where on each axis it is.
        self._cell, self._point, self._count = array("l"), array("b"), array("l")
        self._axes: dict[str, list[float]] = {axis: [] for axis in _AXES}
        self._metrics: dict[str, int] = {}
        self._known: dict[tuple[str, ...], array[int]] = {}  # the same for all metrics of an evaluation
        self._metric, self._value = array("l"), array("d")

    def add(self, cell: Mapping[str, Any], events: Iterable[tuple[int, Record]]) -> None:
        """The evaluations of a cell, each with its point as an index of `_POINTS`."""
        number = len(self._cells)
        self._cells.append(cell)
        for point, event in events:
            metrics = event["metrics"]
            if not metrics:
                continue
            self._cell.append(number)
            self._point.append(point)
            self._count.append(len(metrics))
            for axis, positions in self._axes.items():
                positions.append(event[axis])
            names = tuple(metrics)
            if names not in self._known:
                known = self._metrics
                self._known[names] = array("l", [known.setdefault(metric, len(known)) for metric in names])
            self._metric.extend(self._known[names])
            self._value.extend(metrics.values())

    def table(self) -> pd.DataFrame:
        if not self._value:
            return pd.DataFrame([], columns=_SCORES).astype({"value": float})
        events = np.repeat(np.arange(len(self._count)), self._count)
        cell = np.asarray(self._cell)[events]
        columns: dict[str, Any] = {}
        for name in ("key", "variant", "dataset", "seed"):
            # Texts as Python's own, which the rows share: pandas would copy a key of 64 letters into every row.
            kind = int if name == "seed" else object
            columns[name] = pd.Series(np.array([cell[name] for cell in self._cells], kind)[cell], dtype=kind)
        columns["point"] = pd.Series(_POINTS).array.take(np.asarray(self._point)[events])
        for axis, positions in self._axes.items():
            columns[axis] = pd.Series(positions).array.take(events)
        columns["metric"] = pd.Series(list(self._metrics)).array.take(np.asarray(self._metric))
        columns["value"] = np.asarray(self._value)
        return pd.DataFrame(columns, columns=_SCORES)


def _cell(
    unit: Unit,
    read: tuple[Record, Record, list[Record]],
    outline: dict[str, Any],
    run: dict[str, Any],
    scores: _Scores,
    once: _Once,
) -> dict[str, Any]:
    """One row of `cells`; its scores are added to `scores`. `outline` is what the plan says of the cell."""
    task, manifest, events = read
    said = {
        field: once(task.get(field, outline.get(field, run.get(field))))
        for field in ("budget", "evaluate", "precision")
    }
    if outline.get("skip"):
        manifest = {"status": "skipped", "reason": outline["skip"]}
    who = {field: outline[field] for field in ("key", "variant", "dataset", "seed")}
    counters = {field: manifest.get(field) for field in ("generator_updates", "images", "epochs")}
    seconds = manifest.get("seconds", {})
    if (labels := outline.get("labels")) is None:
        # Before parameters knew their labels, names of configurations were made like this.
        labels = {name: f"{outline['symbols'].get(name) or name}={value}" for name, value in outline["params"].items()}
    row = {
        **who,
        **counters,
        **{field: outline[field] for field in ("params", "symbols", "overrides")},
        "labels": labels,
        **said,
        "status": manifest["status"],
        "reason": manifest.get("reason") or "",
        "seconds": seconds.get("total"),
        "train_seconds": seconds.get("train"),
        "evaluate_seconds": seconds.get("evaluate"),
        "conditional": bool(manifest.get("conditional", False)),
        "code": once(manifest.get("code", {})),
        "unavailable": once(manifest.get("unavailable", {})),
        "speed": manifest.get("speed") or {},
        "components": once(_components(task, manifest, outline, run)),
        "environment": once(manifest.get("environment") or {}),
        "classes": manifest.get("classes") or {},
        "directory": unit.directory,
    }
    finals = [(_POINTS.index(point), manifest[point]) for point in ("best", "last") if manifest.get(point)]
    scores.add(who, [*((0, event) for event in events), *finals])
    return row


def _components(task: Record, manifest: Record, outline: Record, run: Record) -> Record:
    """What a cell was made by, or is going to be."""
    if made := manifest.get("components"):
        return dict(made)
    return of_cell(outline, run) if manifest["status"] in ("planned", "skipped") else of_old(task, manifest)


def _dataset(dataset: str, unit: Unit, manifest: Record) -> dict[str, Any]:
    row: dict[str, Any] = {field: manifest.get(field) for field in _DATASETS}
    row["components"] = manifest.get("components") or {}
    row["baselines"] = manifest.get("baselines") or {}
    return {**row, "dataset": dataset, "reason": manifest.get("reason") or "", "directory": unit.directory}


def _references(dataset: str, manifest: Record) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"dataset": dataset, "metric": metric, "value": real["value"], "samples": real["samples"], "note": ""}
        for metric, real in manifest.get("real", {}).items()
    ]
    rows += [
        {"dataset": dataset, "metric": metric, "value": float("nan"), "samples": 0, "note": reason}
        for metric, reason in manifest.get("unavailable", {}).items()
    ]
    metrics = manifest.get("components", {}).get("metrics", {})
    return [{**row, **{f"metric_{what}": metrics.get(row["metric"], {}).get(what) for what in FACTS}} for row in rows]
