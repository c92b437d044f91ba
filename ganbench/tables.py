"""From records on disk to tables: derived, rebuildable, and complete (a failure is a row, never a hole)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ganbench.contracts import Tables
from ganbench.errors import GanbenchError, UserError
from ganbench.records import Kind, check_event, check_manifest, check_run, check_task
from ganbench.store import read_json

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
_REFERENCES = ["dataset", "metric", "value", "samples", "note"]
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
    "directory",
]


def build(store: Store) -> Tables:
    """Read every record below `store`. Cells that an earlier plan left behind are not part of the run's tables.

    A cell or dataset whose records are not what they should be has failed, with what is wrong for its reason. Raises
    `UserError` where there is no run, or its record is damaged.
    """
    try:
        run = _checked(store.root / "run.json", check_run) or store.run()
    except _Damaged as damage:
        raise UserError(f"{store.root} cannot be reported on: {damage}") from None
    cells: list[dict[str, Any]] = []
    scores: list[dict[str, Any]] = []
    planned: dict[str, dict[str, Any]] = run["cells"]
    for name, outline in planned.items():
        cell, cell_scores = _cell(store, store.cell(name), outline, run)
        cells.append(cell)
        scores += cell_scores
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
        pd.DataFrame(scores, columns=_SCORES).astype({"value": float}),
        pd.DataFrame(references, columns=_REFERENCES).astype({"value": float}),
        pd.DataFrame(datasets, columns=_DATASETS),
    )


class _Damaged(GanbenchError):
    """A record that cannot be relied on."""


def _checked(path: Path, check: Callable[[Any], str], read: Callable[[Path], Any] = read_json) -> Any:
    """What `read` makes of the file `path`; None where there is none. Raises `_Damaged` where `check` finds fault."""
    try:
        if not os.path.lexists(path):
            return None
        # A link could lead to what is none of a report's business, and a device never ends.
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
            raise _Damaged(f"its {path.name} is no plain file of less than {_LARGEST >> 20} MiB")
        record = read(path)
    except (OSError, ValueError, RecursionError):
        record = None
    if wrong := check(record):
        raise _Damaged(f"its {path.name} is damaged: {wrong}")
    return record


def _check_events(events: list[Record] | None) -> str:
    """What is wrong with the lines of ``events.jsonl``; empty when nothing is."""
    if events is None:
        return "it has no lines of JSON"
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
        if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(store.root)):
            raise _Damaged("its directory is a link that leads out of the results folder")
        return (
            _checked(folder / task, partial(check_task, unit=kind)) or {},
            _checked(folder / "manifest.json", partial(check_manifest, unit=kind)) or {"status": "planned"},
            _checked(folder / "events.jsonl", _check_events, lambda path: unit.events()) or [],
        )
    except _Damaged as damage:
        return {}, {"status": "failed", "reason": str(damage)}, []


def distinct(budgets: Iterable[Budget | None]) -> list[Budget]:
    """Every budget once, in order."""
    return list({budget_text(budget): budget for budget in budgets if budget}.values())


def budget_text(budget: Budget) -> str:
    """``30 epochs``, ``24,000 images``."""
    return f"{budget['amount']:,.10g} {budget['unit'].replace('_', ' ')}"


def _cell(
    store: Store, unit: Unit, outline: dict[str, Any], run: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One row of `cells` and the rows of `scores` of one cell. `outline` is what the plan says of it."""
    task, manifest, events = trusted(store, unit, "cell")
    said = {field: task.get(field, outline.get(field, run.get(field))) for field in ("budget", "evaluate", "precision")}
    if outline.get("skip"):
        manifest = {"status": "skipped", "reason": outline["skip"]}
    who = {field: outline[field] for field in ("key", "variant", "dataset", "seed")}
    counters = {field: manifest.get(field) for field in ("generator_updates", "images", "epochs")}
    seconds = manifest.get("seconds", {})
    # Before parameters knew their labels, names of configurations were made like this.
    plain = {name: f"{outline['symbols'].get(name) or name}={value}" for name, value in outline["params"].items()}
    row = {
        **who,
        **counters,
        **{field: outline[field] for field in ("params", "symbols", "overrides")},
        "labels": outline.get("labels", plain),
        **said,
        "status": manifest["status"],
        "reason": manifest.get("reason") or "",
        "seconds": seconds.get("total"),
        "train_seconds": seconds.get("train"),
        "evaluate_seconds": seconds.get("evaluate"),
        "conditional": bool(manifest.get("conditional", False)),
        "code": manifest.get("code", {}),
        "unavailable": manifest.get("unavailable", {}),
        "speed": manifest.get("speed") or {},
        "directory": unit.directory,
    }
    rows = []
    for event in events:
        rows += _scores(who, "curve", event)
    for point in ("best", "last"):
        if final := manifest.get(point):
            rows += _scores(who, point, final)
    return row, rows


def _scores(who: dict[str, Any], point: str, event: dict[str, Any]) -> list[dict[str, Any]]:
    axes = {axis: event[axis] for axis in ("generator_updates", "images", "epochs", "seconds")}
    return [
        {**who, "point": point, **axes, "metric": metric, "value": value} for metric, value in event["metrics"].items()
    ]


def _dataset(dataset: str, unit: Unit, manifest: Record) -> dict[str, Any]:
    row: dict[str, Any] = {field: manifest.get(field) for field in _DATASETS}
    return {**row, "dataset": dataset, "reason": manifest.get("reason") or "", "directory": unit.directory}


def _references(dataset: str, manifest: Record) -> list[dict[str, Any]]:
    rows = [
        {"dataset": dataset, "metric": metric, "value": real["value"], "samples": real["samples"], "note": ""}
        for metric, real in manifest.get("real", {}).items()
    ]
    return rows + [
        {"dataset": dataset, "metric": metric, "value": float("nan"), "samples": 0, "note": reason}
        for metric, reason in manifest.get("unavailable", {}).items()
    ]
