"""The checks of reporters: records of runs that ended well and badly, and what is written of them."""

from __future__ import annotations

import copy
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from ganbench.contracts import Reporter, Tables
from ganbench.testing import common
from ganbench.testing.cases import Case, Checks
from ganbench.testing.outcomes import Violation
from ganbench.testing.records import Records

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class ReporterCase(Case):
    """A reporter under test, and the records of a run."""

    def records(self) -> Records:
        """A results folder to be filled."""
        return Records(self.folder("results"))

    @property
    def tables(self) -> Tables:
        """Two variants with three seeds each, all done, with curves and the real row; a copy for each who asks."""
        return copy.deepcopy(self._tables)

    @cached_property
    def _tables(self) -> Tables:
        records = self.records()
        for number, variant in enumerate(("dcgan", "wgan-gp")):
            for seed in range(3):
                score = {"fcd": 5.0 + number + seed / 10, "cs": 5.5 - number - seed / 10}
                curve = {updates: {"fcd": 900 / updates, "cs": 1 + updates / 50} for updates in (20, 60, 100)}
                records.cell(variant, seed, score, curve=curve)
        records.dataset(real={"fcd": 0.1, "cs": 9.0})
        return records.written().tables()

    def report(self, tables: Tables, folder: Path) -> None:
        """Have it report."""
        reporter: Reporter = self.cls()
        reporter.report(tables, folder)


CASE = ReporterCase
CHECKS = Checks[ReporterCase]()

CHECKS.formal(common.has_a_summary)
CHECKS.formal(common.imports_no_torch)


def _files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@CHECKS.substantive
def something_is_written(case: ReporterCase) -> None:
    """Of a run that ended well at least one file is written below the folder."""
    folder = case.folder("report")
    case.report(case.tables, folder)
    if not _files(folder):
        raise Violation("it wrote no file", wanted="a report", do="write below `folder`")


@CHECKS.substantive
def only_the_folder_is_written_to(case: ReporterCase) -> None:
    """Files are written, made and deleted below the folder that it is given, and nowhere else.

    Temporary files, Python's own and caches in the home folder may be; records, above all, are not touched.
    """
    tables, folder, records = case.tables, case.folder("report"), case.folder("elsewhere")
    before = _files(Path(case._folder.name))
    here = Path.cwd()
    os.chdir(records)
    try:
        with _writes() as written:
            case.report(tables, folder)
    finally:
        os.chdir(here)
    after = _files(Path(case._folder.name))
    inside = f"{folder.name}{os.sep}"
    changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    strange = [name for name in changed if not name.startswith(inside)] + [w for w in written if not _allowed(w, case)]
    if strange:
        raise Violation(
            f"it wrote to {sorted(strange)[0]}",
            wanted="nothing outside of its folder",
            do="build every path from `folder`, whatever the working directory",
        )


def _allowed(path: str, case: Case) -> bool:
    """Whether a path may be written to by a reporter: scratch (compared by content), temporary files and caches."""
    places = [
        case._folder.name,
        tempfile.gettempdir(),
        str(Path("~/.cache").expanduser()),
        os.devnull,
        "/dev/",
        "/proc/",
    ]
    places += [str(Path(os.environ[name])) for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR") if os.environ.get(name)]
    return "__pycache__" in path or any(path.startswith(place) for place in places)


_watchers: list[list[str]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what Python opens for writing, makes, renames and deletes, while somebody watches."""
    if not _watchers:
        return
    if event == "open" and isinstance(arguments[0], str | bytes) and int(arguments[2] or 0) & _WRITING:
        _watchers[-1].append(os.path.abspath(os.fsdecode(arguments[0])))
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink", "os.truncate"):
        names = [name for name in arguments if isinstance(name, str | bytes)]
        _watchers[-1].extend(os.path.abspath(os.fsdecode(name)) for name in names)


_audited: list[Callable[..., None]] = []


@contextmanager
def _writes() -> Iterator[list[str]]:
    """The paths that Python writes to meanwhile. An audit hook cannot be taken away again, so there is one for ever."""
    if not _audited:
        _audited.append(_audit)
        sys.addaudithook(_audit)
    _watchers.append([])
    try:
        yield _watchers[-1]
    finally:
        _watchers.pop()


@CHECKS.substantive
def cells_that_did_not_end_well_are_reported(case: ReporterCase) -> None:
    """A run with failed, diverged, skipped, interrupted and missing cells and an unavailable metric is reported."""
    records = case.records()
    records.cell("dcgan", 0, {"fcd": 5.0, "cs": 5.0}, curve={50: {"fcd": 9.0, "cs": 3.0}})
    records.cell("dcgan", 1, None, status="failed", reason="ValueError: no")
    records.cell("dcgan", 2, None, status="diverged", reason="the cost of the critic is not finite at its turn 3")
    records.cell("wgan", 0, None, skip="needs labels")
    records.cell("wgan-gp", 0, None, status="interrupted", reason="stopped", curve={50: {"fcd": 8.0, "cs": 2.0}})
    records.cell("wgan-gp", 1, None, status="planned")
    records.cell("cgan", 0, {"cs": 4.0}, unavailable={"fcd": "no weights"})
    records.dataset(real={"cs": 9.0}, unavailable={"fcd": "no weights"})
    _reported(case, records, "with failed, diverged, skipped, interrupted and planned cells")


@CHECKS.substantive
def a_run_of_one_seed_is_reported(case: ReporterCase) -> None:
    """One cell, one seed: no interval, no comparison, and no test split that was scored."""
    records = case.records()
    records.cell("dcgan", 0, {"fcd": 5.0, "cs": 5.0}, curve={100: {"fcd": 5.0, "cs": 5.0}})
    _reported(case, records, "of one cell")


@CHECKS.substantive
def a_run_in_which_nothing_is_done_is_reported(case: ReporterCase) -> None:
    """Planned cells alone, without a score: `ganbench report` may be called while the first cell is in training."""
    records = case.records()
    for seed in range(2):
        records.cell("dcgan", seed, None, status="planned")
    _reported(case, records, "in which nothing is done yet")


def _reported(case: ReporterCase, records: Records, what: str) -> None:
    try:
        case.report(records.written().tables(), case.folder("report"))
    except Exception as error:
        raise Violation(
            f"of a run {what} it raised {type(error).__name__}: {error}",
            wanted="a report of what there is",
            do="look at `status`, and expect empty tables and NaN",
        ) from error


@CHECKS.substantive
def the_same_records_give_the_same_files(case: ReporterCase) -> None:
    """Two reports of the same tables are the same files, byte for byte: a report is derived and can be compared."""
    folders = [case.folder("report") for _ in range(2)]
    for folder in folders:
        case.report(case.tables, folder)
    one, other = map(_files, folders)
    if one != other:
        names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
        raise Violation(
            f"two reports differ in {names[0]}",
            wanted="the same bytes",
            do="write no dates, paths or random numbers, and sort what comes from sets",
        )


@CHECKS.substantive
def tables_are_left_as_they_are(case: ReporterCase) -> None:
    """The tables are not written to: other reporters get the same ones."""
    given = case.tables
    kept: Any = copy.deepcopy(given)
    case.report(given, case.folder("report"))
    for name, before, after in zip(Tables._fields, kept, given, strict=True):
        if not (before == after if name == "run" else before.equals(after)):
            raise Violation(f"it changed the table `{name}`", wanted="untouched tables", do="copy before writing")
