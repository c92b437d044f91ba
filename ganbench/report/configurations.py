"""Configurations: the cells of one (dataset, variant, parameters) over their seeds, and what to call them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ganbench.report.words import clean, listed

_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode


def canonical(value: Any) -> str:
    """`value` as JSON that is the same for the same value."""
    return _encode(value)


def labelled(cells: pd.DataFrame) -> pd.DataFrame:
    """The table of cells with three more columns.

    ``config``: the parameters as canonical JSON, equal for the seeds of one configuration.
    ``configuration``: the variant, and the parameters in which the configurations of this variant on this dataset
    differ, by symbol where they have one (``dcgan BS=32 UP=bilinear``).
    ``settings``: the same without the variant; ``no SMOOTH`` where every one of these parameters is left out, and the
    variant where there is but one configuration of it.
    """
    # `tolist` wherever many values are gone through: to take texts from a table one by one is ten times as slow.
    places = list(zip(cells["dataset"].tolist(), cells["variant"].tolist(), strict=True))
    texts = dict[int, str]()  # of the same parameters, which cells share
    configs = [texts.get(id(each)) or texts.setdefault(id(each), canonical(each)) for each in cells["params"].tolist()]
    distinct: dict[tuple[str, str], dict[str, tuple[Any, ...]]] = {}
    facts = zip(*(cells[name].tolist() for name in ("params", "labels", "symbols")), strict=True)
    for place, config, fact in zip(places, configs, facts, strict=True):
        distinct.setdefault(place, {})[config] = fact
    names: dict[tuple[Any, ...], tuple[str, str]] = {}
    for place, known in distinct.items():
        varied = differing([params for params, _, _ in known.values()])
        for config, (_, labels, symbols) in known.items():
            settings = _label("", varied, labels)
            settings = settings or listed([unused(name, symbols) for name in varied] or [clean(place[1])])
            names[place, config] = _label(str(place[1]), varied, labels), settings
    table = cells.copy()
    table["config"] = pd.Series(configs, index=cells.index, dtype=object)
    for number, column in enumerate(("configuration", "settings")):
        shown = [names[at][number] for at in zip(places, configs, strict=True)]
        table[column] = pd.Series(shown, index=cells.index, dtype=object)
    return table


def differing(configs: list[dict[str, Any]]) -> list[str]:
    """The parameters that do not have one value in all `configs`, in order of definition."""
    configs = list({id(params): params for params in configs}.values())  # which seeds share
    names = dict.fromkeys(name for params in configs for name in params)
    # `repr`, which tells 1, 1.0 and True from each other, as JSON does.
    return [name for name in names if len({repr(params.get(name)) for params in configs}) > 1]


def unused(name: str, symbols: Mapping[str, str]) -> str:
    """What a parameter at the value that means "not used" is called where it has to be called something."""
    return clean(f"no {symbols.get(name) or name}")


def _label(variant: str, names: list[str], labels: Mapping[str, str]) -> str:
    return clean(" ".join([variant, *(labels[name] for name in names if labels.get(name))]))
