"""Which cells' pictures the page has, with the scores at every sheet; and which classes the samples fall into."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ganbench.report.page.charts import Charts
from ganbench.report.page.images import Images, order
from ganbench.report.words import clean

#: So many classes have columns of their own, so many configurations lines; of more classes nothing is shown.
_CLASSES, _ROWS, _MOST = 20, 40, 1_000


def gallery(charts: Charts, images: Images, *, every: bool) -> list[dict[str, Any]]:
    """The cells with pictures, best first within a dataset. Without `every` those of each variant's best cell only."""
    metric, found = charts.ranking.metric, []
    chosen = charts.scores[(charts.scores["point"] == "best") & (charts.scores["metric"] == metric)]
    best = {key: (value, at) for key, value, at in zip(chosen["key"], chosen["value"], chosen["generator_updates"],
                                                       strict=True)}  # fmt: skip
    cells = [cell for seeds in charts.seeds.values() for cell in seeds if cell["status"] != "skipped"]
    sign = 1 if charts.ranking.lower else -1

    def place(cell: Mapping[Hashable, Any]) -> tuple[Any, ...]:
        value = best.get(cell["key"], (math.inf, 0))[0]
        return cell["status"] != "done", cell["dataset"], value if math.isinf(value) else sign * value, cell["seed"]

    cells.sort(key=place)
    kept = order(cells, every=every)
    curves = _curves(charts, {cell["key"] for cell in kept})
    classes = dict(zip(charts.tables.tables.datasets["dataset"], charts.tables.tables.datasets["classes"], strict=True))
    for cell in kept:
        pictures = images.of_cell(cell)
        if pictures is None or not (pictures["updates"] or pictures["extras"]):
            continue
        value, at = best.get(cell["key"], (math.nan, math.nan))
        rows = classes.get(cell["dataset"]) if cell["conditional"] else None
        found.append(
            {
                "configuration": charts.numbers[cell["dataset"], cell["configuration"]],
                "seed": int(cell["seed"]),
                "status": cell["status"],
                **pictures,
                "best": None if math.isnan(at) else int(at),
                "value": None if math.isnan(value) else float(value),
                "rows": min(int(rows), 10) if isinstance(rows, (int, float)) and rows > 0 else 0,
                "scores": curves.get(cell["key"], {}),
            }
        )
    found.sort(key=lambda cell: (cell["configuration"], cell["value"] is None, sign * (cell["value"] or 0)))
    return found


def _curves(charts: Charts, keys: set[str]) -> dict[str, dict[int, dict[str, float]]]:
    """Key of a cell -> generator updates -> epochs, seconds and the scores there."""
    scores = charts.scores[(charts.scores["point"] == "curve") & charts.scores["key"].isin(keys)]
    found: dict[str, dict[int, dict[str, float]]] = {}
    columns = (scores[name].tolist() for name in ("key", "generator_updates", "epochs", "seconds", "metric", "value"))
    for key, updates, epochs, seconds, metric, value in zip(*columns, strict=True):
        at = found.setdefault(key, {}).setdefault(int(updates), {"epochs": _six(epochs), "seconds": _six(seconds)})
        at[metric] = float(value)
    return found


def _six(value: float) -> float:
    return float(f"{value:.6g}") if math.isfinite(value) else 0.0


class Share(NamedTuple):
    """How the samples of one configuration fall into classes: means over `n` seeds; `apart` is the distance in total
    variation from the training images (0: as there, 1: no class in common), `lowest` the smallest share.
    """

    configuration: int
    name: str
    colour: str
    shares: list[float]
    apart: float
    lowest: float
    n: int


class Classes(NamedTuple):
    """The training images' `train` shares and those of the samples, for one dataset. `wide`: too many to list."""

    dataset: str
    train: list[float]
    rows: list[Share]
    wide: bool


def classes(charts: Charts, colours: Mapping[str, str]) -> list[Classes]:
    """Those of every dataset whose cells recorded them."""
    found: dict[str, Classes] = {}
    for row in charts.rows:
        at = row["dataset"], row["configuration"]
        known = [each for cell in charts.seeds[at] if (each := _shares(cell["classes"]))]
        if not known:
            continue
        train = known[0][1]
        samples = np.array([own for own, other in known if len(own) == len(train) and other == train])
        here = found.setdefault(row["dataset"], Classes(row["dataset"], train, [], len(train) > _CLASSES))
        if not len(samples) or here.train != train or len(here.rows) >= _ROWS:
            continue
        apart = float(np.abs(samples - np.array(train)).sum(axis=1).mean() / 2)
        mean = samples.mean(axis=0)
        share = Share(charts.numbers[at], clean(row["configuration"]), colours.get(row["variant"], ""), mean.tolist(),
                      apart, float(mean.min()), len(samples))  # fmt: skip
        here.rows.append(share)
    return list(found.values())


def _shares(record: Mapping[str, Any]) -> tuple[list[float], list[float]] | None:
    """Shares of the samples and of the training images, where there are several classes, but not thousands."""
    samples, train = record.get("samples") or [], record.get("train") or []
    return (samples, train) if 1 < len(train) <= _MOST else None


def real_sheets(charts: Charts, images: Images) -> dict[str, str]:
    """Dataset -> its sheet of real images, relative to the page."""
    datasets = charts.tables.tables.datasets
    shown = {row["dataset"] for row in charts.rows}
    found = {
        clean(name): images.of_dataset(name, Path(directory))
        for name, directory in zip(datasets["dataset"], datasets["directory"], strict=True)
        if name in shown
    }
    return {name: path for name, path in found.items() if path}
