"""What was run, read off the records: the grid, the budget, the seeds, the machines and the versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from ganbench.contracts import Tables
from ganbench.report.configurations import canonical, differing, unused
from ganbench.report.leaderboard import Ranked, ranking
from ganbench.report.page.tables import Column, Field, Line, Table
from ganbench.report.words import MISSING, clean, listed
from ganbench.tables import budget_text

#: The order in which statuses are counted.
STATUSES = ("done", "running", "interrupted", "planned", "diverged", "failed", "oom", "timeout", "skipped")
_GRID = 200  # variants on a dataset that the table of the grid has
_VERSIONS = ("ganbench", "torch", "torchvision", "torch-fidelity", "numpy", "scipy", "scikit-learn")


class Facts(NamedTuple):
    """What the head of the page and the paragraph on methods are made of."""

    name: str
    datasets: list[str]
    variants: list[str]
    seeds: list[int]
    cells: int
    statuses: dict[str, int]
    budgets: list[str]
    times: list[int]
    samples: list[int]
    precisions: list[str]
    metrics: list[str]
    ranked_by: str
    machines: dict[str, int]
    versions: dict[str, list[str]]
    seconds: float

    @property
    def planned(self) -> int:
        """Cells that were to be trained."""
        return self.cells - self.statuses.get("skipped", 0)


def facts(tables: Tables) -> Facts:
    cells, ranked_by = tables.cells, ranking(tables)
    asked = cells[cells["status"] != "skipped"]
    counts = Counter(cells["status"].tolist())
    evaluates = list({canonical(each): each for each in asked["evaluate"] if each}.values())
    budgets = tables.run.get("budgets") or [tables.run.get("budget")]
    machines, versions = _environments(cells["environment"].tolist())
    return Facts(
        name=clean(tables.run["name"]),
        datasets=[clean(name) for name in sorted(set(cells["dataset"]))],
        variants=[clean(name) for name in sorted(set(cells["variant"]))],
        seeds=sorted(set(asked["seed"].tolist())),
        cells=len(cells),
        statuses={status: counts[status] for status in STATUSES if counts[status]},
        budgets=[clean(budget_text(budget)) for budget in budgets if budget],
        times=sorted({each["times"] for each in evaluates if "times" in each}),
        samples=sorted({each["samples"] for each in evaluates if "samples" in each}),
        precisions=sorted({clean(each) for each in asked["precision"] if each}),
        metrics=[clean(metric) for metric in ranked_by.directions],
        ranked_by=f"{clean(ranked_by.metric)} at {ranked_by.at}",
        machines=machines,
        versions=versions,
        seconds=float(pd.to_numeric(cells["seconds"]).sum()),
    )


def _environments(environments: list[Any]) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Machine -> cells that were trained there; package -> its versions. Anybody may have written these records."""
    known: dict[int, tuple[Any, int]] = {}
    for each in environments:  # of which many cells share one
        known[id(each)] = each, known.get(id(each), (each, 0))[1] + 1
    machines: Counter[str] = Counter()
    versions: dict[str, set[str]] = {}
    for each, count in known.values():
        if not isinstance(each, Mapping) or not each:
            continue
        on = [each.get("gpu") or each.get("processor"), each.get("system")]
        cores = f"{each['cores']} cores" if isinstance(each.get("cores"), int) else ""
        device = f"device {each['device']}" if each.get("device") else ""
        machines[", ".join(clean(part)[:120] for part in (*on, cores, device) if part)] += count
        packages = each.get("packages")
        packages = packages if isinstance(packages, Mapping) else {}
        for name in _VERSIONS:
            if name in packages:
                versions.setdefault(name, set()).add(clean(packages[name])[:40])
        if "python" in each:
            versions.setdefault("python", set()).add(clean(each["python"])[:40])
        if each.get("git"):
            versions.setdefault("git commit", set()).add(clean(each["git"])[:40])
    return dict(machines.most_common(10)), {name: sorted(found)[:6] for name, found in versions.items()}


def summary(facts: Facts, tables: Tables) -> list[tuple[str, str]]:
    """What the head of the page lists: terms and what is said of them."""
    said = [
        ("Ranked by", facts.ranked_by),
        ("Metrics", listed(facts.metrics)),
        ("Budget", listed(facts.budgets) if facts.budgets else "not on record"),
        ("Seeds", _seeds(facts.seeds)),
        ("Evaluations", f"{_numbers(facts.times)} during training, {_numbers(facts.samples)} samples each"
         if facts.times else "not on record"),
        ("Precision", listed(facts.precisions)),
        ("Time of cells", _duration(facts.seconds)),
        ("Machines", "; ".join(
            f"{name} ({count:,} {'cell' if count == 1 else 'cells'})" for name, count in facts.machines.items()
        )),
        ("Versions", ", ".join(f"{name} {' and '.join(found)}" for name, found in facts.versions.items())),
        ("Folders", listed([clean(folder) for folder in tables.run.get("folders") or []])),
    ]  # fmt: skip
    return [(term, text) for term, text in said if text]


def _seeds(seeds: list[int]) -> str:
    if len(seeds) > 12:
        return f"{len(seeds)} ({seeds[0]} to {seeds[-1]})"
    return f"{len(seeds)} ({', '.join(map(str, seeds))})" if seeds else ""


def _numbers(values: list[int]) -> str:
    return listed([f"{value:,}" for value in values])


def _duration(seconds: float) -> str:
    if seconds != seconds or seconds <= 0:
        return ""
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.3g} {unit} in all"
    return f"{seconds:.0f} seconds in all"


def grid(ranked: Ranked) -> Table:
    """The grid as it was planned: a line per variant on a dataset, with what is fixed and what is swept."""
    columns = [
        Column("dataset", "dataset"), Column("variant", "variant"),
        Column("configurations", "configurations", True), Column("cells", "cells", True),
        Column("done", "done", True), Column("swept", "swept"), Column("set", "set in the file"),
    ]  # fmt: skip
    groups = ranked.cells.groupby(["dataset", "variant"], sort=True)
    lines = []
    for (dataset, variant), cells in list(groups)[:_GRID]:
        distinct = cells.drop_duplicates("config")
        rows = distinct[["params", "labels", "symbols", "overrides"]].to_dict("records")
        swept = differing([row["params"] for row in rows])
        fixed = {
            clean(rows[0]["labels"].get(name) or f"{name}={rows[0]['params'].get(name)}"): None
            for name in dict.fromkeys(name for row in rows for name in row["overrides"])
            if name not in swept
        }
        done = int((cells["status"] == "done").sum())
        lines.append(
            Line(
                [
                    Field(clean(dataset)), Field(clean(variant)), Field(f"{len(rows):,}", float(len(rows))),
                    Field(f"{len(cells):,}", float(len(cells))), Field(f"{done:,}", float(done)),
                    Field("; ".join(_values(rows, name) for name in swept) or MISSING),
                    Field(", ".join(fixed) or MISSING),
                ]
            )
        )  # fmt: skip
    left = len(groups) - len(lines)
    return Table("grid", "", columns, lines, [f"and {left:,} more"] if left else [])


def _values(rows: list[dict[Any, Any]], name: str) -> str:
    """``BS=16, BS=32`` of a swept parameter, the first ten."""
    texts = list(dict.fromkeys(clean(row["labels"].get(name) or unused(name, row["symbols"])) for row in rows))
    return ", ".join(texts[:10]) + (f" and {len(texts) - 10} more" if len(texts) > 10 else "")
