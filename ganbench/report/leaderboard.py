"""From the records of a run to one tidy table of leaderboards, full precision, nothing hidden."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from ganbench.contracts import Tables
from ganbench.report.configurations import labelled
from ganbench.report.statistics import Interval, intervals
from ganbench.report.words import clean

POINTS = ("best", "last")
REAL = "real test images"
_PLACES = {"configuration": 0, "baseline": 2, "real": 4}
Found = TypeVar("Found")


class Ranking(NamedTuple):
    """What a run is ranked by, and all its metrics with the ranked one first."""

    metric: str
    at: Literal["best", "last"]
    directions: dict[str, Literal["lower", "higher"]]

    @property
    def lower(self) -> bool:
        """Whether lower is better."""
        return self.directions[self.metric] == "lower"


def ranking(tables: Tables) -> Ranking:
    metric = tables.run["rank"]["metric"]
    directions = {name: facts["direction"] for name, facts in tables.run["metrics"].items()}
    return Ranking(metric, tables.run["rank"]["at"], {metric: directions.get(metric, "lower"), **directions})


class Ranked:
    """The tables of a run, and what several parts of a report need of them, each worked out once."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._kept: dict[Callable[[Any], Any], Any] = {}

    @classmethod
    def of(cls, tables: Tables | Ranked) -> Ranked:
        return tables if isinstance(tables, Ranked) else cls(tables)

    def kept(self, make: Callable[[Ranked], Found]) -> Found:
        """What `make` makes of this, made once."""
        if make not in self._kept:
            self._kept[make] = make(self)
        found: Found = self._kept[make]
        return found

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The cells with the names of their configurations."""
        return labelled(self.tables.cells)

    @cached_property
    def experiments(self) -> int:
        """How many there are: variants on a dataset."""
        return len(set(zip(self.tables.cells["dataset"], self.tables.cells["variant"], strict=True)))

    @cached_property
    def leaderboards(self) -> pd.DataFrame:
        return leaderboards(self)


def finished(tables: Tables) -> pd.DataFrame:
    """The finite scores of the cells that are done. What failed or diverged on its way never enters a mean."""
    done = tables.cells.loc[tables.cells["status"] == "done", "key"]
    scores: pd.DataFrame = tables.scores[tables.scores["key"].isin(done) & np.isfinite(tables.scores["value"])]
    return scores


def leaderboards(tables: Tables | Ranked) -> pd.DataFrame:
    """One row per configuration and dataset, and per dataset one for each baseline and one for the real test images.

    Columns: ``dataset, row`` (``configuration``, ``baseline`` or ``real``), ``rank`` (missing where nothing was scored,
    equal for equal means), ``variant, configuration, params`` (JSON); for every metric at ``best`` and at ``last``
    ``<metric>_<point>_mean``, ``_low`` and ``_high`` (95 % Student t interval over seeds, NaN for one seed) and ``_n``;
    ``n`` (seeds in the ranked mean), ``planned`` (seeds asked for, skipped ones left out), ``statuses``
    (``2 done, 1 diverged``), ``reason`` (why seeds are not done) and ``seconds`` (mean over done cells).
    In baselines and real rows ``n`` counts images. Datasets by name; within one by rank, then unscored, skipped,
    baselines, real.
    """
    cells, tables = Ranked.of(tables).cells, Ranked.of(tables).tables
    ranked_by = ranking(tables)
    # Plain dictionaries: with thousands of configurations a data frame for each takes minutes.
    seeds: dict[tuple[Any, ...], list[dict[Hashable, Any]]] = {}
    configurations: dict[str, tuple[Any, ...]] = {}
    columns = ["key", "dataset", "variant", "config", "configuration", "status", "reason", "seconds"]
    for cell in cells[columns].to_dict("records"):
        where = configurations[cell["key"]] = cell["dataset"], cell["variant"], cell["config"]
        seeds.setdefault(where, []).append(cell)
    scores = finished(tables._replace(scores=tables.scores[tables.scores["point"] != "curve"]))
    values: dict[tuple[Any, ...], list[float]] = {}
    columns = ["key", "metric", "point", "value"]
    for key, metric, point, value in zip(*(scores[name].tolist() for name in columns), strict=True):
        values.setdefault((*configurations[key], metric, point), []).append(value)
    asked = [(*where, metric, point) for where in sorted(seeds) for metric in ranked_by.directions for point in POINTS]
    samples = [values.get(each, []) for each in asked]
    found = dict(zip(asked, zip(intervals(samples), map(len, samples), strict=True), strict=True))
    rows = [_row(seeds[where], found, ranked_by) for where in sorted(seeds)]
    rows += [_real(str(dataset), group, ranked_by) for dataset, group in tables.references.groupby("dataset")]
    for facts in tables.datasets.to_dict("records"):
        for name, scores in (facts.get("baselines") or {}).items():
            known = {metric: (one["value"], one["samples"]) for metric, one in scores.items()}
            rows.append(_bound(facts["dataset"], "baseline", clean(name), known, ranked_by))
    table = pd.DataFrame(rows, columns=_columns(ranked_by))
    value = table[f"{ranked_by.metric}_{ranked_by.at}_mean"].astype(float).where(table["row"] == "configuration")
    ranks = value.groupby(table["dataset"]).rank(method="min", ascending=ranked_by.lower)
    table["rank"] = ranks.astype("Int64")
    place = table["row"].map(_PLACES) + (table["planned"] == 0) * 1
    order = table.assign(_place=place).sort_values(["dataset", "_place", "rank", "configuration"], na_position="last")
    return order.drop(columns="_place").reset_index(drop=True)


def _columns(ranked_by: Ranking) -> list[str]:
    scores = [
        f"{metric}_{point}_{part}"
        for metric in ranked_by.directions
        for point in POINTS
        for part in ("mean", "low", "high", "n")
    ]
    first = ["dataset", "row", "rank", "variant", "configuration", "params"]
    return [*first, *scores, "n", "planned", "statuses", "reason", "seconds"]


def _row(
    cells: list[dict[Hashable, Any]], found: dict[Any, tuple[Interval, int]], ranked_by: Ranking
) -> dict[str, Any]:
    """The row of one configuration: `cells` are its seeds, `found` has the scores of all configurations' done cells."""
    statuses = Counter(cell["status"] for cell in cells)
    reasons = [clean(cell["reason"]) for cell in cells if cell["reason"]]
    spent = [float(cell["seconds"]) for cell in cells if cell["status"] == "done" and not pd.isna(cell["seconds"])]
    row: dict[str, Any] = {
        "dataset": cells[0]["dataset"],
        "row": "configuration",
        "variant": cells[0]["variant"],
        "configuration": cells[0]["configuration"],
        "params": cells[0]["config"],
        "planned": len(cells) - statuses["skipped"],
        "statuses": ", ".join(f"{count} {status}" for status, count in statuses.most_common()),
        "reason": "; ".join(dict.fromkeys(reasons)),
        "seconds": sum(spent) / len(spent) if spent else math.nan,
    }
    for metric in ranked_by.directions:
        for point in POINTS:
            (mean, low, high), n = found[row["dataset"], row["variant"], row["params"], metric, point]
            name = f"{metric}_{point}"
            row |= {f"{name}_mean": mean, f"{name}_low": low, f"{name}_high": high, f"{name}_n": n}
    return {**row, "n": row[f"{ranked_by.metric}_{ranked_by.at}_n"]}


def _real(dataset: str, references: pd.DataFrame, ranked_by: Ranking) -> dict[str, Any]:
    """The row of the real test images of one dataset."""
    known = references.dropna(subset="value").set_index("metric")
    scores = dict(zip(known.index, zip(known["value"], known["samples"], strict=True), strict=True))
    return _bound(dataset, "real", REAL, scores, ranked_by)


def _bound(
    dataset: str, kind: str, name: str, known: dict[str, tuple[float, int]], ranked_by: Ranking
) -> dict[str, Any]:
    """The row of what was not trained: a bound, the same at best and at last. `known`: metric -> value and images."""
    row: dict[str, Any] = {"dataset": dataset, "row": kind, "configuration": name, "variant": "", "params": ""}
    row |= {"planned": 0, "statuses": "", "reason": "", "seconds": math.nan}
    for metric in ranked_by.directions:
        value, samples = known.get(metric, (math.nan, 0))
        for point in POINTS:
            column = f"{metric}_{point}"
            row |= {f"{column}_mean": value, f"{column}_low": math.nan, f"{column}_high": math.nan}
            row[f"{column}_n"] = samples
    return {**row, "n": row[f"{ranked_by.metric}_{ranked_by.at}_n"]}
