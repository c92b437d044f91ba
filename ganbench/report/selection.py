"""How lucky a chosen snapshot was: the score that chose it, beside what it scores on fresh samples."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ganbench.report.leaderboard import Ranked, finished, ranking
from ganbench.report.statistics import interval


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
    found: dict[Any, pd.DataFrame] = dict(iter(both.groupby(["dataset", "configuration"])))
    rows = []
    board = ranked.leaderboards
    for row in board[board["row"] == "configuration"].to_dict("records"):
        group = found.get((row["dataset"], row["configuration"]))
        if group is not None:
            mean, low, high = interval(group["value_again"] - group["value_chosen"])
            means = float(group["value_chosen"].mean()), float(group["value_again"].mean())
            rows.append((row["dataset"], row["configuration"], *means, mean, low, high, len(group)))
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
