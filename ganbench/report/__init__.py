"""Reports: leaderboards, plots, sample sheets and a page, all derived from the records and nothing else.

`write` makes all files of a report in one folder, `terminal` prints the leaderboards, `leaderboards` is the table
behind both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from ganbench.contracts import Tables
from ganbench.errors import UserError
from ganbench.report import files, latex, probes, roadmap, speed, verdicts
from ganbench.report.axes import AXES
from ganbench.report.leaderboard import Ranked, leaderboards
from ganbench.report.statistics import Interval, interval
from ganbench.report.terminal import terminal
from ganbench.store import write_atomically

__all__ = [
    "AXES",
    "FORMATS",
    "MANY",
    "Interval",
    "Pictures",
    "Ranked",
    "interval",
    "leaderboards",
    "terminal",
    "write",
    "write_page",
]


#: Of more experiments (variants on a dataset) than this a report leaves out the pictures of single ones.
MANY = 50
Pictures = Literal["all", "datasets", "none"]
#: What a report can be written as: a page, Markdown, tables for LaTeX, tables of data (CSV and Parquet).
FORMATS = ("html", "md", "latex", "csv")


def write(
    tables: Tables | Ranked,
    folder: Path,
    *,
    pictures: Pictures | bool = True,
    x: str | None = None,
    formats: Sequence[str] = ("md", "csv"),
    figures: Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write the files of `formats` below `folder` anew, and the pictures; return the paths of all.

    With `pictures` ``datasets`` those of single experiments are left out, as they are by themselves where there are
    more than `MANY`; with ``none`` or False all of them. `figures` are the formats that figures are drawn in: ``png``,
    ``svg``, ``pdf``. `x` is one of `AXES`, the x axis of the learning curves; None takes the unit of the budget. Files
    of formats that are not asked for stay as they are. Raises `UserError` where nothing can be written.
    """
    ranked = Ranked.of(tables)

    drawn: Callable[[], list[Path]] = list
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if pictures not in (False, "none"):
            # Here and not above: seaborn takes seconds to import, and the leaderboard on the terminal does not need it.
            from ganbench.report.pictures import begin

            drawn = begin(ranked, folder / "report", x, experiments=_every(ranked, pictures), figures=figures)
        compared = roadmap.matched(ranked)
        contents = _tables(ranked, compared, formats)
        for name in _optional(formats) - contents.keys():
            (folder / name).unlink(missing_ok=True)
        for name, content in contents.items():
            write_atomically(folder / name, content)
        pages = [_page(ranked, compared, folder, pictures=pictures, x=x)] if "html" in formats else []
        return [*pages, *(folder / name for name in contents), *drawn()]
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_page(tables: Tables | Ranked, folder: Path, *, x: str | None = None, live: float = 0) -> Path:
    """Write ``report/index.html`` alone and return its path: for a run that goes on, quickly.

    With `live` the page loads itself again every so many seconds. Raises `UserError` where it cannot be written.
    """
    ranked = Ranked.of(tables)
    try:
        return _page(ranked, roadmap.matched(ranked), folder, pictures=True, x=x, live=live)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _every(ranked: Ranked, pictures: Pictures | bool) -> bool:
    """Whether those of single experiments are among the pictures."""
    return ranked.experiments <= MANY if pictures is True else pictures == "all"


def _page(
    ranked: Ranked,
    compared: roadmap.Matched,
    folder: Path,
    *,
    pictures: Pictures | bool,
    x: str | None,
    live: float = 0,
) -> Path:
    from ganbench.report import page  # here, since the leaderboard on the terminal does not need it

    shown: Literal["all", "best"] = "all" if _every(ranked, pictures) else "best"
    sheets: Literal["all", "best", "none"] = "none" if pictures == "none" else shown
    return page.write(ranked, compared, folder / "report", x=x, sheets=sheets, live=live)


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"the report cannot be written below {folder} ({error.strerror}); write it elsewhere with --to FOLDER"
    )


def _tables(ranked: Ranked, compared: roadmap.Matched, formats: Sequence[str]) -> dict[str, bytes]:
    """Name -> content of the files that are no pictures."""
    contents: dict[str, bytes] = {}
    matched = compared.files
    if "csv" in formats:
        contents["leaderboard.csv"] = files.csv(ranked).encode()
        contents["results.parquet"] = files.parquet(ranked)
        more = {"comparisons.csv": verdicts.csv(ranked), "matched.csv": matched.get("matched.csv", "")}
        more |= {"speed.csv": speed.csv(ranked), "probes.csv": probes.csv(ranked)}
        contents |= {name: text.encode() for name, text in more.items() if text}
    if "md" in formats:
        contents["leaderboard.md"] = files.markdown(ranked).encode()
        if "roadmap.md" in matched:
            contents["roadmap.md"] = matched["roadmap.md"].encode()
    if "latex" in formats:
        contents["leaderboard.tex"] = latex.document(ranked).encode()
    return contents


def _optional(formats: Sequence[str]) -> set[str]:
    """The files that are not in every report, and that an earlier one may have left."""
    of = {"csv": {"comparisons.csv", "matched.csv", "probes.csv", "speed.csv"}, "md": {"roadmap.md"}}
    return set().union(*(of.get(each, set()) for each in formats))
