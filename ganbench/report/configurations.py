"""Configurations: the cells of one (dataset, variant, parameters) over their seeds, and what to call them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ganbench.report.words import clean


def canonical(value: Any) -> str:
    """`value` as JSON that is the same for the same value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def labelled(cells: pd.DataFrame) -> pd.DataFrame:
    """The table of cells with two more columns.

    ``config``: the parameters as canonical JSON, equal for the seeds of one configuration.
    ``configuration``: the variant, and the parameters in which the configurations of this variant on this dataset
    differ, by symbol where they have one (``dcgan BS=32 UP=bilinear``).
    """
    table = cells.copy()
    table["config"] = pd.Series([canonical(params) for params in cells["params"]], index=cells.index, dtype=object)
    table["configuration"] = pd.Series(index=cells.index, dtype=object)
    for (_, variant), group in table.groupby(["dataset", "variant"]):
        distinct: dict[str, dict[str, Any]] = dict(zip(group["config"], group["params"], strict=True))
        shown: dict[str, dict[str, str]] = dict(zip(group["config"], group["labels"], strict=True))
        names = _differing(list(distinct.values()))
        labels = {config: _label(str(variant), names, shown[config]) for config in distinct}
        table.loc[group.index, "configuration"] = group["config"].map(labels)
    return table


def _differing(configs: list[dict[str, Any]]) -> list[str]:
    """The parameters that do not have one value in all `configs`, in order of definition."""
    names = dict.fromkeys(name for params in configs for name in params)
    return [name for name in names if len({canonical(params.get(name)) for params in configs}) > 1]


def _label(variant: str, names: list[str], labels: Mapping[str, str]) -> str:
    return clean(" ".join([variant, *(labels[name] for name in names if labels.get(name))]))
