"""Configurations: the cells of one (dataset, variant, parameters) over their seeds, and what to call them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ganbench.report.words import clean, listed


def canonical(value: Any) -> str:
    """`value` as JSON that is the same for the same value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def labelled(cells: pd.DataFrame) -> pd.DataFrame:
    """The table of cells with three more columns.

    ``config``: the parameters as canonical JSON, equal for the seeds of one configuration.
    ``configuration``: the variant, and the parameters in which the configurations of this variant on this dataset
    differ, by symbol where they have one (``dcgan BS=32 UP=bilinear``).
    ``settings``: the same without the variant; ``no SMOOTH`` where every one of these parameters is left out, and the
    variant where there is but one configuration of it.
    """
    table = cells.copy()
    table["config"] = pd.Series([canonical(params) for params in cells["params"]], index=cells.index, dtype=object)
    table["configuration"] = pd.Series(index=cells.index, dtype=object)
    table["settings"] = pd.Series(index=cells.index, dtype=object)
    for (_, variant), group in table.groupby(["dataset", "variant"]):
        distinct: dict[str, dict[str, Any]] = dict(zip(group["config"], group["params"], strict=True))
        shown: dict[str, dict[str, str]] = dict(zip(group["config"], group["labels"], strict=True))
        symbols: dict[str, dict[str, str]] = dict(zip(group["config"], group["symbols"], strict=True))
        names = differing(list(distinct.values()))
        labels = {config: _label(str(variant), names, shown[config]) for config in distinct}
        table.loc[group.index, "configuration"] = group["config"].map(labels)
        settings = {
            config: _label("", names, shown[config])
            or listed([unused(name, symbols[config]) for name in names] or [clean(variant)])
            for config in distinct
        }
        table.loc[group.index, "settings"] = group["config"].map(settings)
    return table


def differing(configs: list[dict[str, Any]]) -> list[str]:
    """The parameters that do not have one value in all `configs`, in order of definition."""
    names = dict.fromkeys(name for params in configs for name in params)
    return [name for name in names if len({canonical(params.get(name)) for params in configs}) > 1]


def unused(name: str, symbols: Mapping[str, str]) -> str:
    """What a parameter at the value that means "not used" is called where it has to be called something."""
    return clean(f"no {symbols.get(name) or name}")


def _label(variant: str, names: list[str], labels: Mapping[str, str]) -> str:
    return clean(" ".join([variant, *(labels[name] for name in names if labels.get(name))]))
