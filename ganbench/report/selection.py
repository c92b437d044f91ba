"""How lucky a chosen snapshot was: the score that chose it, beside what it scores on fresh samples."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ganbench.report.leaderboard import Ranked, finished, ranking
from ganbench.report.statistics import intervals


def gaps(ranked: Ranked) -> pd.DataFrame:
    """One row per configuration with a chosen snapshot, in the order of the leaderboard.

    Columns: ``dataset, configuration, chosen, again`` (means of the ranked metric), ``gap`` with ``low`` and ``high``
    (95 % Student t interval over seeds) and ``n``. The score that chose is that of the evaluation at the same update.
    """
    return ranked.kept(_gaps)


def _gaps(ranked: Ranked) -> pd.DataFrame:
    metric = ranking(ranked.tables).metric
    scores = finished(ranked.tables)
    scores = scores[scores["metric"] == metric]
    again = scores[scores["point"] == "best"][["key", "generator_updates", "value"]]
    chosen = scores[scores["point"] == "curve"][["key", "generator_updates", "value"]]
    both = again.merge(chosen, on=["key", "generator_updates"], suffixes=("_again", "_chosen"))
    both = both.merge(ranked.cells[["key", "dataset", "configuration"]], on="key")
    after, before = (both[f"value_{which}"].to_numpy(dtype=float) for which in ("again", "chosen"))
    # Plain arrays: with thousands of configurations a data frame for each takes seconds.
    seeds: Any = both.groupby(["dataset", "configuration"]).indices
    board = ranked.leaderboards
    board = board[board["row"] == "configuration"]
    places = [at for at in zip(board["dataset"].tolist(), board["configuration"].tolist(), strict=True) if at in seeds]
    own = [seeds[at] for at in places]
    columns = [intervals([values[rows] for rows in own]) for values in (before, after, after - before)]
    rows = [
        (*at, first.mean, second.mean, *gap, len(numbers))
        for at, numbers, first, second, gap in zip(places, own, *columns, strict=True)
    ]
    return pd.DataFrame(rows, columns=["dataset", "configuration", "chosen", "again", "gap", "low", "high", "n"])


def sentence(ranked: Ranked, dataset: str) -> str:
    """One line for a terminal: how far scores of chosen snapshots got worse; empty where nothing tells."""
    table = gaps(ranked)
    table = table[table["dataset"] == dataset]
    if table.empty:
        return ""
    by = ranking(ranked.tables)
    worst = table["gap"].max() if by.lower else -table["gap"].min()
    mean = float(table["gap"].mean()) * (1 if by.lower else -1)
    word = "worse" if mean >= 0 else "better"
    many = f", at most {worst:.2g}" if len(table) > 1 and worst > 0 else ""
    return f"chosen snapshots scored {abs(mean):.2g} {word} on fresh samples than when they were chosen{many}"
