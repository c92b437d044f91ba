"""What observers are told of cells while they run: from their records, and of every evaluation once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from ganbench.plugins import Plugins
from ganbench.store import Record, Unit


@dataclass
class _Seen:
    """What is known of one running cell."""

    cell: Record
    told: dict[str, set[str]]  # plugin -> the evaluations that it knows
    written: tuple[int, int] = (0, 0)  # size and time of the events that were read last
    events: list[Record] = field(default_factory=list)
    progress: Record = field(default_factory=dict)


class Observed:
    """The cells of a run as observers see them, in the main process.

    Which plugin was told of which evaluation is written down in the cell's directory, so that none hears of one twice
    when the cell is interrupted and goes on in another run, and one that is new hears of those before it.
    """

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._cells: dict[Path, _Seen] = {}
        hooks = ("cell_started", "cell_progress", "cell_finished")
        self._anybody = any(plugins.watchers(hook) for hook in hooks)

    def started(self, unit: Unit) -> None:
        """A cell was handed out."""
        if not self._anybody:
            return
        cell = unit.task
        told: dict[str, set[str]] = {}
        for plugin, mark in unit.told() if self._plugins.watchers("cell_progress") else ():
            told.setdefault(plugin, set()).add(mark)
        self._cells[unit.directory] = _Seen(cell, told)
        self._plugins.notify("cell_started", directory=unit.directory, cell=cell)

    def look(self, unit: Unit, progress: Record) -> None:
        """Tell what is new of a cell."""
        seen, watchers = self._cells.get(unit.directory), self._plugins.watchers("cell_progress")
        if seen is None or not watchers:
            return
        written = unit.events_written()
        if written == seen.written and progress == seen.progress:
            return
        if written != seen.written:
            seen.events, seen.written = unit.events(), written
        moved, seen.progress = progress != seen.progress, progress
        marks = [_mark(event) for event in seen.events]
        for plugin in watchers:
            known = seen.told.setdefault(plugin.name, set())
            new = [number for number, mark in enumerate(marks) if mark not in known]
            if not new and not moved:
                continue
            events = [seen.events[number] for number in new]
            facts = {"directory": unit.directory, "cell": seen.cell, "progress": progress, "events": events}
            self._plugins.tell(plugin, "cell_progress", **facts)
            if not plugin.silenced and new:
                known.update(marks[number] for number in new)
                unit.tell([(plugin.name, marks[number]) for number in new])

    def finished(self, unit: Unit, manifest: Record) -> None:
        """A cell has ended. Of one that another run has done nothing was told, and nothing is."""
        self.look(unit, {})
        if seen := self._cells.pop(unit.directory, None):
            self._plugins.notify("cell_finished", directory=unit.directory, cell=seen.cell, manifest=manifest)


def _mark(event: Record) -> str:
    """What tells evaluations apart: an attempt that starts anew on a CPU gives the same ones again."""
    scores = json.dumps([event["generator_updates"], event["metrics"]], sort_keys=True)
    return hashlib.sha256(scores.encode()).hexdigest()[:16]
