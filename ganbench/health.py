"""``ganbench doctor DIR``: what is wrong in a results folder, what to do about it, and the repairs that lose nothing.

A repair never deletes a record. It takes away what a killed process left behind (temporary files, checkpoints of done
cells, half a line of events). A unit whose lock somebody holds is not looked at, and a repair holds the unit's locks
itself. The files of the locks stay: they mean nothing, and who deletes one lets two processes hold it.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ganbench import locks, records
from ganbench.environment import cores
from ganbench.errors import GanbenchError, UserError
from ganbench.inspection import LOCKS, UNREADABLE, Finding, Seen, Word, look, reason, record
from ganbench.store import Record, Store, Unit, slug

_SHOWN = 3  # notes that say the same, before they become one line
_ORDER: tuple[Word, ...] = ("damaged", "repaired", "note", "ok")


@dataclass
class Health:
    """Everything that was found, worst first, and how many cells there are of each status."""

    findings: list[Finding]
    statuses: Counter[str]
    extra: list[str]

    @property
    def damaged(self) -> int:
        return sum(finding.word == "damaged" for finding in self.findings)

    def lines(self) -> list[tuple[Word, str, str]]:
        """Word, place and sentence of each finding. Notes and repairs that repeat themselves are counted."""
        alike = Counter((finding.word, finding.what) for finding in self.findings)
        lines: list[tuple[Word, str, str]] = []
        for word, where, what, advice, _ in self.findings:
            count = alike[word, what]
            if word != "damaged" and count > _SHOWN:
                alike[word, what] = 0
                where = f"{where} and {count - 1} more"
            if count:
                lines.append((word, where, f"{what}; {advice}" if advice else what))
        return [(word, visible(where), visible(sentence)) for word, where, sentence in lines]

    def summary(self) -> str:
        """``312 cells: 300 done, 10 failed, 2 interrupted; 3 damaged``."""
        counts = ", ".join(f"{count} {status}" for status, count in self.statuses.most_common())
        repaired = sum(finding.word == "repaired" for finding in self.findings)
        open_ = sum(finding.repair is not None for finding in self.findings)
        ends = [f"{self.damaged or 'nothing'} damaged", *([f"{repaired} repaired"] if repaired else []), *self.extra]
        ends += [f"{open_} for --repair"] if open_ else []
        return f"{_many(self.statuses.total(), 'cell')}{': ' if counts else ''}{counts}; {', '.join(ends)}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def visible(text: str, length: int = 600) -> str:
    """`text` with what would not show, or would do something to a terminal, escaped; cut at `length` characters."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:length])
    return shown if len(text) <= length else f"{shown}..."


def examine(root: Path, *, repair: bool = False) -> Health:
    """Look at everything below `root` that is not derived, several units at a time.

    Raises `UserError` when `root` is no results folder.
    """
    findings: list[Finding] = []
    planned: dict[str, Record] = _run(root, findings).get("cells", {})
    expected: dict[str, dict[str, Record]]
    expected = {"cells": planned, "references": {slug(outline["dataset"]): {} for outline in planned.values()}}

    def seen_and_mended(directory: Path) -> Seen:
        # Without a plan nothing can be said to be left out of it.
        outline = expected[directory.parent.name].get(directory.name) if planned else {}
        return _mended(Unit(directory), outline) if repair else _seen(Unit(directory), outline)

    cells, references = _directories(root / "cells"), _directories(root / "references")
    with ThreadPoolExecutor(min(8, cores())) as pool:  # hashing and reading do without the interpreter's lock
        seen = list(pool.map(seen_and_mended, [*references, *cells]))

    findings += [finding for one in seen for finding in one.findings]
    for path in sorted(root.glob(".*.tmp")):  # no lock tells whether somebody is just writing it
        findings.append(Finding("note", path.name, "a temporary file", "delete it once no process writes here"))
    for path in sorted((root / "scored").glob("*/*.json")):
        try:
            record(path, records.check_scored)
        except UNREADABLE as error:
            where = "/".join(path.parts[-3:])
            findings.append(Finding("damaged", where, reason(error), "delete it, and evaluate the images again"))
    if fitting := sum(one.fitting for one in seen):
        findings.append(
            Finding("ok", "checksums", f"{fitting} snapshot{'s fit theirs' if fitting > 1 else ' fits its own'}")
        )
    busy = sum(one.status == "in use" for one in seen)
    what = f"{_many(busy, 'unit')} in use by a run, not looked at" if busy else "none held"
    findings.append(Finding("note" if busy else "ok", "locks", what))

    by_name = {one.unit.directory.name: one.status for one in seen[len(references) :]}
    names = planned.keys() or by_name.keys()
    statuses = Counter(
        "skipped" if planned.get(name, {}).get("skip") else by_name.get(name, "planned") for name in names
    )
    earlier, retired = len(by_name.keys() - names), len(_directories(root / "retired"))
    extra = [f"{earlier} of an earlier plan"] if earlier else []
    extra += [f"{retired} set aside in retired/"] if retired else []
    return Health(sorted(findings, key=lambda finding: _ORDER.index(finding.word)), statuses, extra)


def _run(root: Path, findings: list[Finding]) -> Record:
    """What the folder's plan says; nothing where it cannot be relied on."""
    try:
        return record(root / "run.json", records.check_run)
    except UNREADABLE as error:
        cells = any(Store(root).cells())
        if not cells and not any(Store(root).references()):
            below = sorted(root.glob("*/run.json"))
            hint = f"; it holds {len(below)}, such as {below[0].parent}" if below else ""
            raise UserError(visible(f"{root} is not a results folder (run.json {reason(error)}){hint}")) from None
        # A run makes the data ready before it writes the plan.
        word: Word = "damaged" if cells or not isinstance(error, FileNotFoundError) else "note"
        findings.append(
            Finding(word, "run.json", reason(error), "`ganbench run` with the benchmark file writes it anew")
        )
        return {}


def _directories(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []


# --- locks and repairs ------------------------------------------------------------------------------------------------


class _InUse(Exception):
    """Somebody else has the unit."""


def _seen(unit: Unit, outline: Record | None) -> Seen:
    """What is found of a unit, unless somebody has it, or took it meanwhile."""
    if not _in_use(unit):
        seen = look(unit, outline)
        if not _in_use(unit):
            return seen
    return Seen(unit, "in use")


def _in_use(unit: Unit) -> bool:
    """Whether somebody holds a lock of the unit. No file is made, and to be allowed to read is enough."""
    if locks.held(unit.directory):
        return True
    for name in LOCKS:
        try:
            number = os.open(unit.directory / name, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:  # nobody ever did
            continue
        try:
            fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(number)
    return False


def _mended(unit: Unit, outline: Record | None) -> Seen:
    """Put right what can be, holding the unit's locks, and look again."""
    seen = _seen(unit, outline)
    if not any(finding.repair for finding in seen.findings):
        return seen
    try:
        with _held(unit):
            # Seen anew, now that nobody can write to it.
            tried = [_repaired(finding) for finding in look(unit, outline).findings if finding.repair]
            seen = look(unit, outline)
    except _InUse:
        return Seen(unit, "in use")
    except GanbenchError as error:
        seen.say("note", "", f"could not be repaired ({error})")
        return seen
    seen.findings = [finding for finding in seen.findings if not finding.repair] + tried
    return seen


@contextmanager
def _held(unit: Unit) -> Iterator[None]:
    """Hold a unit's locks as a run and its worker do. Raises `_InUse` instead of waiting for them."""

    def refuse() -> None:
        raise _InUse

    if not unit.claim():
        raise _InUse
    try:
        with unit.at_work(refuse):
            yield
    finally:
        unit.release()


def _repaired(finding: Finding) -> Finding:
    """The finding after its repair, which may fail."""
    assert finding.repair is not None
    try:
        finding.repair()
    except (GanbenchError, *UNREADABLE) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        return finding._replace(advice=f"could not be repaired ({why})", repair=None)
    return finding._replace(word="repaired", advice="", repair=None)
