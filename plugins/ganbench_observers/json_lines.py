"""Every event of a run as a line of JSON in ``observers/events.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganbench.api import hookimpl
from ganbench_observers.log import Event, Log, evaluations, now, who

_log = Log("events.jsonl")


def _write(event: Mapping[str, Any]) -> None:
    _log.write(json.dumps(event) + "\n")


@hookimpl
def run_started(folder: Path, cells: int) -> None:
    _log.open(folder)
    _write({"time": now(), "event": "run_started", "cells": cells})


@hookimpl
def cell_started(directory: Path, cell: Mapping[str, Any]) -> None:
    _write({"time": now(), "event": "cell_started", **who(directory, cell), "params": cell["params"]})


@hookimpl
def cell_progress(directory: Path, cell: Mapping[str, Any], events: list[Event]) -> None:
    for event in evaluations(directory, cell, events):
        _write(event)


@hookimpl
def cell_finished(directory: Path, cell: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    facts = {name: manifest.get(name) for name in ("status", "reason")}
    for point in ("best", "last"):
        if point in manifest:
            facts[point] = {name: manifest[point][name] for name in ("generator_updates", "metrics")}
    _write({"time": now(), "event": "cell_finished", **who(directory, cell), **facts})


@hookimpl
def run_finished(statuses: Mapping[str, int]) -> None:
    _write({"time": now(), "event": "run_finished", "statuses": statuses})
