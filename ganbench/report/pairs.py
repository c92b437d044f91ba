"""Pairs of cells that differ in one thing alone: a parameter, or the variant."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ganbench.contracts import Tables
from ganbench.report.configurations import canonical, differing, unused
from ganbench.report.leaderboard import ranking
from ganbench.report.words import clean

#: What two cells of a pair are equal in when they are compared.
AXES = ("epochs", "generator_updates", "images")
#: The `parameter` of comparisons of the variants themselves: all shared parameters equal, and each one's best.
VARIANT, BEST = "variant (all else equal)", "variant (best configurations)"


class Group(NamedTuple):
    """The cells of one variant on one dataset but for those that the plan skips.

    `varied` are the parameters in which they differ, `asked` those of them that are a question.
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


class Pair(NamedTuple):
    """Two cells by their keys. `context` holds what else this variant varies on this dataset, budget and precision."""

    context: tuple[str, ...]
    seed: int
    first: str
    second: str


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
    pairs: list[Pair]
    axes: tuple[str, ...] = AXES


def ordered(tables: Tables) -> Tables:
    """The tables in one order, whatever order their cells have in the plan: sums are the same to the last bit."""
    scores = tables.scores.sort_values(["key", "metric", "point", "generator_updates"], kind="stable")
    return tables._replace(cells=tables.cells.sort_values("key", kind="stable"), scores=scores)


def groups(tables: Tables) -> list[Group]:
    """By dataset and variant; in each what is done comes first. Names are made printable."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    rows: list[Any] = tables.cells[tables.cells["status"] != "skipped"].to_dict("records")
    for cell in sorted(rows, key=lambda cell: (cell["status"] != "done", cell["key"])):
        found.setdefault((clean(cell["dataset"]), clean(cell["variant"])), []).append(cell)
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
    texts = _Texts()
    found: dict[tuple[Any, ...], Case] = {}
    for case in (*_of_parameters(groups, texts), *_of_variants(groups, texts), *_of_best(tables, boards)):
        same = found.setdefault((*case[:3], case.a, case.b), case)
        if same is not case:  # names that are equal once they are printable
            same.pairs.extend(case.pairs)
            same.pairs.sort(key=lambda pair: pair[:2])
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
        for name in group.asked:
            values: dict[Setting, Counter[str]] = {}
            for cell in group.cells:
                if name in cell["params"]:
                    values.setdefault(_setting(cell, name), Counter())[cell["status"]] += 1
            texts = {setting.text: values[setting] for setting in sorted(values)}
            found[group.dataset, group.variant, clean(name)] = texts
    return found


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


def _of_parameters(groups: list[Group], texts: _Texts) -> Iterator[Case]:
    for dataset, variant, cells, varied, asked in groups:
        values = [texts.values(cell["params"], varied) for cell in cells]
        rest = [canonical([cell.get("budget"), cell.get("precision")]) for cell in cells]
        for name in asked:
            place, known = varied.index(name), dict[Any, Setting]()
            slots: dict[Any, dict[Setting, str]] = {}
            for cell, own, other in zip(cells, values, rest, strict=True):
                if name not in cell["params"]:
                    continue
                look = own[place], cell["labels"].get(name), cell["symbols"].get(name)
                if look not in known:
                    known[look] = _setting(cell, name)
                context = (*own[:place], *own[place + 1 :], other)
                slots.setdefault((context, cell["seed"]), {}).setdefault(known[look], cell["key"])
            found: dict[tuple[Setting, Setting], list[Pair]] = {}
            for context, seed in sorted(slots):
                members = slots[context, seed]
                for a, b in itertools.combinations(sorted(members), 2):
                    found.setdefault((a, b), []).append(Pair(context, seed, members[a], members[b]))
            symbol = _symbol(cells, name)
            for (a, b), pairs in found.items():
                yield Case(dataset, variant, clean(name), symbol, a, b, pairs)


def _symbol(cells: list[dict[str, Any]], name: str) -> str:
    return clean(next(cell["symbols"].get(name, "") for cell in cells if name in cell["params"]))


def _setting(cell: Mapping[str, Any], name: str) -> Setting:
    value, symbol = cell["params"][name], cell["symbols"].get(name) or name
    label = cell["labels"].get(name, f"{symbol}={value}")
    text = clean(label.removeprefix(f"{symbol}=")) if label else unused(name, cell["symbols"])
    numeric = isinstance(value, int | float)
    return Setting((0, float(value), "") if numeric else (1, 0.0, canonical(value)), text)


def _of_variants(groups: list[Group], texts: _Texts) -> Iterator[Case]:
    """Cells of two variants that are equal in every parameter that both have.

    Where a variant has several such cells (it varies a parameter that the other lacks) none of them is the match.
    """
    slots: dict[Any, dict[Any, str]] = {}
    names = [sorted({name for cell in group.cells[:1] for name in cell["params"]}) for group in groups]
    for (one, group), (other, other_group) in itertools.combinations(enumerate(groups), 2):
        shared = tuple(name for name in names[one] if name in names[other])
        if group.dataset != other_group.dataset or not shared:
            continue
        for number in (one, other):
            if (number, shared) not in slots:
                slots[number, shared] = _slots(groups[number].cells, shared, texts)
        first, second = slots[one, shared], slots[other, shared]
        pairs = [Pair(slot[0], slot[1], key, second[slot]) for slot, key in first.items() if slot in second]
        if pairs:
            a, b = (Setting((1, 0.0, name), name) for name in (group.variant, other_group.variant))
            yield Case(group.dataset, "", VARIANT, "", a, b, pairs)


def _slots(cells: list[dict[str, Any]], names: Sequence[str], texts: _Texts) -> dict[Any, str]:
    """(values of the parameters `names`, seed), in order -> the key of the cell that alone has them."""
    found: dict[Any, list[str]] = {}
    for cell in cells:
        found.setdefault((texts.values(cell["params"], names), cell["seed"]), []).append(cell["key"])
    return {slot: found[slot][0] for slot in sorted(found) if len(found[slot]) == 1}


def _of_best(tables: Tables, boards: pd.DataFrame) -> Iterator[Case]:
    """The best configurations of every two variants, seed by seed, at the ranked point."""
    best = boards[(boards["row"] == "configuration") & boards["rank"].notna()].drop_duplicates(["dataset", "variant"])
    wanted = set(zip(best["dataset"], best["variant"], best["params"], strict=True))
    keys: dict[Any, dict[int, str]] = {}
    cells = tables.cells[tables.cells["status"] != "skipped"]
    columns = [cells[name].tolist() for name in ("dataset", "variant", "params", "seed", "key")]
    configs = dict[int, str]()
    for dataset, variant, params, seed, key in zip(*columns, strict=True):
        config = configs.get(id(params))
        if config is None:
            config = configs[id(params)] = canonical(params)
        if (dataset, variant, config) in wanted:
            keys.setdefault((dataset, variant, config), {})[seed] = key
    for dataset, rows in best.groupby("dataset"):
        for one, other in itertools.combinations(sorted(rows.to_dict("records"), key=lambda row: row["variant"]), 2):
            first, second = (keys[dataset, row["variant"], row["params"]] for row in (one, other))
            a, b = (Setting((1, 0.0, row["variant"]), clean(row["variant"])) for row in (one, other))
            context, axes = (one["params"], other["params"]), (ranking(tables).at,)
            pairs = [Pair(context, seed, first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())]
            if pairs:
                yield Case(clean(dataset), "", BEST, "", a, b, pairs, axes)
