"""``ganbench merge``: the records of several results folders or stores in one, after a look at every one of them.

Every unit is examined as `ganbench doctor` does it and compared with what is there already, before any of it is copied.
A merge that was broken off can be done again. No path in a record is followed, so that folders may have moved.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganbench.errors import UserError, on_one_line, shown
from ganbench.inspection import LOCKS, look
from ganbench.locks import FILE
from ganbench.records import check_manifest, sound_run
from ganbench.store import Record, Store, Unit

#: What must be equal for two runs to be one; names may differ.
_CONDITIONS = ("rank", "budget", "evaluate", "train_on", "reference", "extractors")
#: What a cell's task decides and nothing else does: no times, no machines, no versions of libraries.
_OUTCOME = ("generator_updates", "rounds", "images", "epochs", "conditional", "parameters")
_DATA = ("shape", "classes", "train", "test", "fingerprint")
_EVENT = ("generator_updates", "rounds", "images", "costs")
_STAYS = {FILE, *LOCKS, ".slurm", ".have", "progress.json"}  # of one machine, or of one moment


@dataclass
class Merged:
    """What became of the records: how many were copied or there already, and why others were left behind, by place."""

    counts: Counter[str] = field(default_factory=Counter)
    left: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """``12 copied, 3 there already, 2 left behind``."""
        counts = {**self.counts, **({"left behind": len(self.left)} if self.left else {})}
        return ", ".join(f"{count} {what}" for what, count in counts.items()) or "nothing to copy"


def merge(into: Store, sources: Sequence[Store]) -> Merged:
    """Bring the datasets and cells of all `sources` `into` one results folder; what both have must agree.

    Raises `UserError` where a source is no results folder, its ``run.json`` is damaged, or it was run under other
    conditions: then nothing is copied.
    """
    runs = [sound_run(source) for source in sources]
    merged = Merged()
    with closing(into):
        into.make()
        whole = sound_run(into) if (into.root / "run.json").exists() else None
        for source, run in zip(sources, runs, strict=True):
            if source.root.resolve() == into.root.resolve():
                raise UserError(f"{source.place} cannot be merged into itself; name other folders")
            whole = run if whole is None else _together(whole, run, f"{source.place} and {into.place}")
        for source, run in zip(sources, runs, strict=True):
            _bring_all(into, source, run["cells"], merged)
        if whole is not None:
            files = (store.root / "benchmark.toml" for store in (into, *sources))
            into.plan(whole, next((path.read_text() for path in files if path.is_file()), ""))
    return merged


def _together(one: Record, other: Record, who: str) -> Record:
    """The plan of both."""
    for name in _CONDITIONS:
        if one.get(name) != other.get(name):
            raise UserError(
                f"{who} were run with another {name} ({shown(other.get(name))} and {shown(one.get(name))}): merge puts "
                "together parts of one grid; `ganbench report` makes one report of several folders with --to"
            )
    joined = {name: {**other.get(name, {}), **one.get(name, {})} for name in ("metrics", "cells")}
    seeds = sorted({*one.get("seeds", ()), *other.get("seeds", ())})
    made = {
        role: {**names, **one.get("components", {}).get(role, {})}
        for role, names in other.get("components", {}).items()
    }
    return {**other, **one, **joined, "seeds": seeds, "components": {**one.get("components", {}), **made}}


def _bring_all(into: Store, source: Store, cells: Mapping[str, Record], merged: Merged) -> None:
    apart = set()
    for dataset in dict.fromkeys(outline["dataset"] for outline in cells.values()):
        ours, theirs = into.reference(dataset), source.reference(dataset)
        if why := _bring(source, ours, theirs, {}, _datasets_differ, merged):
            apart.add(dataset)
            count = sum(outline["dataset"] == dataset for outline in cells.values())
            merged.left[_place(source, theirs)] = f"{why}; its {count} cells are left behind with it"
    made = source.made()
    for name, outline in cells.items():
        if name not in made or outline["dataset"] in apart:
            continue
        theirs = source.cell(name)
        if why := _bring(source, into.cell(name), theirs, outline, _cells_differ, merged):
            merged.left[_place(source, theirs)] = why


def _place(source: Store, unit: Unit) -> str:
    return f"{source.place}/{unit.directory.parent.name}/{unit.directory.name}"


def _bring(
    source: Store,
    ours: Unit,
    theirs: Unit,
    outline: Record,
    differ: Callable[[Unit, Unit], str],
    merged: Merged,
) -> str:
    """Copy one unit, unless it is here; why it was left behind, or nothing."""
    if not theirs.exists:
        return ""
    source.complete(theirs.directory)
    for probe in theirs.probes():
        source.complete(probe.directory)
    before = theirs.manifest
    if before["status"] == "running":
        return "it says running: let it end, or `ganbench run` there go on with it"
    seen = look(theirs, outline)
    if damaged := [finding for finding in seen.findings if finding.word == "damaged"]:
        return on_one_line(f"{damaged[0].where.rpartition('/')[2]} {damaged[0].what}")
    if not ours.claim():
        return f"a run is at work on it in {ours.directory.parent.parent}"
    try:
        here = ours.manifest
        if here["status"] == "done" and before["status"] == "done":
            if wrong := check_manifest(here):
                return f"what is in {ours.directory} is damaged: {wrong}"
            if why := differ(ours, theirs):
                return why
        if here["status"] == "done" or (here["attempt"] and before["status"] != "done"):
            merged.counts["there already"] += 1
            return ""
        if not ours.hold():
            return "another machine is at work on it"
        with ExitStack() as held:  # its probes, which are units of their own in a store
            for probe in [ours.probe(probe.directory.name) for probe in theirs.probes()]:
                if probe.claim():
                    held.callback(probe.release)
                    probe.hold()
            if not _copied(theirs, ours, before):
                return "it changed while it was copied: a run is at work on it"
        merged.counts["copied"] += 1
        return ""
    finally:
        ours.release()


def _copied(theirs: Unit, ours: Unit, before: Record) -> bool:
    """Copy a unit's files beside their place, then move them there, the manifest last. False where it has changed."""
    ours.directory.mkdir(parents=True, exist_ok=True)
    beside = ours.directory / ".merging"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        for path in _files(theirs.directory):
            target = beside / path.relative_to(theirs.directory)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        if theirs.manifest != before:
            return False
        for path in ours.directory.iterdir():
            if path.name not in {*_STAYS, beside.name}:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for path in sorted(beside.iterdir(), key=lambda path: path.name == "manifest.json"):
            os.replace(path, ours.directory / path.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return True


def _files(folder: Path) -> Iterator[Path]:
    """The files that travel: none that a link leads to."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if name not in _STAYS and not name.endswith(".tmp") and not path.is_symlink():
                yield path


# --- what must agree --------------------------------------------------------------------------------------------------


def _cells_differ(ours: Unit, theirs: Unit) -> str:
    """The first thing in which two records of one cell disagree, of what its task decides; nothing where they agree."""
    here, there = ours.manifest, theirs.manifest
    if ours.task["key"] != theirs.task["key"]:
        return "it is another cell than the one here: their keys differ"
    known = [name for name in here["metric_versions"] if _version(here, name) == _version(there, name)]
    for point in ("best", "last"):
        for name in known:
            values = [record[point]["metrics"].get(name) for record in (there, here)]
            if repr(values[0]) != repr(values[1]) and None not in values:
                return _differs(f"{name} at {point}", *values)
    for name in _OUTCOME:
        if name in here and name in there and here[name] != there[name]:
            return _differs(name, there[name], here[name])
    for number, events in enumerate(zip(theirs.events(), ours.events(), strict=False), 1):
        for name in _EVENT:
            if repr(events[0].get(name)) != repr(events[1].get(name)):
                return _differs(f"{name} of evaluation {number}", *(event.get(name) for event in events))
        for name in known:
            values = [event["metrics"].get(name) for event in events]
            if repr(values[0]) != repr(values[1]) and None not in values:
                return _differs(f"{name} of evaluation {number}", *values)
    for name, digest in (here.get("files") or {}).items():
        if (other := (there.get("files") or {}).get(name, digest)) != digest:
            return _differs(name, other[:12], digest[:12])
    return ""


def _datasets_differ(ours: Unit, theirs: Unit) -> str:
    """The same of two records of one dataset."""
    here, there = ours.manifest, theirs.manifest
    for name in _DATA:
        if here.get(name) != there.get(name):
            return _differs(name, there.get(name), here.get(name))
    for name, extractor in (here.get("extractors") or {}).items():
        digests = [str((record.get("extractors") or {}).get(name, extractor).get("hash")) for record in (there, here)]
        if digests[0] != digests[1]:
            return _differs(name, digests[0][:12], digests[1][:12])
    versions = [unit.task.get("metrics", {}) for unit in (theirs, ours)]
    for name, real in here.get("real", {}).items():
        other = there.get("real", {}).get(name, real)
        if versions[0].get(name) == versions[1].get(name) and repr(other["value"]) != repr(real["value"]):
            return _differs(f"{name} of real images", other["value"], real["value"])
    return ""


def _version(manifest: Record, metric: str) -> Any:
    return (manifest.get("metric_versions") or {}).get(metric)


def _differs(what: str, there: object, here: object) -> str:
    return on_one_line(f"its {what} differs: {shown(there)} there, {shown(here)} here")
