"""Two results folders, cell by cell: what changed between them, and by how much the scores of matched cells moved."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ganbench.code import changed
from ganbench.errors import UserError
from ganbench.report.leaderboard import Ranked, finished, ranking
from ganbench.report.statistics import holm, paired
from ganbench.report.verdicts import LEVEL
from ganbench.report.words import MISSING, clean, listed, short
from ganbench.store import Record, Store, Unit
from ganbench.tables import trusted

_POINTS = ("best", "last")
#: What of a task is a setting that both sides share or not; the rest of it names the cell or says where it ran.
_SETTINGS = ("budget", "precision", "evaluate", "train_on", "reference", "rank", "extractors", "metrics", "fingerprint")


class Moved(NamedTuple):
    """The score of one configuration in both runs: the columns of ``compare.csv``.

    ``change`` is the mean of after - before over the ``n`` seeds that have the score in both, with its 95 % Student t
    interval (NaN for one seed); ``p`` the paired t test's (NaN for n < 5), ``p_holm`` corrected for all tests of the
    comparison. ``before`` and ``after`` are the means over these seeds. ``equal`` says that no seed's score changed.
    """

    dataset: str
    configuration: str
    metric: str
    point: str
    direction: str
    before: float
    after: float
    change: float
    low: float
    high: float
    n: int
    p: float
    p_holm: float
    equal: bool

    @property
    def verdict(self) -> str:
        """What these seeds say of the change."""
        if self.equal:
            return "equal"
        if math.isnan(self.low):
            return "one seed"
        better = "better" if (self.change < 0) == (self.direction == "lower") else "worse"
        if not math.isnan(self.p_holm):
            return better if self.p_holm < LEVEL else "not settled"
        return f"{better}?" if self.low > 0 or self.high < 0 else "not settled"


@dataclass
class Comparison:
    """What changed between two runs, called `before` and `after`."""

    before: str
    after: str
    ranked_by: tuple[str, str]
    #: Sentences about versions, code, settings, libraries and devices; how many cells each is true of.
    changes: list[str]
    moved: list[Moved]
    #: Sentences about cells that have no partner, or no score on one side.
    unmatched: list[str]
    matched: int


def compare(before: Store, after: Store) -> Comparison:
    """Match the cells of two folders by variant, parameters, dataset and seed, and compare what both have.

    Raises `UserError` when they are the same folder, or have no cell in common.
    """
    if before.root.resolve() == after.root.resolve():
        raise UserError(f"{before.root} is compared with itself; give two results folders")
    sides = [Ranked(store.tables()) for store in (before, after)]
    first, second = (_cells(side) for side in sides)
    both = sorted(first.keys() & second.keys())
    if not both:
        raise UserError(
            f"{before.root} and {after.root} have no cell in common (variant, parameters, dataset, seed), so that "
            "nothing can be compared; give two runs of one benchmark file"
        )
    names = [_name(store, side) for store, side in zip((before, after), sides, strict=True)]
    if names[0] == names[1]:
        names = [str(before.root), str(after.root)]
    by = ranking(sides[1].tables)
    return Comparison(
        names[0], names[1], (by.metric, by.at),
        _changes(before, after, [(first[each], second[each]) for each in both]),
        _moved(sides, first, second, both),
        _unmatched(first, second, names),
        len(both),
    )  # fmt: skip


def _name(store: Store, side: Ranked) -> str:
    return clean(store.root.resolve().name or side.tables.run["name"])


def _cells(side: Ranked) -> dict[str, dict[Any, Any]]:
    """What identifies a cell in both folders -> the cell; not its key, which holds versions too."""
    cells = side.cells[side.cells["status"] != "skipped"]
    return {
        json.dumps([cell[name] for name in ("dataset", "variant", "params", "seed")], sort_keys=True): cell
        for cell in cells.to_dict("records")
    }


# --- what changed -----------------------------------------------------------------------------------------------------


def _changes(before: Store, after: Store, pairs: Sequence[tuple[dict[Any, Any], dict[Any, Any]]]) -> list[str]:
    """Every difference once, with how many matched cells it is true of."""
    found: Counter[str] = Counter()
    for cells in pairs:
        records = [
            trusted(store, Unit(cell["directory"]), "cell")[:2]
            for store, cell in zip((before, after), cells, strict=True)
        ]
        lines = [*_versions(cells), *_differences(cells[0]["variant"], *zip(*records, strict=True))]
        found.update(list(dict.fromkeys(lines)))
    total = len(pairs)
    return [what if count == total else f"{what} ({count} of {total} matched cells)" for what, count in found.items()]


def _versions(cells: Sequence[Mapping[Any, Any]]) -> list[str]:
    """Components and distributions of other versions than before: of the variant, the dataset, metrics, extractors."""
    made = [dict(_components(cell["components"])) for cell in cells]
    lines = []
    for what in made[0].keys() & made[1].keys():
        one, other = made[0][what], made[1][what]
        lines += _unequal(what, one.get("id"), other.get("id"))
        lines += _unequal(f"version of {one.get('id') or what}", one.get("version"), other.get("version"))
        name = "distribution_version"
        lines += _unequal(f"version of {one.get('distribution')}", one.get(name), other.get(name))
    return sorted(lines)


def _components(made: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What each component of a cell is called, and which one it is."""
    for what in ("variant", "dataset"):
        yield what, _dictionary(made.get(what))
    for kind in ("metrics", "extractors"):
        for name, one in _dictionary(made.get(kind)).items():
            yield f"{kind[:-1]} {name}", _dictionary(one)


def _differences(variant: str, tasks: Sequence[Record], manifests: Sequence[Record]) -> list[str]:
    """What else is not the same in the records of two matched cells: code first, then settings, then where it ran."""
    lines = _unequal("protocol of training", *(_dictionary(task.get("identity")).get("protocol") for task in tasks))
    code = [_dictionary(manifest.get("code")) for manifest in manifests]
    if said := changed(code[0], code[1]):
        lines.append(clean(f"code of {variant}: {said}"))
    for field in _SETTINGS:
        lines += _unequal(field.replace("_", " "), *(task.get(field) for task in tasks))
    facts = [_dictionary(manifest.get("environment")) for manifest in manifests]
    for field in dict.fromkeys([*facts[0], *facts[1]]):
        lines += _unequal(field.replace("_", " "), *(side.get(field) for side in facts))
    machines = [_dictionary(manifest.get("speed")).get("machine") for manifest in manifests]
    return [*lines, *_unequal("machine", *machines)]


def _dictionary(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _unequal(what: str, one: Any, other: Any) -> list[str]:
    """A sentence where two values differ; of dictionaries one for each entry that does."""
    if one == other or one is None or other is None:
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        names = dict.fromkeys([*one, *other])
        return [
            line
            for name in names
            for line in _unequal(f"{what} {name}", one.get(name, MISSING), other.get(name, MISSING))
        ]
    return [clean(f"{what}: {short(one, 60)} is now {short(other, 60)}")]


# --- by how much ------------------------------------------------------------------------------------------------------


def _moved(
    sides: Sequence[Ranked], first: Mapping[str, Any], second: Mapping[str, Any], both: Sequence[str]
) -> list[Moved]:
    """One row per configuration, metric and point that both have, in the order of the second leaderboard."""
    scores = [_scores(side) for side in sides]
    directions = ranking(sides[1].tables).directions
    groups: dict[tuple[str, str], list[str]] = {}
    for each in both:
        groups.setdefault((second[each]["dataset"], second[each]["configuration"]), []).append(each)
    board = sides[1].leaderboards
    order = {(row["dataset"], row["configuration"]): place for place, row in enumerate(board.to_dict("records"))}
    found = []
    for where in sorted(groups, key=order.__getitem__):
        for metric, direction in directions.items():
            for point in _POINTS:
                pairs = [
                    (
                        scores[0].get((first[each]["key"], metric, point)),
                        scores[1].get((second[each]["key"], metric, point)),
                    )
                    for each in groups[where]
                ]
                known = [(a, b) for a, b in pairs if a is not None and b is not None]
                if known:
                    a, b = (list(side) for side in zip(*known, strict=True))
                    moved = paired(b, a)
                    found.append(
                        Moved(
                            clean(where[0]), clean(where[1]), metric, point, direction,
                            float(np.mean(a)), float(np.mean(b)),
                            moved.mean, moved.low, moved.high, moved.n, moved.p, math.nan, a == b,
                        )
                    )  # fmt: skip
    by = ranking(sides[1].tables)
    tested = [
        each.p if (each.metric, each.point) == (by.metric, by.at) and not each.equal else math.nan for each in found
    ]
    return [each._replace(p_holm=p) for each, p in zip(found, holm(tested), strict=True)]


def _scores(side: Ranked) -> dict[tuple[str, str, str], float]:
    scores = finished(side.tables)
    scores = scores[scores["point"] != "curve"]
    keys = zip(*(scores[name] for name in ("key", "metric", "point")), strict=True)
    return dict(zip(keys, scores["value"].astype(float), strict=True))


def _unmatched(first: Mapping[str, Any], second: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Cells that only one side has, and those that are not done on one of them."""
    lines = []
    for own, other, name in ((first, second, names[0]), (second, first, names[1])):
        alone = Counter(f"{own[each]['configuration']} on {own[each]['dataset']}" for each in own if each not in other)
        lines += [clean(f"only in {name}: {what} ({many(count, 'cell')})") for what, count in alone.items()]
    for each in sorted(first.keys() & second.keys()):
        one, after = first[each], second[each]
        if one["status"] != "done" or after["status"] != "done":
            what = f"{after['configuration']} on {after['dataset']}, seed {after['seed']}"
            reasons = [str(cell["reason"]) for cell in (one, after) if cell["reason"]]
            was = (
                f"{one['status']}, now {after['status']}"
                if one["status"] != after["status"]
                else f"{after['status']} in both"
            )
            lines.append(clean(f"{what}: {was}" + (f": {listed(list(dict.fromkeys(reasons)))}" if reasons else "")))
    return lines


def many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
