"""Several results folders as one: a study has a folder per recipe, and one report over all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pandas as pd

from ganbench.contracts import Tables
from ganbench.errors import UserError, on_one_line
from ganbench.store import Record, Store, Unit
from ganbench.tables import budget_text, distinct, trusted


def merge(stores: Sequence[Store], name: str) -> Tables:
    """The tables of all `stores` as those of one run called `name`; those of a single one as they are.

    A cell, dataset or real row that several have is taken once, from the first in which it is done. Where folders have
    the same variant on the same dataset at different budgets or precisions, these become parameters of its cells, so
    that no mean mixes them and names tell them apart; ``run["varying"]`` says which of them do. Raises `UserError` with
    the first difference that makes numbers incomparable: ranking, directions, data, extractors, versions or samples.
    """
    parts = [store.tables() for store in stores]
    if len(parts) == 1:
        return parts[0]
    tasks = [_tasks(store, part) for store, part in zip(stores, parts, strict=True)]
    _check(stores, parts, tasks)
    varying = _spread(parts)
    cells, scores = _cells(stores, parts)
    run = {key: value for key, value in parts[0].run.items() if key not in ("budget", "seeds", "evaluate")}
    run |= {
        "name": name,
        "metrics": {metric: facts for part in parts for metric, facts in part.run["metrics"].items()},
        "budgets": distinct(budget for part in parts for budget in part.cells["budget"]),
        "folders": [str(store.root) for store in stores],
        "varying": varying,
    }
    datasets = _first([part.datasets for part in parts], ["dataset"], lambda table: table["status"] == "done")
    references = _first(
        [part.references for part in parts], ["dataset", "metric"], lambda table: table["value"].notna()
    )
    scored = pd.concat([part.scored for part in parts], ignore_index=True)
    scored = scored.drop_duplicates(["dataset", "name", "sha256", "metric"], ignore_index=True)
    return Tables(run, cells, scores, references, datasets, scored)


def _tasks(store: Store, part: Tables) -> dict[str, Record]:
    """Variant -> the task of one of its cells: what tasks say beyond the tables is the same for all of them."""
    tasks: dict[str, Record] = {}
    for variant, directory in zip(part.cells["variant"], part.cells["directory"], strict=True):
        if variant not in tasks and (task := trusted(store, Unit(directory), "cell")[0]):
            tasks[variant] = task
    return tasks


def _check(stores: Sequence[Store], parts: Sequence[Tables], tasks: Sequence[dict[str, Record]]) -> None:
    """Raise `UserError` at the first fact in which two of the folders contradict each other."""
    known: dict[str, tuple[Any, Store]] = {}
    for store, part, of_variant in zip(stores, parts, tasks, strict=True):
        for what, value in _facts(store, part, of_variant).items():
            if value is None:
                continue
            before, where = known.setdefault(what, (value, store))
            if before != value:
                raise UserError(
                    f"{where.root} and {store.root} are not comparable because the {on_one_line(what)} differs "
                    f"({on_one_line(str(before))[:24]} and {on_one_line(str(value))[:24]}); report them apart"
                )


def _facts(store: Store, part: Tables, tasks: dict[str, Record]) -> dict[str, Any]:
    """What must be equal wherever two folders both have it."""
    run, rank = part.run, part.run["rank"]
    facts: dict[str, Any] = {"ranking": f"{rank['metric']} at {rank['at']}"}
    for metric, about in run["metrics"].items():
        facts[f"direction of {metric}"] = about["direction"]
    for dataset in part.datasets.to_dict("records"):
        facts[f"fingerprint of {dataset['dataset']}"] = dataset["fingerprint"]
        for extractor, info in (dataset["extractors"] or {}).items():
            facts[f"{extractor} of {dataset['dataset']}"] = info.get("hash")
        task = trusted(store, Unit(dataset["directory"]), "reference")[0]
        for metric, version in task.get("metrics", {}).items():
            facts[f"protocol version of {metric} on {dataset['dataset']}"] = version
        for asked, used in task.get("extractors", {}).items():
            facts[f"extractor in the place of {asked} on {dataset['dataset']}"] = used
        facts[f"reference of {dataset['dataset']}"] = task.get("reference")
    for name, cells in part.cells.groupby("dataset"):
        samples = {evaluate["samples"] for evaluate in cells["evaluate"] if evaluate}
        facts[f"number of samples per evaluation on {name}"] = ", ".join(map(str, sorted(samples))) or None
        facts[f"split that variants train on of {name}"] = run.get("train_on")
    for variant, task in tasks.items():
        identity = task.get("identity", {})
        facts["protocol version of training"] = identity.get("protocol")
        if "variant" in identity:
            facts[f"version of {variant}"] = f"{identity['variant']} {identity.get('variant_version')}"
    return facts


def _spread(parts: Sequence[Tables]) -> list[str]:
    """Make what differs between the parts' cells of one variant and dataset parameters of them. Returns their names."""
    conditions = [
        [
            {"budget": budget_text(budget) if budget else None, "precision": precision}
            for budget, precision in zip(part.cells["budget"], part.cells["precision"], strict=True)
        ]
        for part in parts
    ]
    seen: dict[tuple[str, str, str], dict[int, set[str]]] = {}
    for number, (part, own) in enumerate(zip(parts, conditions, strict=True)):
        for dataset, variant, condition in zip(part.cells["dataset"], part.cells["variant"], own, strict=True):
            for name, value in condition.items():
                if value is not None:
                    seen.setdefault((dataset, variant, name), {}).setdefault(number, set()).add(value)
    apart = {where for where, values in seen.items() if len(values) > 1 and len(set().union(*values.values())) > 1}
    for part, own in zip(parts, conditions, strict=True):
        where = zip(part.cells["dataset"], part.cells["variant"], own, strict=True)
        added = [{name: value for name, value in each.items() if (*at, name) in apart} for *at, each in where]
        shown = [{name: f"{name}={value}" for name, value in each.items()} for each in added]
        changes: dict[str, list[dict[str, Any]]] = {"params": added, "labels": shown}
        for column, more in changes.items():
            merged = [{**known, **new} for known, new in zip(part.cells[column], more, strict=True)]
            part.cells[column] = pd.Series(merged, index=part.cells.index, dtype=object)
    return sorted({name for _, _, name in apart})


def _cells(stores: Sequence[Store], parts: Sequence[Tables]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells and the scores of all parts, a cell that several have from the first in which it is done."""
    chosen: dict[str, tuple[int, dict[Hashable, Any]]] = {}
    for number, part in enumerate(parts):
        for cell in part.cells.to_dict("records"):
            what = json.dumps([cell[name] for name in ("dataset", "variant", "seed", "params")], sort_keys=True)
            before, known = chosen.setdefault(what, (number, cell))
            if before != number and cell["status"] == "done":
                if known["status"] != "done":
                    chosen[what] = (number, cell)
                elif known["key"] != cell["key"]:
                    raise UserError(
                        f"{stores[before].root} and {stores[number].root} are not comparable because both have "
                        f"{on_one_line(cell['variant'])} on {on_one_line(cell['dataset'])} with seed {cell['seed']}, "
                        "trained differently (compare their cell.json); report them apart"
                    )
    keys = [{cell["key"] for owner, cell in chosen.values() if owner == number} for number in range(len(parts))]
    cells = [part.cells[part.cells["key"].isin(own)] for part, own in zip(parts, keys, strict=True)]
    scores = [part.scores[part.scores["key"].isin(own)] for part, own in zip(parts, keys, strict=True)]
    return pd.concat(cells, ignore_index=True), pd.concat(scores, ignore_index=True)


def _first(
    tables: list[pd.DataFrame], names: list[str], good: Callable[[pd.DataFrame], pd.Series[bool]]
) -> pd.DataFrame:
    """The rows of all `tables`, one for each value of the columns `names`: the first good one, else the first."""
    table = pd.concat(tables, ignore_index=True)
    order = good(table).sort_values(ascending=False, kind="stable").index
    return table.loc[order].drop_duplicates(names).sort_index().reset_index(drop=True)
