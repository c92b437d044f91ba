"""The events of cells in ``observers/events.csv``: a row per event, and of an evaluation a row per metric."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganbench.api import hookimpl
from ganbench_observers.log import Event, Log, evaluations, now, who

#: The same in every version of the file; new ones are added at the end.
COLUMNS = (
    "time",
    "event",
    "cell",
    "variant",
    "dataset",
    "seed",
    "generator_updates",
    "images",
    "epochs",
    "seconds",
    "metric",
    "value",
    "status",
    "reason",
)
_log = Log("events.csv", ",".join(COLUMNS) + "\n")


def _write(event: Mapping[str, Any]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_plain(event.get(column, "")) for column in COLUMNS])
    _log.write(line.getvalue())


def _plain(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _metrics(event: Event, metrics: Mapping[str, float]) -> None:
    for metric, value in metrics.items():
        _write({**event, "metric": metric, "value": value})


@hookimpl
def run_started(folder: Path) -> None:
    _log.open(folder)


@hookimpl
def cell_started(directory: Path, cell: Mapping[str, Any]) -> None:
    _write({"time": now(), "event": "started", **who(directory, cell)})


@hookimpl
def cell_progress(directory: Path, cell: Mapping[str, Any], events: list[Event]) -> None:
    for event in evaluations(directory, cell, events):
        _metrics(event, event["metrics"])


@hookimpl
def cell_finished(directory: Path, cell: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    event = {"time": now(), **who(directory, cell)}
    for point in ("best", "last"):
        if point in manifest:
            final = manifest[point]
            axes = {name: final.get(name, "") for name in ("generator_updates", "images", "epochs", "seconds")}
            _metrics({**event, "event": point, **axes}, final["metrics"])
    _write({**event, "event": "finished", "status": manifest["status"], "reason": manifest.get("reason") or ""})
