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
    """Two cells that differ in `parameter` alone, which is `a` in the cell `first` and `b` in the cell `second`.

    `context` holds what this variant varies on this dataset beside `parameter`, with budget and precision. `axes` is
    where the two are compared: on `AXES` during training, or at one of the points ``best`` and ``last``.
    """

    dataset: str
    variant: str
    parameter: str
    symbol: str
    a: Setting
    b: Setting
    context: tuple[str, ...]
    seed: int
    first: str
    second: str
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


def find(tables: Tables, groups: list[Group], boards: pd.DataFrame) -> list[Pair]:
    """Every pair of planned cells, whether they are done or not, in order of what they compare.

    `boards` is the table of `leaderboards`.
    """
    found = [*_of_parameters(groups), *_of_variants(groups), *_of_best(tables, boards)]
    return sorted(found, key=lambda pair: (*pair[:3], pair.a, pair.b, pair.context, pair.seed))


def never_alone(groups: list[Group], pairs: list[Pair]) -> Iterator[tuple[str, str, str, str]]:
    """Dataset, variant, name and symbol of the parameters that vary, but only together with others."""
    paired = {pair[:3] for pair in pairs}
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


def _of_parameters(groups: list[Group]) -> Iterator[Pair]:
    for dataset, variant, cells, varied, asked in groups:
        values = {cell["key"]: {name: canonical(cell["params"].get(name)) for name in varied} for cell in cells}
        rest = {cell["key"]: canonical([cell.get("budget"), cell.get("precision")]) for cell in cells}
        for name in asked:
            slots: dict[Any, dict[Setting, str]] = {}
            for cell in cells:
                if name in cell["params"]:
                    context = (
                        *(value for other, value in values[cell["key"]].items() if other != name),
                        rest[cell["key"]],
                    )
                    slots.setdefault((context, cell["seed"]), {}).setdefault(_setting(cell, name), cell["key"])
            symbol = _symbol(cells, name)
            for (context, seed), members in slots.items():
                for a, b in itertools.combinations(sorted(members), 2):
                    yield Pair(dataset, variant, clean(name), symbol, a, b, context, seed, members[a], members[b])


def _symbol(cells: list[dict[str, Any]], name: str) -> str:
    return clean(next(cell["symbols"].get(name, "") for cell in cells if name in cell["params"]))


def _setting(cell: Mapping[str, Any], name: str) -> Setting:
    value, symbol = cell["params"][name], cell["symbols"].get(name) or name
    label = cell["labels"].get(name, f"{symbol}={value}")
    text = clean(label.removeprefix(f"{symbol}=")) if label else unused(name, cell["symbols"])
    numeric = isinstance(value, int | float)
    return Setting((0, float(value), "") if numeric else (1, 0.0, canonical(value)), text)


def _of_variants(groups: list[Group]) -> Iterator[Pair]:
    """Cells of two variants that are equal in every parameter that both have.

    Where a variant has several such cells (it varies a parameter that the other lacks) none of them is the match.
    """
    for group, other_group in itertools.combinations(groups, 2):
        cells, others = group.cells, other_group.cells
        shared = sorted(set(cells[0]["params"]) & set(others[0]["params"]))
        if group.dataset != other_group.dataset or not shared:
            continue
        sides = [_slots(side, shared) for side in (cells, others)]
        a, b = (Setting((1, 0.0, name), name) for name in (group.variant, other_group.variant))
        for slot in sides[0].keys() & sides[1].keys():
            if len(sides[0][slot]) == len(sides[1][slot]) == 1:
                context, seed = slot
                yield Pair(group.dataset, "", VARIANT, "", a, b, context, seed, sides[0][slot][0], sides[1][slot][0])


def _slots(cells: list[dict[str, Any]], names: Sequence[str]) -> dict[Any, list[str]]:
    """(values of the parameters `names`, seed) -> keys of the cells that have them."""
    found: dict[Any, list[str]] = {}
    for cell in cells:
        values = tuple(canonical(cell["params"].get(name)) for name in names)
        found.setdefault((values, cell["seed"]), []).append(cell["key"])
    return found


def _of_best(tables: Tables, boards: pd.DataFrame) -> Iterator[Pair]:
    """The best configurations of every two variants, seed by seed, at the ranked point."""
    best = boards[(boards["row"] == "configuration") & boards["rank"].notna()].drop_duplicates(["dataset", "variant"])
    keys: dict[Any, dict[int, str]] = {}
    for cell in tables.cells[tables.cells["status"] != "skipped"].to_dict("records"):
        at = cell["dataset"], cell["variant"], canonical(cell["params"])
        keys.setdefault(at, {})[cell["seed"]] = cell["key"]
    for dataset, rows in best.groupby("dataset"):
        for one, other in itertools.combinations(sorted(rows.to_dict("records"), key=lambda row: row["variant"]), 2):
            first, second = (keys[dataset, row["variant"], row["params"]] for row in (one, other))
            a, b = (Setting((1, 0.0, row["variant"]), clean(row["variant"])) for row in (one, other))
            context, axes = (one["params"], other["params"]), (ranking(tables).at,)
            for seed in first.keys() & second.keys():
                yield Pair(clean(dataset), "", BEST, "", a, b, context, seed, first[seed], second[seed], axes)
