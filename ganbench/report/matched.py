"""Matched comparisons: what one parameter alone changes, from pairs of cells that differ in nothing else."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd

from ganbench.contracts import Tables
from ganbench.report.leaderboard import leaderboards, ranking
from ganbench.report.pairs import AXES, Pair, find, groups, never_alone, ordered
from ganbench.report.statistics import interval
from ganbench.report.words import for_csv

#: With fewer pairs there is no verdict.
FEWEST = 3
Verdict = Literal["helps", "hurts", "no clear effect", "too few pairs"]


class Comparison(NamedTuple):
    """What `b` changes against `a`, by one metric at equal `axis`: the columns of the table that `matched` returns.

    ``mean`` is the mean over pairs of log(metric of b) - log(metric of a) for a metric of which lower is better, of the
    plain difference for others; ``low`` and ``high`` are the ends of its 95 % Student t interval, NaN unless the pairs
    have two seeds at least; ``ratio`` is exp(mean) or NaN. ``n`` counts the pairs in the mean, ``planned`` those that
    the plan has, ``left_out`` those whose two cells are done but have no value in common on the axis; b is ``better``
    in so many pairs and ``worse`` in so many; ``seeds`` and ``contexts`` count the different ones among the pairs.
    """

    dataset: str
    variant: str
    parameter: str
    symbol: str
    a: str
    b: str
    axis: str
    metric: str
    direction: str
    mean: float
    low: float
    high: float
    ratio: float
    n: int
    planned: int
    left_out: int
    better: int
    worse: int
    seeds: int
    contexts: int
    verdict: Verdict

    @property
    def question(self) -> str:
        """What is asked, the same in every variant: the symbol of the parameter or, where it has none, its name."""
        return self.symbol or self.parameter

    @property
    def is_pooled(self) -> bool:
        return not self.dataset


def matched(tables: Tables) -> pd.DataFrame:
    """Every `Comparison` as a row: within each dataset and variant, then pooled over all of them.

    Rows that compare variants have an empty ``variant``; pooled rows (of the ranked metric only) an empty ``dataset``
    too. A parameter that varies but never alone has one row per axis and metric, without ``a`` and ``b``.
    """
    return pd.DataFrame(comparisons(tables), columns=list(Comparison._fields))


def comparisons(tables: Tables, boards: pd.DataFrame | None = None) -> list[Comparison]:
    """The rows of `matched`. `boards` are the `leaderboards` of `tables`, where those are `ordered` already."""
    if boards is None:
        tables = ordered(tables)
        boards = leaderboards(tables)
    ranked_by, scores, cells = ranking(tables), _Scores(tables), groups(tables)
    pairs = find(tables, cells, boards)
    found = []
    for group in _grouped(pairs, lambda pair: (*pair[:3], pair.a, pair.b)):
        for axis, metric in itertools.product(group[0].axes, ranked_by.directions):
            found.append(scores.compared(group[0][:4], group, axis, metric))
    for identity in never_alone(cells, pairs):
        found += [scores.compared(identity, [], *at) for at in itertools.product(AXES, ranked_by.directions)]
    found.sort(key=lambda comparison: comparison[:3])
    pairs.sort(key=lambda pair: (pair.symbol or pair.parameter, pair.a, pair.b, pair))
    for group in _grouped(pairs, lambda pair: (pair.symbol or pair.parameter, pair.a.text, pair.b.text)):
        names = ", ".join(sorted({pair.parameter for pair in group}))
        identity = "", "", names, group[0].symbol
        found += [scores.compared(identity, group, axis, ranked_by.metric) for axis in group[0].axes]
    return found


def verdict(low: float, high: float, n: int, *, lower: bool) -> Verdict:
    """The stated rule: too few pairs without an interval or below three; an effect where zero is outside of it."""
    if n < FEWEST or math.isnan(low):
        return "too few pairs"
    if low <= 0 <= high:
        return "no clear effect"
    return "helps" if (high < 0) == lower else "hurts"


def csv(found: list[Comparison]) -> str:
    """The table of `matched` for a spreadsheet, in full precision."""
    shown = pd.DataFrame(found, columns=list(Comparison._fields))
    for column in ("dataset", "variant", "parameter", "symbol", "a", "b", "metric"):
        shown[column] = [for_csv(str(text)) for text in shown[column]]
    return shown.to_csv(index=False, lineterminator="\n")


def _grouped(pairs: list[Pair], key: Callable[[Pair], Any]) -> Iterator[list[Pair]]:
    for _, group in itertools.groupby(pairs, key):
        yield list(group)


# --- effects ----------------------------------------------------------------------------------------------------------


class _Curve(NamedTuple):
    """The scores of one cell along training: its evaluations' positions on each axis, and the values there."""

    places: dict[str, Sequence[float]]
    values: list[float]

    def at(self, axis: str, position: float) -> float:
        """The value at `position`, interpolated between two evaluations; NaN before the first and after the last."""
        places = self.places[axis]
        right = bisect_left(places, position)
        if right == len(places) or (right == 0 and places[0] != position):
            return math.nan
        if places[right] == position:
            return self.values[right]
        share = (position - places[right - 1]) / (places[right] - places[right - 1])
        return (1 - share) * self.values[right - 1] + share * self.values[right]


class _Scores:
    """The scores of the cells that are done, of metrics where lower is better as logarithms. Takes `ordered` tables."""

    def __init__(self, tables: Tables) -> None:
        self.directions = ranking(tables).directions
        self.done = set(tables.cells.loc[tables.cells["status"] == "done", "key"])
        self.curves: dict[tuple[str, str], _Curve] = {}
        self.finals: dict[tuple[str, str, str], float] = {}
        scores = tables.scores[tables.scores["key"].isin(self.done)]
        for (key, metric, point), rows in itertools.groupby(
            zip(*[scores[name].tolist() for name in ("key", "metric", "point", "value", *AXES)], strict=True),
            key=lambda row: row[:3],
        ):
            values, *places = zip(*(row[3:] for row in rows), strict=True)
            scaled = [self._scaled(metric, value) for value in values]
            if point == "curve":
                self.curves[key, metric] = _Curve(dict(zip(AXES, places, strict=True)), scaled)
            else:
                self.finals[key, metric, point] = scaled[-1]

    def _scaled(self, metric: str, value: float) -> float:
        if not math.isfinite(value):
            return math.nan
        if self.directions.get(metric) != "lower":
            return value
        return math.log(value) if value > 0 else math.nan

    def effect(self, pair: Pair, axis: str, metric: str) -> float:
        """The score of b less that of a, where both have one on `axis`, else NaN."""
        one, other = self._at(pair, axis, metric)
        # Interpolation must not make an effect of equal values.
        return 0.0 if math.isclose(one, other, rel_tol=1e-12) else other - one

    def _at(self, pair: Pair, axis: str, metric: str) -> tuple[float, float]:
        if axis not in AXES:
            one, other = (self.finals.get((key, metric, axis), math.nan) for key in (pair.first, pair.second))
            return one, other
        first, second = self.curves.get((pair.first, metric)), self.curves.get((pair.second, metric))
        if first is None or second is None:
            return math.nan, math.nan
        last = min(first.places[axis][-1], second.places[axis][-1])
        return first.at(axis, last), second.at(axis, last)

    def compared(self, identity: tuple[str, ...], pairs: list[Pair], axis: str, metric: str) -> Comparison:
        """The comparison of `pairs`; `identity` is its dataset, variant, parameter and symbol."""
        direction = self.directions[metric]
        effects = [(pair, self.effect(pair, axis, metric)) for pair in pairs]
        known = [(pair, effect) for pair, effect in effects if not math.isnan(effect)]
        n, seeds = len(known), len({pair.seed for pair, _ in known})
        mean, low, high = interval(effect for _, effect in known)
        if seeds < 2:
            low = high = math.nan
        below, above = sum(effect < 0 for _, effect in known), sum(effect > 0 for _, effect in known)
        dataset, variant, parameter, symbol = identity
        return Comparison(
            dataset, variant, parameter, symbol,
            a=pairs[0].a.text if pairs else "",
            b=pairs[0].b.text if pairs else "",
            axis=axis, metric=metric, direction=direction, mean=mean, low=low, high=high,
            ratio=exponential(mean) if direction == "lower" else math.nan,
            n=n,
            planned=len(pairs),
            left_out=sum(pair.first in self.done and pair.second in self.done for pair in pairs) - n,
            better=below if direction == "lower" else above,
            worse=above if direction == "lower" else below,
            seeds=seeds,
            contexts=len({(pair.dataset, pair.variant, pair.context) for pair, _ in known}),
            verdict=verdict(low, high, n, lower=direction == "lower"),
        )  # fmt: skip


def exponential(value: float) -> float:
    """exp(value), infinite where it is too large for a float."""
    return math.exp(value) if value < 700 or math.isnan(value) else math.inf
