"""Reports: leaderboards, plots and sample sheets, all derived from the store and nothing else.

`write` makes the files below ``results/<name>``, `terminal` prints the leaderboards, `leaderboards` is the table behind
both.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from ganbench.contracts import Tables
from ganbench.report import files
from ganbench.report.leaderboard import leaderboards, ranking
from ganbench.report.statistics import Interval, interval
from ganbench.report.terminal import terminal
from ganbench.store import Store, slug, write_atomically

__all__ = ["Interval", "interval", "leaderboards", "terminal", "write"]

_PICTURES = ("curves-*", "comparison-*", "samples-*")


def write(store: Store, tables: Tables | None = None, *, pictures: bool = True) -> list[Path]:
    """Write every derived file below `store` anew and return their paths; without `pictures` only the tables.

    `tables` are the store's, where they have been read already. Raises `UserError` when it is no store.
    """
    tables = tables or store.tables()
    contents = {
        store.root / "leaderboard.csv": files.csv(tables).encode(),
        store.root / "leaderboard.md": files.markdown(tables).encode(),
        store.root / "results.parquet": files.parquet(tables),
    }
    written = []
    for path, content in contents.items():
        write_atomically(path, content)
        written.append(path)
    if not pictures:
        return written
    folder = store.root / "report"
    folder.mkdir(exist_ok=True)
    for name, content in _pictures(tables):
        write_atomically(folder / name, content)
        written.append(folder / name)
    # A picture of what is no longer part of the run would be taken for a part of it.
    for pattern in _PICTURES:
        for path in sorted(set(folder.glob(pattern)) - set(written)):
            path.unlink()
    return written


def _pictures(tables: Tables) -> Iterator[tuple[str, bytes]]:
    """File name and content of every picture, one figure in memory at a time."""
    # Here and not above: seaborn takes seconds to import, and the leaderboard on the terminal does not need it.
    from ganbench.report import plots, sheets
    from ganbench.report.style import saved

    for dataset in sorted(set(tables.cells["dataset"])):
        named = slug(dataset)
        for metric in ranking(tables).directions:
            if figure := plots.curves(tables, dataset, metric):
                for suffix, content in saved(figure).items():
                    yield f"curves-{named}-{slug(metric)}.{suffix}", content
        if figure := plots.comparison(tables, dataset):
            for suffix, content in saved(figure).items():
                yield f"comparison-{named}.{suffix}", content
        buffer = io.BytesIO()
        sheets.compose(sheets.panels(tables, dataset)).save(buffer, "PNG")
        yield f"samples-{named}.png", buffer.getvalue()
