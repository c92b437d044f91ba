"""``ganbench status``: a grid, running or ended, told from its records alone. No torch, no pandas.

It never writes, takes no lock and starts nothing, so that it can be asked at any time, from another machine too.
"""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ganbench.errors import on_one_line
from ganbench.estimate import Estimates, Wanted, ends_after
from ganbench.records import check_manifest, sound_run
from ganbench.store import PLANNED, Record, Store, Unit
from ganbench.view import duration, scores

ORDER = ("running", "done", "failed", "oom", "timeout", "diverged", "interrupted", "planned", "skipped")
_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "oom": "red", "timeout": "red", "diverged": "red"}
_ENDED_BADLY = ("failed", "oom", "timeout", "diverged")
_MOST = 20  # running cells and failures that are shown one by one
_SECONDS = 2.0  # between two looks with --watch


@dataclass(frozen=True)
class Running:
    """A cell or dataset that is at work: its name, the share of its budget that is spent (None: not known)."""

    name: str
    spent: float | None
    facts: str


@dataclass
class Status:
    """What the records of a results folder say."""

    name: str
    #: Cells by status; those of the plan alone.
    counts: Counter[str] = field(default_factory=Counter)
    #: Variant and dataset -> its cells by status, in the plan's order.
    groups: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)
    #: Which cell, its status, and why.
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    left: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing runs and nothing is left to do."""
        return not self.running and not self.counts["planned"] + self.counts["interrupted"]


def look(store: Store) -> Status:
    """Read the records below `store`. Raises `UserError` where there is no run, or its record is damaged."""
    run = sound_run(store)
    status, made, elsewhere = Status(run["name"]), store.made(), store.elsewhere()
    seconds = _Seconds(run)
    for name, outline in run["cells"].items():
        unit = store.cell(name)
        manifest = _manifest(unit) if name in made else PLANNED
        what = "skipped" if outline.get("skip") else manifest["status"]
        if name in elsewhere:
            what = "running"
        elif what == "running" and _is_gone(manifest):
            what = "interrupted"
        status.counts[what] += 1
        status.groups.setdefault((outline["variant"], outline["dataset"]), Counter())[what] += 1
        who = f"{outline['variant']} on {outline['dataset']}, seed {outline['seed']}"
        progress = elsewhere.get(name) or (unit.progress() if what == "running" else {})
        if what == "running":
            status.running.append(_running(who, progress))
        elif what in _ENDED_BADLY:
            status.failures.append((who, what, str(manifest.get("reason") or "")))
        seconds.add(outline, what, manifest, _share(progress) or 0.0)
    for dataset in dict.fromkeys(outline["dataset"] for outline in run["cells"].values()):
        unit = store.reference(dataset)
        manifest = _manifest(unit)
        if manifest["status"] == "running":
            status.running.append(_running(f"dataset {dataset}", unit.progress()))
        elif manifest["status"] in _ENDED_BADLY:
            status.failures.append((f"dataset {dataset}", manifest["status"], str(manifest.get("reason") or "")))
    status.left = seconds.sentence(len(status.running))
    return status


def _manifest(unit: Unit) -> Record:
    """The manifest, or where it is damaged one that says so."""
    manifest = unit.manifest
    if wrong := check_manifest(manifest):
        return {"status": "failed", "reason": f"its manifest.json is damaged: {wrong}"}
    return manifest


def _is_gone(manifest: Record) -> bool:
    """Whether the process that was at work is known to be dead: it was one of this machine."""
    if not isinstance(manifest.get("pid"), int) or manifest.get("host") != platform.node():
        return False
    try:
        os.kill(manifest["pid"], 0)  # asks, and sends nothing
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    return False


def _share(progress: Record) -> float | None:
    spent = progress.get("spent")
    return min(1.0, max(0.0, float(spent))) if isinstance(spent, int | float) else None


def _running(name: str, progress: Record) -> Running:
    updates, metrics = progress.get("updates"), progress.get("metrics")
    facts = [f"update {updates:,}"] if isinstance(updates, int) else []
    if isinstance(metrics, Mapping) and all(isinstance(value, int | float) for value in metrics.values()):
        facts += [scores(metrics)] if metrics else []
    if not facts:
        facts = [str(progress.get("doing") or "")]
    return Running(name, _share(progress), "  ".join(facts))


class _Seconds:
    """How long what is left will take: from the outlines of cells in ``run.json`` and the manifests of done ones."""

    def __init__(self, run: Record) -> None:
        self._run = run
        self._estimates = [Estimates(device) for device in ("cpu", "cuda")]
        self._todo: list[tuple[Wanted, float]] = []

    def add(self, outline: Record, what: str, manifest: Record, spent: float) -> None:
        """One cell, and the share of its budget that is spent where it runs."""
        variant, dataset, params = outline["variant"], outline["dataset"], outline["params"]
        budget, evaluate = (outline.get(name) or self._run.get(name) for name in ("budget", "evaluate"))
        if not budget or not evaluate:  # records of the first versions
            return
        if what == "done":
            for each in self._estimates:  # a cell of another device says nothing
                each.add(variant, dataset, params, evaluate, manifest)
        elif what in ("planned", "running", "interrupted"):
            until, looks = (budget["unit"], budget["amount"]), (evaluate.get("times", 1), evaluate["samples"])
            self._todo.append((Wanted(variant, dataset, params, None, *until, *looks), spent))

    def sentence(self, slots: int) -> str:
        """``about 3 min 20 s left, 2 at a time``; empty with nothing to do."""
        if not self._todo:
            return ""
        estimates = max(self._estimates, key=lambda each: each.count)
        found = [(estimates.of_wanted(cell), spent) for cell, spent in self._todo]
        known = sorted(((1 - spent) * each.seconds for each, spent in found if each), reverse=True)
        if not known:
            return "no estimate of the time left: no cell like these is done yet"
        unknown, at_once = len(found) - len(known), max(1, slots)
        left = f"{'at least' if unknown else 'about'} {duration(ends_after(known, at_once))} left"
        how = f"{at_once} at a time" if at_once > 1 else "one at a time"
        return f"{left}, {how}" + (f"; no estimate for {unknown}" if unknown else "")


# --- on a terminal ----------------------------------------------------------------------------------------------------


def shown(status: Status) -> Group:
    """The status for a terminal. Names and reasons are text, never markup."""
    total = sum(status.counts.values())
    counts = Text(", ").join(
        Text(f"{status.counts[what]} {what}", style=_COLOURS.get(what, "")) for what in ORDER if status.counts[what]
    )
    parts: list[Any] = [Text.assemble((_text(status.name), "bold"), f": {total} cells: ", counts)]
    if status.left:
        parts.append(Text(status.left))
    parts += [Text(), _groups(status)]
    if status.running:
        parts += [Text(), Text("running", style="bold"), *_lines(status.running)]
    if status.failures:
        many = len(status.failures)
        parts += [Text(), Text(f"{many} failed", style="bold red")]
        parts += [Text(_text(f"  {who}: {what}: {why}")) for who, what, why in status.failures[:_MOST]]
        if many > _MOST:
            parts.append(Text(f"  and {many - _MOST:,} more: `ganbench report` has all of them"))
    return Group(*parts)


def _text(text: str) -> str:
    return on_one_line(text)


def _groups(status: Status) -> Table:
    present = [what for what in ORDER if status.counts[what]]
    table = Table("variant", "dataset", *present, box=None, header_style="bold")
    for column in table.columns[2:]:
        column.justify = "right"
    for (variant, dataset), counts in list(status.groups.items())[: 5 * _MOST]:
        table.add_row(Text(_text(variant)), Text(_text(dataset)), *(str(counts[what] or "") for what in present))
    if len(status.groups) > 5 * _MOST:
        table.add_row(Text(f"and {len(status.groups) - 5 * _MOST:,} more"))
    return table


def _lines(running: list[Running]) -> Iterator[Text]:
    for each in running[:_MOST]:
        bar = "" if each.spent is None else f"{'█' * round(20 * each.spent):░<20} {each.spent:4.0%}  "
        yield Text(_text(f"  {bar}{each.name}  {each.facts}"))
    if len(running) > _MOST:
        yield Text(f"  and {len(running) - _MOST:,} more")


def show(store: Store, *, watch: bool) -> None:
    """Print the status; with `watch` look again until nothing is left to do, or Ctrl-C."""
    console = Console(highlight=False)
    if not console.is_terminal:  # wide enough that nothing is cut
        console = Console(highlight=False, width=200)
    found = look(store)
    if not watch:
        console.print(shown(found))
        return
    with suppress(KeyboardInterrupt), Live(shown(found), console=console, auto_refresh=False) as live:
        while not found.over:
            time.sleep(_SECONDS)
            store.sync()
            found = look(store)
            live.update(shown(found), refresh=True)
