"""``ganbench doctor DIR``: what is wrong in a results folder, what to do about it, and the repairs that lose nothing.

A repair never deletes a record. It takes away what a killed process left behind (locks that nobody holds, temporary
files, checkpoints of done cells, half a line of events) and sets aside what nothing can read. A unit whose lock
somebody holds is not touched, and a repair holds the unit's locks itself.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ganbench import records
from ganbench.environment import cores
from ganbench.errors import GanbenchError, UserError
from ganbench.inspection import (
    LOCKS,
    TEMPORARY,
    Finding,
    Seen,
    Word,
    checked,
    json_object,
    lock_state,
    look,
    member,
    reason,
    released,
)
from ganbench.store import Record, Unit, slug

_TASKS = {"cells": "cell.json", "references": "task.json"}
_SHOWN = 3  # notes that say the same, before they become one line


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
        words = Counter(finding.word for finding in self.findings)
        ends = [f"{self.damaged or 'nothing'} damaged"]
        ends += [f"{words['repaired']} repaired"] if words["repaired"] else []
        ends += self.extra
        if open_ := sum(finding.repair is not None for finding in self.findings):
            ends.append(f"{open_} for --repair")
        total = self.statuses.total()
        return visible(f"{total} cell{'s' if total != 1 else ''}{': ' if counts else ''}{counts}; {', '.join(ends)}")


def visible(text: str, length: int = 600) -> str:
    """`text` with what would not show, or would do something to a terminal, escaped; cut at `length` characters."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:length])
    return shown if len(text) <= length else f"{shown}..."


def examine(root: Path, *, repair: bool = False) -> Health:
    """Look at everything below `root` that is not derived, several units at a time.

    Raises `UserError` when `root` is no results folder.
    """
    findings: list[Finding] = []
    run = _run(root, findings)
    planned = {name: outline for name, outline in member(run, "cells").items() if isinstance(outline, dict)}
    datasets = {slug(str(outline.get("dataset")).encode(errors="replace").decode()) for outline in planned.values()}
    old_run = lock_state(root / ".lock")  # in version 0.1.0 a run locked the folder as a whole

    def seen_and_mended(directory: Path) -> Seen:
        unit, name = Unit(directory), directory.name
        outline = planned.get(name) if directory.parent.name == "cells" else {} if name in datasets else None
        outline = outline if planned else {}  # without a plan nothing can be said to be left out of it
        seen = look(unit, outline, busy=old_run == "held")
        return _mend(unit, seen, outline) if repair else seen

    cells, references = _directories(root / "cells"), _directories(root / "references")
    with ThreadPoolExecutor(min(8, cores())) as pool:  # hashing and reading do without the interpreter's lock
        seen = list(pool.map(seen_and_mended, [*references, *cells]))

    findings += [finding for one in seen for finding in one.findings]
    by_name = {one.unit.directory.name: one.status for one in seen[len(references) :]}
    names = planned.keys() or by_name.keys()
    statuses = Counter(
        "skipped" if planned.get(name, {}).get("skip") else by_name.get(name, "planned") for name in names
    )
    findings += _missing(planned, by_name)
    busy = old_run == "held" or any(one.status == "in use" for one in seen)
    findings += _folder(root, busy=busy, lock=old_run, repair=repair)
    findings += _checksums(seen)
    earlier = sum(name not in names for name in by_name)
    retired = len(_directories(root / "retired"))
    extra = [f"{earlier} of an earlier plan"] if earlier else []
    extra += [f"{retired} set aside in retired/"] if retired else []
    order: tuple[Word, ...] = ("damaged", "repaired", "note", "ok")
    return Health(sorted(findings, key=lambda finding: order.index(finding.word)), statuses, extra)


def _run(root: Path, findings: list[Finding]) -> Record | None:
    """What the folder's plan says, or None where nothing can be read of it."""
    again = "`ganbench run` with the benchmark file writes it anew"
    try:
        run = json_object(root / "run.json")
    except (OSError, ValueError) as error:
        known = [name for name, task in _TASKS.items() if any((root / name).glob(f"*/{task}"))]
        if not known:
            below = sorted(root.glob("*/run.json"))
            hint = f"; it holds {len(below)}, such as {below[0].parent}" if below else ""
            raise UserError(visible(f"{root} is not a results folder (no readable run.json){hint}")) from None
        if isinstance(error, FileNotFoundError) and "cells" not in known:
            findings.append(
                Finding("note", "run.json", "there is no plan yet", "`ganbench run` makes it once the data is ready")
            )
            return None
        findings.append(Finding("damaged", "run.json", reason(error), again))
        return None
    if problem := checked(records.check_run, run):
        findings.append(Finding("damaged", "run.json", problem, again))
    return run


# --- the folder as a whole --------------------------------------------------------------------------------------------


def _missing(planned: Mapping[str, Record], found: Mapping[str, str]) -> Iterator[Finding]:
    absent = [name for name, outline in planned.items() if name not in found and not outline.get("skip")]
    if absent:
        what = f"{len(absent)} cell{'s' if len(absent) > 1 else ''} of the plan not trained yet"
        yield Finding("note", "cells", what, "`ganbench run` trains them")


def _folder(root: Path, *, busy: bool, lock: str, repair: bool) -> Iterator[Finding]:
    """What was left beside the units. While a run is at work nothing of it is repaired."""
    todo: list[Finding] = []
    if lock == "held":
        yield Finding("note", ".lock", "held by a run of an earlier version", "wait for it")
    elif lock == "free" and (root / ".lock").is_file():
        todo.append(Finding("note", ".lock", "a lock that nobody holds", "it does no harm", lambda: _delete_lock(root)))
    for path in sorted(root.glob(".*.tmp")):
        match = TEMPORARY.fullmatch(path.name)
        if match and match[1] and not _alive(int(match[1])):
            what = "a temporary file of a process that is gone"
            todo.append(Finding("note", path.name, what, "", None if busy else path.unlink))
    for finding in todo:
        yield _repaired(finding) if repair and finding.repair else finding


def _delete_lock(root: Path) -> None:
    with FileLock(root / ".lock", timeout=0):
        (root / ".lock").unlink()


def _checksums(seen: Iterable[Seen]) -> Iterator[Finding]:
    seen = list(seen)
    if untold := sum(one.untold for one in seen):
        what = f"none in the records of {untold} done cell{'s' if untold > 1 else ''}, of an earlier version"
        yield Finding("note", "checksums", what, "only the lengths of the snapshots could be checked")
    if fitting := sum(one.fitting for one in seen):
        yield Finding("ok", "checksums", f"{fitting} snapshot{'s fit theirs' if fitting > 1 else ' fits its own'}")


def _directories(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []


# --- repairs ----------------------------------------------------------------------------------------------------------


def _mend(unit: Unit, seen: Seen, outline: Record | None) -> Seen:
    """Put right what can be, holding the unit's locks, and look again."""
    if not any(finding.repair for finding in seen.findings):
        return seen
    try:
        with _claimed(unit.directory) as mine:
            if not mine:
                return look(unit, outline, busy=True)
            # Seen anew, now that nobody can write to it; of the locks only the first look can tell.
            todo = [finding for finding in seen.findings if finding.repair is released]
            todo += [f for f in look(unit, outline, mine=True).findings if f.repair]
            tried = [_repaired(finding) for finding in todo]
            after = look(unit, outline, mine=True)
    except (OSError, Timeout, GanbenchError, RecursionError) as error:
        seen.findings = [_unrepaired(finding, error) if finding.repair else finding for finding in seen.findings]
        return seen
    after.findings = [finding for finding in after.findings if not finding.repair] + tried
    return after


def _repaired(finding: Finding) -> Finding:
    """The finding after its repair, which may fail."""
    assert finding.repair is not None
    try:
        finding.repair()
    except (OSError, Timeout, GanbenchError, RecursionError) as error:
        return _unrepaired(finding, error)
    return finding._replace(word="repaired", advice="", repair=None)


def _unrepaired(finding: Finding, error: Exception) -> Finding:
    why = (isinstance(error, OSError) and error.strerror) or error
    return finding._replace(advice=f"it could not be repaired ({why})", repair=None)


@contextmanager
def _claimed(directory: Path) -> Iterator[bool]:
    """Hold a unit's locks as a run does, and delete their files while they are held; False when a run has one."""
    held: list[Path] = []
    with ExitStack() as stack:
        try:
            for name in LOCKS:
                stack.enter_context(FileLock(directory / name, timeout=0))
                held.append(directory / name)
        except Timeout:
            pass
        try:
            yield len(held) == len(LOCKS)
        finally:
            for path in held:
                path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
