"""Reports: leaderboards, plots and sample sheets, all derived from the records and nothing else.

`write` makes all files of a report in one folder, `terminal` prints the leaderboards, `leaderboards` is the table
behind both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ganbench.aside import LARGE, aside
from ganbench.contracts import Tables
from ganbench.errors import UserError
from ganbench.report import files, roadmap, speed
from ganbench.report.axes import AXES
from ganbench.report.leaderboard import Ranked, leaderboards
from ganbench.report.statistics import Interval, interval
from ganbench.report.terminal import terminal
from ganbench.store import write_atomically

__all__ = ["AXES", "MANY", "Interval", "Pictures", "Ranked", "interval", "leaderboards", "terminal", "write"]


#: Of more experiments (variants on a dataset) than this a report leaves out the pictures of single ones.
MANY = 50
Pictures = Literal["all", "datasets", "none"]


def write(
    tables: Tables | Ranked, folder: Path, *, pictures: Pictures | bool = True, x: str | None = None
) -> list[Path]:
    """Write every derived file below `folder` anew and return their paths.

    With `pictures` ``datasets`` those of single experiments are left out, as they are by themselves where there are
    more than `MANY`; with ``none`` or False all of them. `x` is one of `AXES`, the x axis of the learning curves; None
    takes the unit of the budget. Raises `UserError` where nothing can be written.
    """
    ranked = Ranked.of(tables)

    def draw() -> list[Path]:
        # Here and not above: seaborn takes seconds to import, and the leaderboard on the terminal does not need it.
        from ganbench.report.pictures import draw as drawn

        every = ranked.experiments <= MANY if pictures is True else pictures == "all"
        return drawn(ranked, folder / "report", x, experiments=every)

    def nothing() -> list[Path]:
        return []

    drawn = nothing if pictures in (False, "none") else draw
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if drawn is draw and len(ranked.tables.cells) > LARGE:
            # While the tables are written.
            drawn = aside(draw, "it drew the pictures: --pictures none leaves them out")
        contents = _tables(ranked, folder)
        for path in {folder / name for name in (*roadmap.FILES, "speed.csv")} - set(contents):
            path.unlink(missing_ok=True)
        for path, content in contents.items():
            write_atomically(path, content)
        return [*contents, *drawn()]
    except OSError as error:
        raise UserError(
            f"the report cannot be written below {folder} ({error.strerror}); write it elsewhere with --to FOLDER"
        ) from error


def _tables(ranked: Ranked, folder: Path) -> dict[Path, bytes]:
    """The files that are no pictures, with their contents."""
    contents = {
        folder / "leaderboard.csv": files.csv(ranked).encode(),
        folder / "leaderboard.md": files.markdown(ranked).encode(),
        folder / "results.parquet": files.parquet(ranked),
        **{folder / name: text.encode() for name, text in roadmap.files(ranked.tables).items()},
    }
    if costs := speed.csv(ranked):
        contents[folder / "speed.csv"] = costs.encode()
    return contents
