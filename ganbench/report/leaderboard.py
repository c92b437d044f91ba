"""From the records of a run to one tidy table of leaderboards, full precision, nothing hidden."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
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
#: Begins the name of images that were scored from files and not trained here.
MARK = "†"
#: The order of the kinds of rows; a configuration whose cells are all skipped comes after the others.
_PLACES = {"configuration": 0, "scored": 2, "baseline": 3, "real": 4}
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


def ordered(tables: Tables) -> Tables:
    """The tables in one order, whatever order their cells have in the plan: sums are the same to the last bit."""
    cells = tables.cells.sort_values(["dataset", "variant", "seed", "key"], kind="stable", ignore_index=True)
    scores = tables.scores
    cell = pd.Index(cells["key"]).get_indexer(pd.Index(scores["key"]))
    by = [pd.factorize(scores[name], sort=True)[0] for name in ("point", "metric")]
    order = np.lexsort([scores["generator_updates"].to_numpy(dtype=float), *by, cell])
    return tables._replace(cells=cells, scores=scores.take(order).reset_index(drop=True))


class Ranked:
    """The tables of a run, `ordered`, and what several parts of a report need of them, each worked out once."""

    def __init__(self, tables: Tables) -> None:
        self.tables = ordered(tables)
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
        return len(self.tables.cells[["dataset", "variant"]].drop_duplicates())

    @cached_property
    def leaderboards(self) -> pd.DataFrame:
        return leaderboards(self)


def finished(tables: Tables) -> pd.DataFrame:
    """The finite scores of the cells that are done. What failed or diverged on its way never enters a mean."""
    done = tables.cells.loc[tables.cells["status"] == "done", "key"]
    kept = tables.scores["key"].isin(done) & np.isfinite(tables.scores["value"])
    return tables.scores if kept.all() else tables.scores[kept]


def leaderboards(tables: Tables | Ranked) -> pd.DataFrame:
    """One row per configuration and dataset, and per dataset one for each baseline and one for the real test images.

    Images that were scored from files (`Tables.scored`) and guesses that translations have to better have rows of their
    own, never ranked; those of files are called ``† name``.
    Columns: ``dataset, row`` (``configuration``, ``scored``, ``baseline`` or ``real``), ``rank`` (missing where nothing
    was scored, equal for equal means), ``variant, configuration, params`` (JSON); for every metric, at ``best`` and at
    ``last``, ``<metric>_<point>_mean``, ``_low`` and ``_high`` (95 % Student t interval over seeds, NaN for one seed)
    and ``_n``; ``n`` (seeds in the ranked mean), ``planned`` (seeds asked for, skipped ones left out), ``statuses``
    (``2 done, 1 diverged``), ``reason`` (why seeds are not done) and ``seconds`` (mean over done cells).
    In all rows but configurations ``n`` counts images. Datasets by name; within one by rank, then unscored, skipped,
    scored, baselines, real.
    """
    ranked = Ranked.of(tables)
    cells, tables = ranked.cells, ranked.tables
    ranked_by = ranking(tables)
    # No data frame for each configuration: with thousands of them that takes minutes.
    places = list(zip(*(cells[name].tolist() for name in ("dataset", "variant", "config")), strict=True))
    configurations = sorted(set(places))
    numbers = {at: number for number, at in enumerate(configurations)}
    of_cell = np.array([numbers[at] for at in places], int)
    seeds: list[list[_Seed]] = [[] for _ in configurations]
    columns = (cells[name].tolist() for name in _Seed._fields)
    for number, facts in zip(of_cell.tolist(), zip(*columns, strict=True), strict=True):
        seeds[number].append(_Seed(*facts))
    scores = finished(tables._replace(scores=tables.scores[tables.scores["point"] != "curve"]))
    asked = [(metric, point) for metric in ranked_by.directions for point in POINTS]
    cell = pd.Index(cells["key"]).get_indexer(pd.Index(scores["key"]))
    here = pd.MultiIndex.from_arrays([scores["metric"], scores["point"]])
    which = pd.MultiIndex.from_tuples(asked).get_indexer(here)
    sample = of_cell[cell[which >= 0]] * len(asked) + which[which >= 0]
    values = scores["value"].to_numpy(dtype=float)[which >= 0][np.argsort(sample, kind="stable")]
    counts = np.bincount(sample, minlength=len(seeds) * len(asked))
    samples = np.split(values, np.cumsum(counts)[:-1]) if len(counts) else []
    found = iter(zip(intervals(samples), counts.tolist(), strict=True))
    rows = [
        _row(at, cells, dict(zip(asked, itertools.islice(found, len(asked)), strict=True)), ranked_by)
        for at, cells in zip(configurations, seeds, strict=True)
    ]
    rows += [
        _bound(str(dataset), "real", REAL, _known(group), ranked_by)
        for dataset, group in tables.references.groupby("dataset")
    ]
    for about in tables.datasets.to_dict("records"):
        for name, guessed in (about.get("baselines") or {}).items():
            known = {metric: (one["value"], one["samples"]) for metric, one in guessed.items()}
            rows.append(_bound(about["dataset"], "baseline", clean(name), known, ranked_by))
    for (dataset, name, digest), group in tables.scored.dropna(subset="metric").groupby(["dataset", "name", "sha256"]):
        row = _bound(str(dataset), "scored", f"{MARK} {clean(name)}", _known(group), ranked_by)
        hidden = [f"; {metric}: {why}" for metric, why in zip(group["metric"], group["note"], strict=True) if why]
        said = f"scored from files, not trained here; sha256 {digest}{''.join(hidden)}"
        rows.append({**row, "reason": clean(said)})
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


class _Seed(NamedTuple):
    """What a row needs of one of its cells."""

    configuration: str
    status: str
    reason: str
    seconds: float


def _row(
    at: tuple[str, str, str],
    cells: list[_Seed],
    found: dict[tuple[str, str], tuple[Interval, int]],
    ranked_by: Ranking,
) -> dict[str, Any]:
    """The row of one configuration, by dataset, variant and parameters: `cells` are its seeds.

    `found` has by metric and point the mean of its done cells, and how many have the score.
    """
    statuses = Counter(cell.status for cell in cells)
    reasons = [clean(cell.reason) for cell in cells if cell.reason]
    spent = [float(cell.seconds) for cell in cells if cell.status == "done" and not pd.isna(cell.seconds)]
    row: dict[str, Any] = {
        "dataset": at[0],
        "row": "configuration",
        "variant": at[1],
        "configuration": cells[0].configuration,
        "params": at[2],
        "planned": len(cells) - statuses["skipped"],
        "statuses": ", ".join(f"{count} {status}" for status, count in statuses.most_common()),
        "reason": "; ".join(dict.fromkeys(reasons)),
        "seconds": sum(spent) / len(spent) if spent else math.nan,
    }
    for (metric, point), ((mean, low, high), n) in found.items():
        name = f"{metric}_{point}"
        row |= {f"{name}_mean": mean, f"{name}_low": low, f"{name}_high": high, f"{name}_n": n}
    return {**row, "n": row[f"{ranked_by.metric}_{ranked_by.at}_n"]}


def _known(scores: pd.DataFrame) -> dict[str, tuple[float, int]]:
    """Metric -> value and number of images, of what has a value."""
    known = scores.dropna(subset="value")
    return dict(zip(known["metric"], zip(known["value"], known["samples"], strict=True), strict=True))


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
