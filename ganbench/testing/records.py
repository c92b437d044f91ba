"""Results folders as runs would have left them, for checks and tests of what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from ganbench.params import Info
from ganbench.store import Store, slug

METRICS = {"fcd": {"direction": "lower"}, "cs": {"direction": "higher"}}


class Records:
    """Writes a results folder as a run would have left it."""

    def __init__(
        self, root: Path, *, metric: str = "fcd", at: str = "best", metrics: dict[str, Any] = METRICS, **run: Any
    ) -> None:
        self.store = Store(root)
        self.run: dict[str, Any] = {"name": "study", "rank": {"metric": metric, "at": at}, "metrics": metrics}
        self.run |= {**run, "cells": {}}

    def cell(
        self,
        variant: str,
        seed: int,
        best: dict[str, float] | None,
        *,
        dataset: str = "digits",
        status: str = "done",
        reason: str | None = None,
        params: dict[str, Any] | None = None,
        symbols: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        skip: str | None = None,
        last: dict[str, float] | None = None,
        curve: dict[int, dict[str, float]] | None = None,
        unavailable: dict[str, str] | None = None,
        sheet: Image.Image | None = None,
        key: str = "",
        task: dict[str, Any] | None = None,
        **facts: Any,
    ) -> Path:
        params = params or {"lr": 0.0002}
        key = key or f"{len(self.run['cells']):08x}"
        name = f"{slug(variant)}-s{seed}-{key}"
        outline = {"key": key, "variant": variant, "dataset": dataset, "seed": seed, "params": params, "skip": skip}
        signs = symbols or {}
        shown = {param: Info("", signs.get(param, "")).label(param, value) for param, value in params.items()}
        shown |= labels or {}
        self.run["cells"][name] = {**outline, "symbols": signs, "labels": shown, "overrides": {}}
        unit = self.store.cell(name)
        if skip:
            return unit.directory
        unit.create({"unit": "cell", **outline, **(task or {})})
        facts |= {"status": status, "reason": reason, "unavailable": unavailable or {}}
        if status == "done":
            facts["seconds"] = {"total": 10.0 + seed, "train": 8.0, "evaluate": 2.0}
        for updates, metrics in (curve or {}).items():
            unit.append({"event": "evaluation", **axes(updates), "metrics": metrics})
        for point, scores in (("best", best), ("last", last or best)):
            if scores is not None:
                facts[point] = {**axes(80 if point == "best" else 100), "metrics": scores}
        unit.update(**facts)
        if sheet is not None:
            sheet.save(unit.sample_sheet(80))
        return unit.directory

    def dataset(
        self,
        name: str = "digits",
        *,
        real: dict[str, float] | None = None,
        task: dict[str, Any] | None = None,
        **facts: Any,
    ) -> Path:
        unit = self.store.reference(name)
        unit.create({"unit": "reference", "dataset": name, "metrics": {"fcd": "1", "cs": "1"}, **(task or {})})
        scores = {metric: {"value": value, "samples": 360} for metric, value in (real or {}).items()}
        known = {"shape": [1, 8, 8], "classes": 10, "train": 1437, "test": 360, "fingerprint": "f"}
        extractors = {"classifier": {"test_accuracy": 0.9722, "seed": 0}}
        unit.update(**{"status": "done", **known, "extractors": extractors, "real": scores, "unavailable": {}, **facts})
        return unit.directory

    def written(self) -> Store:
        self.store.make()
        self.store.plan(self.run, "")
        return self.store


def axes(updates: int) -> dict[str, Any]:
    return {"generator_updates": updates, "images": updates * 64, "epochs": updates / 20, "seconds": updates / 10}
