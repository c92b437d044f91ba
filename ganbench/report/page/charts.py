"""What the page's charts are drawn from, as plain data that goes into JSON."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ganbench.report.axes import AXES
from ganbench.report.colours import hexadecimal, variant_colours
from ganbench.report.configurations import canonical, differing, unused
from ganbench.report.leaderboard import POINTS, Ranked, finished, ranking
from ganbench.report.matched import Comparison
from ganbench.report.page.tables import COMPARISONS, effect_text, status_of, telling
from ganbench.report.study import Curve, curves
from ganbench.report.words import clean

Row = Mapping[Hashable, Any]


def colours(tables: Ranked) -> dict[str, str]:
    """Variant -> its colour, that of the figures."""
    found = variant_colours(list(tables.tables.cells["variant"]))
    return {variant: hexadecimal(colour) for variant, colour in found.items()}


class Charts:
    """The configurations of `shown` (see `selection`) with their curves and costs; `numbers` are their places."""

    def __init__(self, tables: Ranked, shown: pd.DataFrame) -> None:
        self.tables, self.ranking = tables, ranking(tables.tables)
        self.rows: list[Row] = [*shown.to_dict("records")]
        self.numbers = {(row["dataset"], row["configuration"]): place for place, row in enumerate(self.rows)}
        cells = tables.cells
        wanted = pd.MultiIndex.from_arrays([shown["dataset"], shown["configuration"]])
        self.cells = cells[pd.MultiIndex.from_arrays([cells["dataset"], cells["configuration"]]).isin(wanted)]
        keys = set(self.cells["key"])
        own = tables.tables.scores
        scores = finished(tables.tables._replace(scores=own[own["key"].isin(keys)]))
        self.scores = scores.assign(configuration=scores["key"].map(self.cells.set_index("key")["configuration"]))
        self.seeds: dict[tuple[Any, Any], list[Row]] = {}
        for cell in self.cells.to_dict("records"):
            self.seeds.setdefault((cell["dataset"], cell["configuration"]), []).append(cell)

    def datasets(self) -> list[dict[str, Any]]:
        """Each with its real rows and the parameters that can be highlighted, with their values in order."""
        references = self.tables.tables.references
        found = []
        for dataset in sorted({row["dataset"] for row in self.rows}):
            real = references[(references["dataset"] == dataset) & references["value"].notna()]
            own = [self.seeds[dataset, row["configuration"]][0] for row in self.rows if row["dataset"] == dataset]
            found.append(
                {
                    "name": clean(dataset),
                    "real": dict(zip(real["metric"], map(_six, real["value"]), strict=True)),
                    "parameters": _parameters(own),
                }
            )
        return found

    def configurations(self) -> list[dict[str, Any]]:
        names = sorted({row["dataset"] for row in self.rows})
        charted = {(row["dataset"], row["configuration"]) for row in self.rows if row["charted"]}
        known = self._curves(charted)
        found = []
        for row in self.rows:
            at = row["dataset"], row["configuration"]
            first = self.seeds[at][0]
            found.append(
                {
                    "dataset": names.index(row["dataset"]),
                    "variant": clean(row["variant"]),
                    "name": clean(row["configuration"]),
                    "values": {clean(name): _shown(first, name) for name in first["params"]},
                    "rank": None if pd.isna(row["rank"]) else int(row["rank"]),
                    "n": int(row["n"]),
                    "planned": int(row["planned"]),
                    "status": status_of(row),
                    "scores": self._scores(row),
                    "seconds": _exact(row["seconds"]),
                    "flops": self._flops(at),
                    "curves": known.get(at, {}),
                }
            )
        return found

    def _scores(self, row: Row) -> dict[str, dict[str, list[Any]]]:
        parts = ("mean", "low", "high", "n")
        return {
            metric: {point: [_exact(row[f"{metric}_{point}_{part}"]) for part in parts] for point in POINTS}
            for metric in self.ranking.directions
            if any(row[f"{metric}_{point}_n"] for point in POINTS)
        }

    def _flops(self, at: tuple[Any, Any]) -> float | None:
        """Mean floating point operations of the training of a done cell."""
        counted = [
            float(cell["speed"]["flops_per_second"]) * float(cell["train_seconds"])
            for cell in self.seeds[at]
            if cell["status"] == "done" and cell["speed"].get("flops_per_second") and cell["train_seconds"]
        ]
        return _exact(sum(counted) / len(counted)) if counted else None

    def _curves(self, charted: set[tuple[Any, Any]]) -> dict[tuple[Any, Any], dict[str, Any]]:
        """Configuration -> metric -> axis -> places, and the mean, lowest and highest value there.

        An axis whose values are those on generator updates, as without interpolation they are, has places alone.
        """
        here = pd.MultiIndex.from_arrays([self.scores["dataset"], self.scores["configuration"]])
        wanted = self.scores[here.isin(list(charted))] if charted else self.scores.iloc[:0]
        of_axis = {axis: curves(wanted, axis) for axis in ("generator_updates", *AXES)}
        found: dict[tuple[Any, Any], dict[str, Any]] = {}
        for at, metrics in of_axis["generator_updates"].items():
            for metric, base in metrics.items():
                axes = {"generator_updates": _curve(base)}
                for axis in AXES:
                    if axis != "generator_updates" and (curve := of_axis[axis].get(at, {}).get(metric)):
                        alike = all(np.array_equal(*pair) for pair in zip(curve[1:4], base[1:4], strict=True))
                        axes[axis] = {"x": [_six(x) for x in curve.x]} if alike else _curve(curve)
                found.setdefault(at, {})[metric] = axes
        return found


def _curve(curve: Curve) -> dict[str, Any]:
    return {"n": curve.n, **{name: [_six(value) for value in part] for name, part in
            (("x", curve.x), ("mean", curve.mean), ("low", curve.low), ("high", curve.high))}}  # fmt: skip


def _parameters(cells: Sequence[Row]) -> list[dict[str, Any]]:
    """The parameters in which the configurations of a dataset's variants differ, and their values in order."""
    variants: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        variants.setdefault(cell["variant"], []).append(cell["params"])
    names = dict.fromkeys(name for own in variants.values() for name in differing(own))
    found = []
    for name in names:
        having = [cell for cell in cells if name in cell["params"]]
        values = {canonical(cell["params"][name]): (cell["params"][name], _shown(cell, name)) for cell in having}
        numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value, _ in values.values())
        order = sorted(values.values(), key=(lambda each: each[0]) if numeric else (lambda each: each[1]))
        symbol = next((cell["symbols"].get(name) for cell in having if cell["symbols"].get(name)), "")
        texts = list(dict.fromkeys(text for _, text in order))
        found.append({"name": clean(name), "symbol": clean(symbol), "numeric": numeric, "values": texts})
    return found


def _shown(cell: Row, name: str) -> str:
    return clean(cell["labels"].get(name) or unused(name, cell["symbols"]))


def effects(found: Sequence[Comparison], axes: Mapping[str, str], metric: str) -> list[dict[str, Any]]:
    """The matched comparisons for the forest plots."""
    return [
        {
            "dataset": clean(each.dataset),
            "variant": clean(each.variant),
            "question": clean(each.question),
            "a": clean(each.a),
            "b": clean(each.b),
            "metric": each.metric,
            "axis": each.axis,
            "lower": each.direction == "lower",
            "mean": _exact(each.mean),
            "low": _exact(each.low),
            "high": _exact(each.high),
            "n": each.n,
            "planned": each.planned,
            "verdict": each.verdict,
            "text": effect_text(each),
        }
        for each in telling(found, axes, metric)[:COMPARISONS]
    ]


def _six(value: Any) -> float | int | None:
    """Six digits: what a line on a screen can show, and half of the room."""
    exact = _exact(value)
    if exact is None:
        return None
    return int(exact) if abs(exact) < 1e12 and exact == int(exact) else float(f"{exact:.6g}")


def _exact(value: Any) -> float | None:
    """`value` in full precision; None where it is no finite number, for which JSON has no word."""
    return float(value) if math.isfinite(float(value)) else None
