"""From the records of a run to one tidy table of leaderboards, full precision, nothing hidden."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from ganbench.contracts import Tables
from ganbench.report.configurations import labelled
from ganbench.report.statistics import interval
from ganbench.report.words import clean

POINTS = ("best", "last")
REAL = "real test images"


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


def finished(tables: Tables) -> pd.DataFrame:
    """The finite scores of the cells that are done. What failed or diverged on its way never enters a mean."""
    done = tables.cells.loc[tables.cells["status"] == "done", "key"]
    scores: pd.DataFrame = tables.scores[tables.scores["key"].isin(done) & np.isfinite(tables.scores["value"])]
    return scores


def leaderboards(tables: Tables) -> pd.DataFrame:
    """One row per configuration and dataset, and one per dataset for the real test images.

    Columns: ``dataset, row`` (``configuration`` or ``real``), ``rank`` (missing where nothing was scored, equal for
    equal means), ``variant, configuration, params`` (JSON); for every metric and each of ``best`` and ``last``
    ``<metric>_<point>_mean``, ``_low`` and ``_high`` (95 % Student t interval over seeds, NaN for one seed) and ``_n``;
    ``n`` (seeds in the ranked mean), ``planned`` (seeds asked for, skipped ones left out), ``statuses``
    (``2 done, 1 diverged``), ``reason`` (why seeds are not done) and ``seconds`` (mean over done cells).
    In a real row ``n`` counts images. Datasets by name; within one by rank, then unscored, then skipped, then real.
    """
    ranked_by = ranking(tables)
    cells = labelled(tables.cells)
    names = ["dataset", "variant", "config"]
    scores = finished(tables).drop(columns=["dataset", "variant"])
    scores = scores[scores["point"] != "curve"].merge(cells[["key", *names]], on="key")
    values = scores.groupby([*names, "metric", "point"])["value"].agg(list).to_dict()
    # Plain dictionaries: with hundreds of configurations a data frame for each takes seconds.
    seeds: dict[tuple[Any, ...], list[dict[Hashable, Any]]] = {}
    for cell in cells.to_dict("records"):
        seeds.setdefault(tuple(cell[name] for name in names), []).append(cell)
    rows = [_row(seeds[where], values, ranked_by) for where in sorted(seeds)]
    rows += [_real(str(dataset), group, ranked_by) for dataset, group in tables.references.groupby("dataset")]
    table = pd.DataFrame(rows, columns=_columns(ranked_by))
    value = table[f"{ranked_by.metric}_{ranked_by.at}_mean"].astype(float).where(table["row"] == "configuration")
    ranks = value.groupby(table["dataset"]).rank(method="min", ascending=ranked_by.lower)
    table["rank"] = ranks.astype("Int64")
    place = (table["row"] == "real") * 2 + (table["planned"] == 0) * 1
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


def _row(cells: list[dict[Hashable, Any]], values: dict[Any, list[float]], ranked_by: Ranking) -> dict[str, Any]:
    """The row of one configuration: `cells` are its seeds, `values` the scores of all configurations' done cells."""
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
            seeds = values.get((row["dataset"], row["variant"], row["params"], metric, point), [])
            mean, low, high = interval(seeds)
            name = f"{metric}_{point}"
            row |= {f"{name}_mean": mean, f"{name}_low": low, f"{name}_high": high, f"{name}_n": len(seeds)}
    return {**row, "n": row[f"{ranked_by.metric}_{ranked_by.at}_n"]}


def _real(dataset: str, references: pd.DataFrame, ranked_by: Ranking) -> dict[str, Any]:
    """The row of the real test images of one dataset: a bound, the same at best and at last."""
    row: dict[str, Any] = {"dataset": dataset, "row": "real", "configuration": REAL, "variant": "", "params": ""}
    row |= {"planned": 0, "statuses": "", "reason": "", "seconds": math.nan}
    known = references.dropna(subset="value").set_index("metric")
    for metric in ranked_by.directions:
        value, samples = (
            (known.at[metric, "value"], known.at[metric, "samples"]) if metric in known.index else (math.nan, 0)
        )
        for point in POINTS:
            name = f"{metric}_{point}"
            row |= {f"{name}_mean": value, f"{name}_low": math.nan, f"{name}_high": math.nan, f"{name}_n": samples}
    return {**row, "n": row[f"{ranked_by.metric}_{ranked_by.at}_n"]}
