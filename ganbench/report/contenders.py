"""Who is compared with whom: the best configuration of every variant on every dataset, and its scores seed by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from ganbench.report.leaderboard import Ranked, finished, ranking
from ganbench.report.words import clean


class Contender(NamedTuple):
    """A variant on a dataset: its best configuration by the ranked score, and what that scored.

    `configuration` is empty where none of its cells has the score. `scores`: seed -> ranked score, where there is one;
    `planned` are the seeds that were asked for; `missing` says what became of cells without (``2 failed``).
    """

    dataset: str
    variant: str
    configuration: str
    scores: Mapping[int, float]
    planned: frozenset[int]
    missing: str


def contenders(ranked: Ranked) -> dict[str, list[Contender]]:
    """Dataset -> its contenders, best mean first, then those without a score. Both by name; what is skipped is none."""
    return ranked.kept(_contenders)


def _contenders(ranked: Ranked) -> dict[str, list[Contender]]:
    by = ranking(ranked.tables)
    board = ranked.leaderboards
    board = board[(board["row"] == "configuration") & (board["planned"] > 0)]
    first = board[board["rank"].notna()].drop_duplicates(["dataset", "variant"])
    best = {(row["dataset"], row["variant"]): row["configuration"] for row in first.to_dict("records")}
    scores = finished(ranked.tables)
    scores = scores[(scores["metric"] == by.metric) & (scores["point"] == by.at)]
    values = dict(zip(scores["key"].tolist(), scores["value"].tolist(), strict=True))
    cells = ranked.cells[ranked.cells["status"] != "skipped"]
    columns = ("key", "dataset", "variant", "configuration", "seed", "status")
    known: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for facts in zip(*(cells[name].tolist() for name in columns), strict=True):
        cell = dict(zip(columns, facts, strict=True))
        where = cell["dataset"], cell["variant"]
        if best.get(where, cell["configuration"]) == cell["configuration"]:
            known.setdefault(where, []).append(cell)
    found: dict[str, list[Contender]] = {}
    for where in [*best, *(where for where in known if where not in best)]:
        own = known[where]
        scored = {int(cell["seed"]): float(values[cell["key"]]) for cell in own if cell["key"] in values}
        without = [cell["status"] for cell in own if cell["key"] not in values]
        found.setdefault(where[0], []).append(
            Contender(
                clean(where[0]), clean(where[1]), clean(best.get(where, "")), dict(sorted(scored.items())),
                frozenset(int(cell["seed"]) for cell in own), _counted(without, by.metric),
            )
        )  # fmt: skip
    return dict(sorted(found.items()))


def _counted(statuses: Iterable[str], metric: str) -> str:
    counts = Counter(f"without {metric}" if status == "done" else status for status in statuses)
    return ", ".join(f"{count} {status}" for status, count in counts.most_common())


def everywhere(found: Mapping[str, list[Contender]]) -> tuple[list[str], list[str]]:
    """The variants that were planned on every dataset, by name, and those that were not."""
    planned = [{each.variant for each in several} for several in found.values()]
    every = set.intersection(*planned) if planned else set()
    return sorted(every), sorted(set().union(*planned) - every)


def matrix(found: Mapping[str, list[Contender]], variants: list[str]) -> pd.DataFrame:
    """The mean ranked score of each of `variants` on each dataset (rows); NaN where a variant has none."""
    rows = {}
    for dataset, several in found.items():
        means = {each.variant: sum(each.scores.values()) / len(each.scores) for each in several if each.scores}
        rows[dataset] = [means.get(variant, float("nan")) for variant in variants]
    return pd.DataFrame.from_dict(rows, orient="index", columns=variants, dtype=float)
