"""What all pictures of one report are drawn from, worked out once: curves over seeds, ranks, names and colours."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ganbench.contracts import Tables
from ganbench.report.axes import default_axis
from ganbench.report.colours import Colour, variant_colours
from ganbench.report.configurations import canonical, differing
from ganbench.report.leaderboard import Ranked, Ranking, finished, ranking

#: x (ascending) and the values there.
Points = tuple[np.ndarray, np.ndarray]


class Curve(NamedTuple):
    """A score along an axis: the mean over `n` seeds (or configurations), their lowest and their highest."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int


@dataclass(frozen=True)
class Configuration:
    """One configuration of a dataset: a variant with its parameters. `curves`: metric -> curve, where it has one.

    `name` is what the leaderboard calls it, `settings` the same without the variant. `labels` say how names show each
    parameter. `n` of `planned` seeds have the ranked score.
    """

    variant: str
    name: str
    settings: str
    params: Mapping[str, Any]
    labels: Mapping[str, str]
    symbols: Mapping[str, str]
    n: int
    planned: int
    ranked: bool
    row: Mapping[Hashable, Any] = field(repr=False)
    curves: Mapping[str, Curve] = field(repr=False)

    @property
    def seeds(self) -> int:
        """How many seeds have curves."""
        return max((curve.n for curve in self.curves.values()), default=0)


class Study:
    """The records of a report. `axis` is the column of the scores that learning curves are drawn against."""

    def __init__(self, tables: Tables | Ranked, axis: str | None = None) -> None:
        self.ranked = Ranked.of(tables)
        self.tables = tables = self.ranked.tables
        self.axis = axis or default_axis(tables.run)
        self.ranking: Ranking = ranking(tables)
        self.colours: dict[str, Colour] = variant_colours(list(tables.cells["variant"]))
        self._configurations: dict[str, list[Configuration]] = {}

    @property
    def datasets(self) -> list[str]:
        return sorted(set(self.tables.cells["dataset"]))

    @property
    def metrics(self) -> list[str]:
        """All metrics, the ranked one first."""
        return list(self.ranking.directions)

    @property
    def cells(self) -> pd.DataFrame:
        return self.ranked.cells

    @cached_property
    def finals(self) -> pd.DataFrame:
        """The finite scores of done cells at best and at last, each with its configuration."""
        return self._finite(self.tables.scores["point"] != "curve")

    @cached_property
    def _curves(self) -> dict[tuple[str, str], dict[str, Curve]]:
        """(dataset, configuration) -> metric -> curve."""
        scores, found = self.tables.scores, dict[tuple[str, str], dict[str, Curve]]()
        in_training = scores["point"] == "curve"
        for metric in scores["metric"].unique():  # one after the other, since all at once take half a gigabyte
            for at, own in curves(self._finite(in_training & (scores["metric"] == metric)), self.axis).items():
                found.setdefault(at, {}).update(own)
        return found

    def _finite(self, rows: pd.Series[bool]) -> pd.DataFrame:
        """The finite scores of done cells among these rows, each with its configuration."""
        columns = ["key", "dataset", "seed", "metric", "point", "generator_updates", "value", self.axis]
        scores = finished(self.tables._replace(scores=self.tables.scores.loc[rows, [*dict.fromkeys(columns)]]))
        names = self.cells.set_index("key")["configuration"]
        return scores.assign(configuration=scores["key"].map(names))

    @cached_property
    def _board(self) -> pd.DataFrame:
        board = self.ranked.leaderboards
        return board[board["row"] == "configuration"]

    def configurations(self, dataset: str) -> list[Configuration]:
        """Those of `dataset`, best first, then those without a score."""
        if dataset not in self._configurations:
            cells = self.cells[self.cells["dataset"] == dataset].drop_duplicates("configuration")
            facts = {cell["configuration"]: cell for cell in cells.to_dict("records")}
            self._configurations[dataset] = [
                Configuration(
                    variant=row["variant"],
                    name=row["configuration"],
                    n=row["n"],
                    planned=row["planned"],
                    ranked=not pd.isna(row["rank"]),
                    row=row,
                    curves=self._curves.get((dataset, row["configuration"]), {}),
                    **{name: facts[row["configuration"]][name] for name in ("params", "labels", "symbols", "settings")},
                )
                for row in self._board[self._board["dataset"] == dataset].to_dict("records")
            ]
        return self._configurations[dataset]

    def experiment(self, dataset: str, variant: str) -> list[Configuration]:
        """The configurations of one variant that have curves, best first."""
        return [each for each in self.configurations(dataset) if each.variant == variant and each.curves]

    def experiments(self, dataset: str) -> dict[str, list[Configuration]]:
        """Variant -> its configurations with curves, in the order of the variants' best ones."""
        variants = dict.fromkeys(each.variant for each in self.configurations(dataset) if each.curves)
        return {variant: self.experiment(dataset, variant) for variant in variants}

    def real(self, dataset: str, metric: str) -> float | None:
        """The score of the real test images."""
        references = self.tables.references
        rows = references[(references["dataset"] == dataset) & (references["metric"] == metric)]
        values = rows["value"].dropna()
        return float(values.iloc[0]) if len(values) else None


def curves(scores: pd.DataFrame, axis: str) -> dict[tuple[str, str], dict[str, Curve]]:
    """(dataset, configuration) -> metric -> curve along `axis`, of finite scores with their configurations."""
    points = scores[scores["point"] == "curve"]
    found: dict[tuple[str, str], dict[str, Curve]] = {}
    if points.empty:
        return found
    names = ["dataset", "configuration", "metric"]
    place, seed = points.groupby(names).ngroup().to_numpy(), points["seed"].to_numpy()
    order = np.lexsort((points[axis].to_numpy(dtype=float), seed, place))
    place, seed = place[order], seed[order]
    x, values = (points[name].to_numpy(dtype=float)[order] for name in (axis, "value"))
    # Where the line of every seed begins and how many points it has; of every curve its first line and how many.
    start = np.flatnonzero((np.diff(place, prepend=-1) != 0) | (np.diff(seed, prepend=-1) != 0))
    length = np.diff(start, append=len(place))
    first = np.flatnonzero(np.diff(place[start], prepend=-1))
    lines = np.diff(first, append=len(start))
    equal = np.minimum.reduceat(length, first) == np.maximum.reduceat(length, first)
    shapes = np.stack([lines, np.where(equal, length[first], 0)], axis=1)
    where = list(zip(*(points[name].iloc[order[start[first]]].tolist() for name in names), strict=True))
    for several, many in np.unique(shapes, axis=0).tolist():
        numbers = np.flatnonzero((shapes == (several, many)).all(axis=1))
        if many:
            rows = start[first[numbers]][:, None] + np.arange(several * many)
            drawn = _mean_curves(x[rows].reshape(-1, several, many), values[rows].reshape(-1, several, many))
        else:
            ends = [slice(start[line], start[line] + length[line]) for line in range(len(start))]
            drawn = [
                mean_curve([(x[own], values[own]) for own in ends[first[number] : first[number] + several]])
                for number in numbers
            ]
        for number, curve in zip(numbers.tolist(), drawn, strict=True):
            dataset, name, metric = where[number]
            found.setdefault((dataset, name), {})[metric] = curve
    return found


def _mean_curves(x: np.ndarray, values: np.ndarray) -> list[Curve]:
    """The `mean_curve` of each of many that have equally many lines of as many points: curves × lines × points."""
    grid = x[:, 0]
    alike = (x == x[:, :1]).all(axis=(1, 2)) & (np.diff(grid) > 0).all(axis=1)
    means = zip(grid, values.mean(axis=1), values.min(axis=1), values.max(axis=1), strict=True)
    return [
        Curve(*parts, len(own)) if plain else mean_curve(list(zip(own_x, own, strict=True)))
        for parts, plain, own_x, own in zip(means, alike.tolist(), x, values, strict=True)
    ]


def mean_curve(series: Sequence[Points]) -> Curve:
    """The mean of several lines of points (x ascending) with their lowest and highest, where all of them have values.

    Seeds are not evaluated at the same seconds, nor configurations at the same updates; a mean over whichever happens
    to be there would jump from one to the other. So each is interpolated, and what only some have reached is left out.
    Where they share no stretch at all, their points stay as they are.
    """
    grid = series[0][0]
    if all(np.array_equal(x, grid) for x, _ in series) and (np.diff(grid) > 0).all():
        values = np.stack([y for _, y in series])
        return Curve(grid, values.mean(axis=0), values.min(axis=0), values.max(axis=0), len(series))
    first, last = max(x[0] for x, _ in series), min(x[-1] for x, _ in series)
    grid = np.unique(np.concatenate([x for x, _ in series]))
    if first <= last:
        grid = grid[(grid >= first) & (grid <= last)]
        values = np.stack([np.interp(grid, x, y) for x, y in series])
        return Curve(grid, values.mean(axis=0), values.min(axis=0), values.max(axis=0), len(series))
    x, y = (np.concatenate(part) for part in zip(*series, strict=True))
    order = np.argsort(x, kind="stable")
    return Curve(x[order], y[order], y[order], y[order], len(series))


def swept(configurations: list[Configuration]) -> list[str]:
    """The parameters that do not have one value in all `configurations`."""
    return differing([dict(each.params) for each in configurations])


def balanced(groups: list[list[Configuration]], name: str) -> bool:
    """Whether the groups, apart by the value of the parameter `name`, have the same other settings and metrics."""
    others = [
        {canonical([{**each.params, name: None}, sorted(each.curves)]) for each in configurations}
        for configurations in groups
    ]
    return all(settings == others[0] for settings in others)
