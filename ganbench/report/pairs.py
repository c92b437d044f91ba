"""Pairs of cells that differ in one thing alone: a parameter, or the variant."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from ganbench.contracts import Tables
from ganbench.report.configurations import canonical, differing, unused
from ganbench.report.leaderboard import ranking
from ganbench.report.words import clean

#: What two cells of a pair are equal in when they are compared.
AXES = ("epochs", "generator_updates", "images")
#: The `parameter` of comparisons of the variants themselves: all shared parameters equal, and each one's best.
VARIANT, BEST = "variant (all else equal)", "variant (best configurations)"
#: The values of all other parameters: what two cells of a pair have in common, besides the seed.
Context = tuple[str, ...]
#: The place of a context among those of a comparison, in their order, and the seed.
Slot = tuple[int, int]
Side = TypeVar("Side")
_FACTS = ("key", "dataset", "variant", "seed", "status", "params", "symbols", "labels", "budget", "precision")


class Group(NamedTuple):
    """The cells of one variant on one dataset but for those that the plan skips.

    Those have some of the columns of the table, and their ``row`` in it. `varied` are the parameters in which they
    differ, `asked` those of them that are a question.
    """

    dataset: str
    variant: str
    cells: list[dict[str, Any]]
    varied: list[str]
    asked: list[str]


class Setting(NamedTuple):
    """A value of a parameter: its place among the others, numbers by size, and its text (``0.5``, ``no SMOOTH``)."""

    order: tuple[int, float, str]
    text: str


class Pairs(NamedTuple):
    """Pairs of cells in columns, int64: which one is `first` and which is `second`, by their rows in the table.

    `context` numbers what else this variant varies on this dataset, budget and precision.
    """

    context: np.ndarray
    seed: np.ndarray
    first: np.ndarray
    second: np.ndarray


class Case(NamedTuple):
    """Pairs of cells that differ in `parameter` alone, which is `a` in every `first` cell and `b` in every `second`.

    They are in order of context and seed. `axes` is where the two are compared: on `AXES` during training, or at one of
    the points ``best`` and ``last``.
    """

    dataset: str
    variant: str
    parameter: str
    symbol: str
    a: Setting
    b: Setting
    pairs: Pairs
    axes: tuple[str, ...] = AXES


def groups(tables: Tables) -> list[Group]:
    """By dataset and variant; in each what is done comes first. Names are made printable."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    columns = [tables.cells[name].tolist() for name in _FACTS]
    rows = [dict(zip((*_FACTS, "row"), facts, strict=True)) for facts in zip(*columns, itertools.count())]
    names = {name: clean(name) for column in ("dataset", "variant") for name in set(tables.cells[column].tolist())}
    for cell in sorted(rows, key=lambda cell: (cell["status"] != "done", cell["key"])):
        if cell["status"] != "skipped":
            found.setdefault((names[cell["dataset"]], names[cell["variant"]]), []).append(cell)
    # Cells are compared where both have come to, so it is no question how long they run.
    ends = {"budget"} & set(tables.run.get("varying", ()))
    varied = {at: sorted(differing([cell["params"] for cell in cells])) for at, cells in found.items()}
    return [
        Group(*at, found[at], varied[at], [name for name in varied[at] if name not in ends]) for at in sorted(found)
    ]


def find(tables: Tables, groups: list[Group], boards: pd.DataFrame) -> list[Case]:
    """Every pair of planned cells, whether they are done or not, in order of what they compare.

    `boards` is the table of `leaderboards`.
    """
    texts, joined = _Texts(), _Joined()
    found: dict[tuple[Any, ...], Case] = {}
    cases = _of_parameters(groups, texts, joined), _of_variants(groups, texts, joined), _of_best(tables, boards, joined)
    for case in itertools.chain(*cases):
        what = (*case[:3], case.a, case.b)
        if what in found:  # names that are equal once they are printable
            found[what] = case._replace(pairs=joined.together(found[what].pairs, case.pairs))
        else:
            found[what] = case
    return [found[what] for what in sorted(found)]


def never_alone(groups: list[Group], cases: list[Case]) -> Iterator[tuple[str, str, str, str]]:
    """Dataset, variant, name and symbol of the parameters that vary, but only together with others."""
    paired = {case[:3] for case in cases}
    for group in groups:
        for name in group.asked:
            if (group.dataset, group.variant, clean(name)) not in paired:
                yield group.dataset, group.variant, clean(name), _symbol(group.cells, name)


def settings(groups: list[Group]) -> dict[tuple[str, str, str], dict[str, Counter[str]]]:
    """(dataset, variant, parameter) -> text of each value -> how many of its cells have which status."""
    found: dict[tuple[str, str, str], dict[str, Counter[str]]] = {}
    for group in groups:
        kinds, numbers = _kinds(group.cells)
        counts: list[Counter[str]] = [Counter() for _ in kinds]
        for cell, number in zip(group.cells, numbers, strict=True):
            counts[number][cell["status"]] += 1
        for name in group.asked:
            values: dict[Setting, Counter[str]] = {}
            for cell, count in zip(kinds, counts, strict=True):
                if name in cell["params"]:
                    values.setdefault(_setting(cell, name), Counter()).update(count)
            texts = {setting.text: values[setting] for setting in sorted(values)}
            found[group.dataset, group.variant, clean(name)] = texts
    return found


def _kinds(cells: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[int]]:
    """One cell for every different configuration, and for each of `cells` the number of its configuration's.

    Cells share what is equal in them, so that it is told by identity.
    """
    found: dict[tuple[Any, ...], int] = {}
    kinds: list[dict[str, Any]] = []
    numbers = []
    for cell in cells:
        what = *(id(cell[name]) for name in ("params", "labels", "symbols", "budget")), cell["precision"]
        if what not in found:
            found[what] = len(kinds)
            kinds.append(cell)
        numbers.append(found[what])
    return kinds, numbers


class _Texts:
    """The parameters of cells as canonical texts, worked out once for all cells that share them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, dict[str, str]]] = {}

    def of(self, params: Mapping[str, Any]) -> dict[str, str]:
        # The parameters are kept too, so that no others can get their place in memory.
        known = self._known.get(id(params))
        if known is None:
            known = self._known[id(params)] = params, {name: canonical(value) for name, value in params.items()}
        return known[1]

    def values(self, params: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
        texts = self.of(params)
        return tuple([texts.get(name, "null") for name in names])


class _Joined:
    """Finds pairs, with one numbering of contexts for all of them."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[str, str, Context], int] = {}

    def __call__(
        self,
        dataset: str,
        variant: str,
        contexts: Sequence[Context],
        sides: Mapping[Side, Mapping[Slot, int]],
        wanted: Iterable[tuple[Side, Side]],
    ) -> Iterator[tuple[Side, Side, Pairs]]:
        """The pairs of every two `wanted` sides, in order of slot: the cells that both have in the same slot.

        `sides` are the rows of their cells by slot, `contexts` all contexts in order.
        """
        known = self._contexts
        slots = sorted({slot for cells in sides.values() for slot in cells})
        places = {slot: place for place, slot in enumerate(slots)}
        numbers = [known.setdefault((dataset, variant, context), len(known)) for context in contexts]
        context = np.array([numbers[place] for place, _ in slots], int)
        seeds = np.array([seed for _, seed in slots], int)
        of = {side: sorted((places[slot], row) for slot, row in cells.items()) for side, cells in sides.items()}
        columns = {side: np.array(cells, int).reshape(-1, 2).T for side, cells in of.items()}
        for a, b in wanted:
            (here, first), (there, second) = columns[a], columns[b]
            both, one, other = np.intersect1d(here, there, assume_unique=True, return_indices=True)
            if len(both):
                yield a, b, Pairs(context[both], seeds[both], first[one], second[other])

    def together(self, *parts: Pairs) -> Pairs:
        """All of them as one, in order of context and seed."""
        pairs, names = Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True))), list(self._contexts)
        order = sorted(range(len(pairs.seed)), key=lambda i: (names[pairs.context[i]], pairs.seed[i]))
        return Pairs(*(column[order] for column in pairs))


def _of_parameters(groups: list[Group], texts: _Texts, joined: _Joined) -> Iterator[Case]:
    for dataset, variant, cells, varied, asked in groups:
        kinds, numbers = _kinds(cells)
        values = [texts.values(cell["params"], varied) for cell in kinds]
        rest = [canonical([cell["budget"], cell["precision"]]) for cell in kinds]
        for name in asked:
            place, known = varied.index(name), dict[Any, Setting]()
            others = [(*own[:place], *own[place + 1 :], other) for own, other in zip(values, rest, strict=True)]
            contexts = sorted(set(others))
            places = {context: number for number, context in enumerate(contexts)}
            sides: dict[Setting, dict[Slot, int]] = {}
            of: list[tuple[dict[Slot, int], int] | None] = []  # each kind's side, and the place of its context
            for cell, own, context in zip(kinds, values, others, strict=True):
                if name not in cell["params"]:
                    of.append(None)
                    continue
                look = own[place], cell["labels"].get(name), cell["symbols"].get(name)
                if look not in known:
                    known[look] = _setting(cell, name)
                of.append((sides.setdefault(known[look], {}), places[context]))
            for cell, number in zip(cells, numbers, strict=True):
                if (at := of[number]) is not None:
                    at[0].setdefault((at[1], cell["seed"]), cell["row"])
            symbol = _symbol(cells, name)
            for a, b, pairs in joined(dataset, variant, contexts, sides, _meeting(sides)):
                yield Case(dataset, variant, clean(name), symbol, a, b, pairs)


def _meeting(sides: Mapping[Setting, Iterable[Slot]]) -> set[tuple[Setting, Setting]]:
    """Every two of them that have a slot in common: of thousands of values drawn at random hardly any two."""
    order = sorted(sides)
    at: dict[Slot, list[int]] = {}
    for number, side in enumerate(order):
        for slot in sides[side]:
            at.setdefault(slot, []).append(number)
    met = {pair for several in {tuple(each) for each in at.values()} for pair in itertools.combinations(several, 2)}
    return {(order[one], order[other]) for one, other in met}


def _symbol(cells: list[dict[str, Any]], name: str) -> str:
    return clean(next(cell["symbols"].get(name, "") for cell in cells if name in cell["params"]))


def _setting(cell: Mapping[str, Any], name: str) -> Setting:
    value, symbol = cell["params"][name], cell["symbols"].get(name) or name
    label = cell["labels"].get(name, f"{symbol}={value}")
    text = clean(label.removeprefix(f"{symbol}=")) if label else unused(name, cell["symbols"])
    numeric = isinstance(value, int | float)
    return Setting((0, float(value), "") if numeric else (1, 0.0, canonical(value)), text)


def _of_variants(groups: list[Group], texts: _Texts, joined: _Joined) -> Iterator[Case]:
    """Cells of two variants that are equal in every parameter that both have.

    Where a variant has several such cells (it varies a parameter that the other lacks) none of them is the match.
    """
    names = [sorted({name for cell in group.cells[:1] for name in cell["params"]}) for group in groups]
    wanted: dict[tuple[str, tuple[str, ...]], list[tuple[int, int]]] = {}
    for (one, group), (other, other_group) in itertools.combinations(enumerate(groups), 2):
        shared = tuple(name for name in names[one] if name in names[other])
        if group.dataset == other_group.dataset and shared:
            wanted.setdefault((group.dataset, shared), []).append((one, other))
    for (dataset, shared), several in wanted.items():
        values = {n: _values(groups[n].cells, shared, texts) for n in {n for two in several for n in two}}
        contexts = sorted({each for own in values.values() for each in own})
        places = {context: place for place, context in enumerate(contexts)}
        sides = {n: _alone(groups[n].cells, [places[each] for each in own]) for n, own in values.items()}
        for one, other, pairs in joined(dataset, "", contexts, sides, several):
            a, b = (Setting((1, 0.0, name), name) for name in (groups[one].variant, groups[other].variant))
            yield Case(dataset, "", VARIANT, "", a, b, pairs)


def _values(cells: list[dict[str, Any]], names: Sequence[str], texts: _Texts) -> list[Context]:
    """The values of the parameters `names` in each of the cells."""
    kinds, numbers = _kinds(cells)
    values = [texts.values(cell["params"], names) for cell in kinds]
    return [values[number] for number in numbers]


def _alone(cells: list[dict[str, Any]], places: Sequence[int]) -> dict[Slot, int]:
    """(place of its context, seed) -> the row of the cell that alone has them."""
    found: dict[Slot, list[int]] = {}
    for cell, place in zip(cells, places, strict=True):
        found.setdefault((place, cell["seed"]), []).append(cell["row"])
    return {slot: rows[0] for slot, rows in found.items() if len(rows) == 1}


def _of_best(tables: Tables, boards: pd.DataFrame, joined: _Joined) -> Iterator[Case]:
    """The best configurations of every two variants, seed by seed, at the ranked point."""
    best = boards[(boards["row"] == "configuration") & boards["rank"].notna()].drop_duplicates(["dataset", "variant"])
    wanted = set(zip(best["dataset"], best["variant"], best["params"], strict=True))
    rows: dict[Any, dict[int, int]] = {}
    columns = [tables.cells[name].tolist() for name in ("dataset", "variant", "params", "seed", "status")]
    configs = dict[int, str]()
    for row, (dataset, variant, params, seed, status) in enumerate(zip(*columns, strict=True)):
        config = configs.get(id(params))
        if config is None:
            config = configs[id(params)] = canonical(params)
        if (dataset, variant, config) in wanted and status != "skipped":
            rows.setdefault((dataset, variant, config), {})[seed] = row
    for dataset, leaders in best.groupby("dataset"):
        for two in itertools.combinations(sorted(leaders.to_dict("records"), key=lambda row: row["variant"]), 2):
            context = tuple(row["params"] for row in two)
            a, b = (Setting((1, 0.0, row["variant"]), clean(row["variant"])) for row in two)
            cells = [rows[dataset, row["variant"], row["params"]] for row in two]
            sides = {side: {(0, seed): row for seed, row in own.items()} for side, own in enumerate(cells)}
            for _, _, pairs in joined(clean(dataset), "", [context], sides, [(0, 1)]):
                yield Case(clean(dataset), "", BEST, "", a, b, pairs, (ranking(tables).at,))
