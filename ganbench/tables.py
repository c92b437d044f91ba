"""From records on disk to tables: derived, rebuildable, and complete (a failure is a row, never a hole)."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ganbench.aside import halved
from ganbench.contracts import Tables
from ganbench.errors import GanbenchError, UserError
from ganbench.provenance import FACTS, of_cell, of_old
from ganbench.records import Kind, all_events, check_event, check_manifest, check_run, check_scored, check_task
from ganbench.store import json_lines, json_object

if TYPE_CHECKING:
    from ganbench.store import Record, Store, Unit

Budget = Mapping[str, Any]
_TASKS: dict[Kind, str] = {"cell": "cell.json", "reference": "task.json"}
_READERS = 8  # threads that wait for a disk or a server; with one, each file is waited for in its turn
_TASTED = 50  # cells that tell whether anything is waited for: where nothing is, threads take four times as long
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
#: What the plan says of a cell, and what is read of it; of these the values that many cells share.
_OUTLINED = ("key", "variant", "dataset", "seed", "params", "symbols", "labels", "overrides")
_READ = [name for name in _CELLS if name not in (*_OUTLINED, "directory")]
_SHARED = ("budget", "evaluate", "precision", "code", "unavailable", "components", "environment", "classes")
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
_AXES: dict[str, type] = {"generator_updates": int, "images": int, "epochs": float, "seconds": float}
_PLACE = itemgetter(*_AXES)
_REFERENCES = ["dataset", "metric", "value", "samples", "note", *(f"metric_{what}" for what in FACTS)]
_SCORED = ["dataset", "name", "source", "sha256", "samples", "resized", "metric", "value", "note"]
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
        run = _checked(_found(str(store.root), "run.json"), "run.json", check_run) or store.run()
    except _Damaged as damage:
        raise UserError(f"{store.root} cannot be reported on: {damage}") from None
    planned: dict[str, dict[str, Any]] = run["cells"]
    once = _Once()
    units = [store.cell(name) for name in planned]
    work = list(zip(units, map(once.outline, planned.values()), strict=True))
    columns: dict[str, list[Any]] = {name: [] for name in _CELLS}
    for name in _OUTLINED:
        columns[name] = [outline[name] for outline in planned.values()]
    columns["directory"] = [unit.directory for unit in units]
    scores = _Scores()
    for read, own in halved(lambda some: _read(store, run, some), work):
        for name, values in read.items():
            columns[name] += once.several(values) if name in _SHARED else values
        scores.add(own)
    references, datasets, scored = [], [], []
    wanted = {outline["dataset"]: store.reference(outline["dataset"]) for outline in planned.values()}
    for dataset, unit in sorted(wanted.items(), key=lambda item: item[1].directory):
        if os.path.lexists(unit.directory / "task.json"):
            task, manifest, _ = trusted(store, unit, "reference")
            datasets.append(_dataset(dataset, unit, manifest))
            references += _references(dataset, manifest)
            scored += _scored(store, dataset, task, manifest)
    table = pd.DataFrame(columns, dtype=None if units else object)
    if table["precision"].hasnans:  # what pandas makes of None among texts
        table["precision"] = pd.Series(columns["precision"], dtype=object)
    asked = zip(columns["budget"], columns["status"], strict=True)
    budgets = distinct(budget for budget, status in asked if status != "skipped")
    about = {name: value for name, value in run.items() if name != "cells"}  # which are a table
    return Tables(
        {**about, "budgets": budgets} if len(budgets) > 1 else about,
        table,
        scores.table(columns),
        pd.DataFrame(references, columns=_REFERENCES).astype({"value": float}),
        pd.DataFrame(datasets, columns=_DATASETS),
        pd.DataFrame(scored, columns=_SCORED).astype({"value": float}),
    )


class _Damaged(GanbenchError):
    """A record that cannot be relied on."""


_Content = bytes | _Damaged | None


def _found(folder: str, name: str) -> _Content:
    """The content of the file `name`; None where there is none; what is wrong where it cannot be a record."""
    path = f"{folder}{os.sep}{name}"  # a Path takes as long to make as the file to read
    try:
        about = os.lstat(path)
    except (OSError, ValueError):
        return None
    # A link could lead to what is none of a report's business, and a device never ends.
    if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST:
        return _Damaged(f"its {name} is no plain file of less than {_LARGEST >> 20} MiB")
    try:
        return _content(path, about.st_size)
    except OSError:
        return _Damaged(f"its {name} is damaged: it cannot be read")


def _checked(
    content: _Content,
    name: str,
    check: Callable[[Any], str],
    parsed: Callable[[bytes], Any] = json_object,
) -> Any:
    """What `parsed` makes of what was `_found`; None where there was none. Raises `_Damaged` at a fault."""
    if isinstance(content, _Damaged):
        raise content
    if content is None:
        return None
    record = parsed(content)
    if wrong := check(record):
        raise _Damaged(f"its {name} is damaged: {wrong}")
    return record


def _content(path: str, size: int) -> bytes:
    """The bytes of a file of about this size, with half of the system calls of `open`: there are 300,000 files."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        content = os.read(file, size + 1)
        while len(content) > size and (more := os.read(file, size + 1)):  # it has grown
            content += more
    finally:
        os.close(file)
    return content


def _events(content: bytes) -> list[Any] | None:
    """The lines of ``events.jsonl``; None where there are whole ones, but not one of JSON."""
    # Half a line is one that was just being written.
    return json_lines(content) or (None if b"\n" in content else [])


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
    return _judged(_contents(store, unit, kind), kind)


def _contents(store: Store, unit: Unit, kind: Kind) -> list[_Content]:
    """What was `_found` of task, manifest and events of a unit."""
    if _leads_out(unit.directory, store.root):
        return [_Damaged("its directory is a link that leads out of the results folder")] * 3
    folder = str(unit.directory)
    return [_found(folder, name) for name in (_TASKS[kind], "manifest.json", "events.jsonl")]


def _judged(contents: list[_Content], kind: Kind) -> tuple[Record, Record, list[Record]]:
    """The same as `trusted` says of the `_contents` of a unit."""
    task, manifest, events = contents
    try:
        return (
            _checked(task, _TASKS[kind], partial(check_task, unit=kind)) or {},
            _checked(manifest, "manifest.json", partial(check_manifest, unit=kind)) or {"status": "planned"},
            _checked(events, "events.jsonl", _check_events, _events) or [],
        )
    except _Damaged as damage:
        return {}, {"status": "failed", "reason": str(damage)}, []


def _leads_out(folder: Path, root: Path) -> bool:
    """Whether `folder`, two levels below `root`, is really somewhere else."""
    if not os.path.islink(folder) and not os.path.islink(os.path.dirname(folder)):
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

    def several(self, values: Iterable[Any]) -> list[Any]:
        """The same of all `values`, many of which are one object already."""
        known: dict[int, Any] = {}
        return [known[id(each)] if id(each) in known else known.setdefault(id(each), self(each)) for each in values]

    def outline(self, outline: dict[str, Any]) -> dict[str, Any]:
        """The outline of a cell, with what it shares with others."""
        if outline.get("labels") is None:
            # Before parameters knew their labels, names of configurations were made like this.
            names, symbols = outline["params"].items(), outline["symbols"]
            outline["labels"] = {name: f"{symbols.get(name) or name}={value}" for name, value in names}
        for name in ("params", "symbols", "labels", "overrides", "budget", "evaluate"):
            if name in outline:
                outline[name] = self(outline[name])
        return outline


def _ahead(store: Store, units: Sequence[Unit]) -> list[list[_Content]]:
    """The contents of each cell; by threads where they are waited for, since a disk or server answers many at once."""

    def contents(unit: Unit) -> list[_Content]:
        return _contents(store, unit, "cell")

    began, worked = time.perf_counter(), time.thread_time()
    read = list(map(contents, units[:_TASTED]))
    if time.perf_counter() - began < 2 * (time.thread_time() - worked):
        return read + list(map(contents, units[_TASTED:]))
    with ThreadPoolExecutor(_READERS) as pool:
        return read + list(pool.map(contents, units[_TASTED:]))


def _read(
    store: Store, run: dict[str, Any], work: Sequence[tuple[Unit, dict[str, Any]]]
) -> tuple[dict[str, list[Any]], _Evaluations]:
    """Of some cells, each with its outline, the columns of `cells` that are not in outlines, and all evaluations."""
    once, evaluations = _Once(), _Evaluations()
    columns: dict[str, list[Any]] = {name: [] for name in _READ}
    for contents, (_, outline) in zip(_ahead(store, [unit for unit, _ in work]), work, strict=True):
        task, manifest, events = _judged(contents, "cell")
        if outline.get("skip"):
            manifest = {"status": "skipped", "reason": outline["skip"]}
        for name in ("budget", "evaluate", "precision"):
            columns[name].append(once(task.get(name, outline.get(name, run.get(name)))))
        seconds = manifest.get("seconds", {})
        row = {
            **{name: manifest.get(name) for name in ("generator_updates", "images", "epochs")},
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
            "classes": once(manifest.get("classes") or {}),
        }
        for name, value in row.items():
            columns[name].append(value)
        finals = [(_POINTS.index(point), manifest[point]) for point in ("best", "last") if manifest.get(point)]
        evaluations.add(events, finals)
    return columns, evaluations.packed()


class _Evaluations:
    """The evaluations of some cells column by column: what a second process hands over."""

    def __init__(self) -> None:
        self.metrics: dict[str, int] = {}
        self._known: dict[tuple[str, ...], list[int]] = {}  # the same for all metrics of an evaluation
        self._counts: list[int] = []  # of evaluations, cell by cell
        self._lists: dict[str, list[Any]] = {name: [] for name in ("point", "count", "axes", "metric", "value")}
        #: Of every evaluation: its cell, its point, how many scores it has, and where on each axis it is.
        self.columns: dict[str, np.ndarray] = {}

    def add(self, events: Sequence[Record], finals: Sequence[tuple[int, Record]]) -> None:
        """Those of the next cell: the curve, and evaluations of which each has its point, an index of `_POINTS`."""
        points, counts, axes, metrics, values = self._lists.values()
        before = len(counts)
        for event in (*events, *(final for _, final in finals)):
            scores = event["metrics"]
            names = tuple(scores)
            if names not in self._known:
                known = self.metrics
                self._known[names] = [known.setdefault(metric, len(known)) for metric in names]
            counts.append(len(names))
            axes += _PLACE(event)
            metrics += self._known[names]
            values += scores.values()
        points += [0] * len(events)
        points += [point for point, _ in finals]
        self._counts.append(len(counts) - before)

    @property
    def cells(self) -> int:
        return len(self._counts)

    def packed(self) -> _Evaluations:
        """As arrays, which are small and quickly handed over."""
        kinds = {"point": np.int8, "count": int, "axes": float, "metric": int, "value": float}
        columns: dict[str, np.ndarray] = {name: np.array(self._lists.pop(name), kind) for name, kind in kinds.items()}
        places = columns.pop("axes").reshape(-1, len(_AXES)).T
        # Counts are whole numbers below 2^53, which floats hold exactly.
        columns |= {axis: place.astype(_AXES[axis]) for axis, place in zip(_AXES, places, strict=True)}
        self.columns = {"cell": np.repeat(np.arange(self.cells), self._counts), **columns}
        return self


class _Scores:
    """The table of scores in the making."""

    def __init__(self) -> None:
        self._cells = 0
        self._metrics: dict[str, int] = {}
        self._parts: list[dict[str, Any]] = []

    def add(self, part: _Evaluations) -> None:
        """The evaluations of the next cells."""
        if len(part.columns["value"]):
            places = np.array([self._metrics.setdefault(metric, len(self._metrics)) for metric in part.metrics])
            columns = part.columns
            self._parts.append({**columns, "cell": columns["cell"] + self._cells, "metric": places[columns["metric"]]})
        self._cells += part.cells

    def table(self, cells: Mapping[str, list[Any]]) -> pd.DataFrame:
        """`cells` are the columns of the table of cells."""
        if not self._parts:
            return pd.DataFrame([], columns=_SCORES).astype({"value": float})
        of = {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
        events = np.repeat(np.arange(len(of["count"])), of["count"])
        cell = of["cell"][events]
        columns: dict[str, Any] = {}
        for name in ("key", "variant", "dataset", "seed"):
            # Texts as Python's own, which the rows share: pandas would copy a key of 64 letters into every row.
            kind = int if name == "seed" else object
            columns[name] = pd.Series(np.array(cells[name], kind)[cell], dtype=kind)
        columns["point"] = pd.Series(_POINTS).array.take(of["point"][events])
        for axis in _AXES:
            columns[axis] = pd.Series(of[axis]).array.take(events)
        columns["metric"] = pd.Series(list(self._metrics)).array.take(of["metric"])
        columns["value"] = of["value"]
        return pd.DataFrame(columns, columns=_SCORES)


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


def _scored(store: Store, dataset: str, task: Record, manifest: Record) -> list[dict[str, Any]]:
    """The rows of `scored` for one dataset, of which the run says `task` and `manifest`."""
    rows: list[dict[str, Any]] = []
    for path in store.scored(dataset):
        try:
            if _leads_out(path.parent, store.root):
                raise _Damaged("its folder is a link that leads out of the results folder")
            record = _checked(_found(str(path.parent), path.name), path.name, check_scored)
            if record["dataset"] != dataset:
                raise _Damaged(f"its {path.name} is about another dataset")
        except _Damaged as damage:
            rows.append({"dataset": dataset, "name": path.stem, "value": float("nan"), "note": str(damage)})
            continue
        about = {field: record[field] for field in ("dataset", "name", "source", "sha256", "samples")}
        for metric, scored in record["metrics"].items():
            why = _other_protocol(record, metric, task, manifest)
            value = float("nan") if why else scored["value"]
            row = {**about, "resized": record.get("resized", 0), "metric": metric, "value": value, "note": why}
            rows.append(row)
    return rows


def _other_protocol(record: Record, metric: str, task: Record, manifest: Record) -> str:
    """Why a score does not compare with the run's; empty when it does."""
    scored = record["metrics"][metric]
    version, extractor = task.get("metrics", {}).get(metric), scored.get("extractor")
    digest = ((manifest.get("extractors") or {}).get(extractor) or {}).get("hash")
    if version is None:
        return "the run has no such metric"
    if version != scored["version"]:
        return f"it is of protocol version {scored['version']}, and the run has version {version}"
    if extractor and digest != scored.get("hash"):
        return f"it is by another {extractor}, {str(scored.get('hash'))[:12]} instead of {str(digest)[:12]}"
    if record["fingerprint"] != manifest.get("fingerprint"):
        return "the dataset's content was another"
    if record["reference"] != task.get("reference"):
        return f"it compares with {record['reference']}, and the run with {task.get('reference')}"
    return ""
