"""From records on disk to tables: derived, rebuildable, and complete (a failure is a row, never a hole)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from ganbench.contracts import Tables

if TYPE_CHECKING:
    from ganbench.store import Store, Unit

Budget = Mapping[str, Any]
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
    "unavailable",
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
    """Read every record below `store`. Cells that an earlier plan left behind are not part of the run's tables."""
    run = store.run()
    cells: list[dict[str, Any]] = []
    scores: list[dict[str, Any]] = []
    planned: dict[str, dict[str, Any]] = run["cells"]
    for name, outline in planned.items():
        unit = store.cell(name)
        cell, cell_scores = _cell(unit, outline, run)
        cells.append(cell)
        scores += cell_scores
    references, datasets = [], []
    wanted = {outline["dataset"] for outline in planned.values()}
    for unit in store.references():
        if unit.task["dataset"] in wanted:
            datasets.append(_dataset(unit))
            references += _references(unit)
    budgets = distinct(cell["budget"] for cell in cells if cell["status"] != "skipped")
    return Tables(
        {**run, "budgets": budgets} if len(budgets) > 1 else run,
        pd.DataFrame(cells, columns=_CELLS),
        pd.DataFrame(scores, columns=_SCORES).astype({"value": float}),
        pd.DataFrame(references, columns=_REFERENCES).astype({"value": float}),
        pd.DataFrame(datasets, columns=_DATASETS),
    )


def distinct(budgets: Iterable[Budget | None]) -> list[Budget]:
    """Every budget once, in order."""
    return list({budget_text(budget): budget for budget in budgets if budget}.values())


def budget_text(budget: Budget) -> str:
    """``30 epochs``, ``24,000 images``."""
    return f"{budget['amount']:,.10g} {budget['unit'].replace('_', ' ')}"


def _cell(unit: Unit, outline: dict[str, Any], run: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One row of `cells` and the rows of `scores` of one cell. `outline` is what the plan says of it."""
    manifest = unit.manifest
    task = unit.task if unit.exists else {}
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
        "unavailable": manifest.get("unavailable", {}),
        "directory": unit.directory,
    }
    rows = []
    for event in unit.events():
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


def _dataset(unit: Unit) -> dict[str, Any]:
    manifest = unit.manifest
    row: dict[str, Any] = {field: manifest.get(field) for field in _DATASETS}
    return {**row, "dataset": unit.task["dataset"], "reason": manifest.get("reason") or "", "directory": unit.directory}


def _references(unit: Unit) -> list[dict[str, Any]]:
    manifest, dataset = unit.manifest, unit.task["dataset"]
    rows = [
        {"dataset": dataset, "metric": metric, "value": real["value"], "samples": real["samples"], "note": ""}
        for metric, real in manifest.get("real", {}).items()
    ]
    return rows + [
        {"dataset": dataset, "metric": metric, "value": float("nan"), "samples": 0, "note": reason}
        for metric, reason in manifest.get("unavailable", {}).items()
    ]
