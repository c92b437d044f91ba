"""Matched comparisons: what one parameter alone changes, from pairs of cells that differ in nothing else."""

from __future__ import annotations

import itertools
import math
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from ganbench.contracts import Tables
from ganbench.report.leaderboard import Ranked, ranking
from ganbench.report.pairs import AXES, Case, Group, find, groups, never_alone
from ganbench.report.statistics import Interval, intervals
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


def comparisons(tables: Tables | Ranked, cells: list[Group] | None = None) -> list[Comparison]:
    """The rows of `matched`; `cells` are the `groups` of the tables, where they are known already."""
    ranked = Ranked.of(tables)
    tables = ranked.tables
    cells = groups(tables) if cells is None else cells
    ranked_by = ranking(tables)
    cases = find(tables, cells, ranked.leaderboards)
    effects = _Effects(tables, cases)
    wanted: list[_Wanted] = []
    for number, case in enumerate(cases):
        sample = _Sample(effects, [number])
        wanted += [(sample, case[:4], *at) for at in itertools.product(case.axes, ranked_by.directions)]
    nothing = _Sample(effects, [])
    for identity in never_alone(cells, cases):
        wanted += [(nothing, identity, *at) for at in itertools.product(AXES, ranked_by.directions)]
    wanted.sort(key=lambda each: each[1][:3])

    def asked(number: int) -> tuple[Any, ...]:
        case = cases[number]
        return case.symbol or case.parameter, case.a, case.b, case[:4]

    def same(number: int) -> tuple[str, ...]:
        case = cases[number]
        return case.symbol or case.parameter, case.a.text, case.b.text

    for _, several in itertools.groupby(sorted(range(len(cases)), key=asked), same):
        numbers = list(several)
        names = ", ".join(sorted({cases[number].parameter for number in numbers}))
        identity, sample = ("", "", names, cases[numbers[0]].symbol), _Sample(effects, numbers)
        wanted += [(sample, identity, axis, ranked_by.metric) for axis in cases[numbers[0]].axes]
    known = [sample.known(axis, metric) for sample, _, axis, metric in wanted]
    means = zip(wanted, known, intervals(known), strict=True)
    return [
        sample.compared(identity, axis, metric, values, mean)
        for (sample, identity, axis, metric), values, mean in means
    ]


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


# --- effects ----------------------------------------------------------------------------------------------------------


class _Curves:
    """The evaluations of one metric in all cells along training, cell by cell in one row.

    Those of cell i begin at ``start[i]`` and are ``length[i]`` many; `places` is where they are on each axis.
    """

    def __init__(self, cell: np.ndarray, places: dict[str, np.ndarray], values: np.ndarray, cells: int) -> None:
        self.places, self.values = places, values
        self.start, self.length = np.zeros(cells, int), np.zeros(cells, int)
        first = np.flatnonzero(np.diff(cell, prepend=-1))
        self.start[cell[first]] = first
        self.length[cell[first]] = np.diff(first, append=len(cell))

    def both(self, axis: str, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The values of the cells `one` and of the cells `other` at the last position that both have reached."""
        found = np.full((2, len(one)), math.nan)
        has = np.flatnonzero((self.length[one] > 0) & (self.length[other] > 0))
        one, other, places = one[has], other[has], self.places[axis]
        last = np.minimum(*(places[self.start[cells] + self.length[cells] - 1] for cells in (one, other)))
        found[:, has] = self.at(axis, one, last), self.at(axis, other, last)
        return found[0], found[1]

    def at(self, axis: str, cells: np.ndarray, position: np.ndarray) -> np.ndarray:
        """The values at `position`, interpolated between two evaluations; NaN before the first and after the last."""
        places, start = self.places[axis], self.start[cells]
        end = start + self.length[cells]
        right, high = start.copy(), end.copy()
        while (is_open := right < high).any():  # a binary search in all curves at once
            middle = (right + high) // 2
            is_below = is_open & (places[np.where(is_open, middle, start)] < position)
            right, high = np.where(is_below, middle + 1, right), np.where(is_open & ~is_below, middle, high)
        inside = right < end
        right = np.where(inside, right, start)
        exact = inside & (places[right] == position)
        inside &= right > start
        left = np.where(inside, right - 1, right)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (position - places[left]) / (places[right] - places[left])
            between = (1 - share) * self.values[left] + share * self.values[right]
        return np.where(exact, self.values[right], np.where(inside, between, math.nan))


class _Effects:
    """The effect of every pair of all cases, one after the other. Takes `ordered` tables.

    Scores are of cells that are done; those of metrics where lower is better count as logarithms.
    """

    def __init__(self, tables: Tables, cases: list[Case]) -> None:
        self.cases = cases
        self.directions = ranking(tables).directions
        keys = pd.Index(tables.cells["key"])
        done = (tables.cells["status"] == "done").to_numpy(dtype=bool)
        self.bounds = np.cumsum([0, *(len(case.pairs.seed) for case in cases)])
        columns = zip(*(case.pairs for case in cases), strict=True) if cases else [[np.zeros(0, int)]] * 4
        self.contexts, self.seeds, self.first, self.second = (np.concatenate(column) for column in columns)
        self.both_done = done[self.first] & done[self.second]
        self._cells = len(keys)
        self._curves: dict[str, _Curves] = {}
        self._finals: dict[tuple[str, str], np.ndarray] = {}
        self._known: dict[tuple[str, str], np.ndarray] = {}
        scores = tables.scores
        cell = keys.get_indexer(pd.Index(scores["key"]))
        cell = np.where((cell >= 0) & done[cell], cell, -1) if len(done) else cell
        for metric in self.directions:
            of_metric = (cell >= 0) & (scores["metric"] == metric).to_numpy(dtype=bool)
            for point in ("curve", "best", "last"):
                rows = np.flatnonzero(of_metric & (scores["point"] == point).to_numpy(dtype=bool))
                values = self._scaled(metric, scores["value"].to_numpy(dtype=float)[rows])
                if point == "curve":
                    places = {axis: scores[axis].to_numpy(dtype=float)[rows] for axis in AXES}
                    self._curves[metric] = _Curves(cell[rows], places, values, self._cells)
                else:
                    self._finals[metric, point] = np.full(self._cells, math.nan)
                    self._finals[metric, point][cell[rows]] = values

    def _scaled(self, metric: str, values: np.ndarray) -> np.ndarray:
        if self.directions[metric] != "lower":
            return np.where(np.isfinite(values), values, math.nan)
        # Not numpy's logarithm, the last digit of which depends on the processor.
        return np.array([math.log(x) if 0 < x < math.inf else math.nan for x in values.tolist()], float)

    def of(self, axis: str, metric: str) -> np.ndarray:
        """The score of b less that of a, pair by pair, where both have one on `axis`, else NaN."""
        if (axis, metric) not in self._known:
            if axis in AXES:
                one, other = self._curves[metric].both(axis, self.first, self.second)
            else:
                one, other = (self._finals[metric, axis][cells] for cells in (self.first, self.second))
            # Interpolation must not make an effect of equal values.
            is_close = np.abs(other - one) <= 1e-12 * np.maximum(np.abs(one), np.abs(other))
            self._known[axis, metric] = np.where(is_close, 0.0, other - one)
        return self._known[axis, metric]


#: A comparison to make: of which pairs, its dataset, variant, parameter and symbol, at which axis, by which metric.
_Wanted = tuple["_Sample", tuple[str, ...], str, str]


class _Sample:
    """The pairs of one case, or of several together."""

    def __init__(self, effects: _Effects, numbers: list[int]) -> None:
        """`numbers` are those of the cases."""
        self.effects = effects
        self.of = [effects.cases[number] for number in numbers]
        self.parts = [slice(effects.bounds[number], effects.bounds[number + 1]) for number in numbers]
        self.planned = sum(len(case.pairs.seed) for case in self.of)
        self.seeds, self.contexts = self._together(effects.seeds), self._together(effects.contexts)
        self.done = np.count_nonzero(self._together(effects.both_done))

    def _together(self, values: np.ndarray) -> np.ndarray:
        if len(self.parts) == 1:
            return values[self.parts[0]]
        return np.concatenate([values[:0], *(values[part] for part in self.parts)])

    @cached_property
    def _counts(self) -> tuple[int, int]:
        """How many seeds and contexts there are among all pairs."""
        return len(set(self.seeds.tolist())), len(set(self.contexts.tolist()))

    def known(self, axis: str, metric: str) -> np.ndarray:
        """The effects that there are."""
        effects = self._together(self.effects.of(axis, metric))
        known = ~np.isnan(effects)
        return effects if known.all() else effects[known]

    def compared(
        self, identity: tuple[str, ...], axis: str, metric: str, effects: np.ndarray, interval: Interval
    ) -> Comparison:
        """The comparison of the pairs, of which there are these `known` effects with this mean.

        `identity` is its dataset, variant, parameter and symbol.
        """
        direction = self.effects.directions[metric]
        n = len(effects)
        seeds, contexts = self._counts
        if n < self.planned:
            known = ~np.isnan(self._together(self.effects.of(axis, metric)))
            seeds, contexts = (len(set(values[known].tolist())) for values in (self.seeds, self.contexts))
        mean, low, high = interval
        if seeds < 2:
            low = high = math.nan
        below, above = int(np.count_nonzero(effects < 0)), int(np.count_nonzero(effects > 0))
        dataset, variant, parameter, symbol = identity
        return Comparison(
            dataset, variant, parameter, symbol,
            a=self.of[0].a.text if self.of else "",
            b=self.of[0].b.text if self.of else "",
            axis=axis, metric=metric, direction=direction, mean=mean, low=low, high=high,
            ratio=exponential(mean) if direction == "lower" else math.nan,
            n=n,
            planned=self.planned,
            left_out=int(self.done) - n,
            better=below if direction == "lower" else above,
            worse=above if direction == "lower" else below,
            seeds=seeds,
            contexts=contexts,
            verdict=verdict(low, high, n, lower=direction == "lower"),
        )  # fmt: skip


def exponential(value: float) -> float:
    """exp(value), infinite where it is too large for a float."""
    return math.exp(value) if value < 700 or math.isnan(value) else math.inf
