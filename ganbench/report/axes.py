"""The x axes of learning curves: any two runs can be compared at equal epochs, updates, data or time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Column of the scores -> what its axis is called.
AXES = {
    "epochs": "epochs",
    "generator_updates": "generator updates",
    "images": "real images seen",
    "seconds": "seconds of training",
}


def default_axis(run: Mapping[str, Any]) -> str:
    """The axis of the budget's unit; generator updates where runs with budgets of several units are reported."""
    budgets = run.get("budgets") or [run.get("budget") or {}]
    units = {"seconds" if budget.get("unit") == "minutes" else budget.get("unit") for budget in budgets}
    unit = units.pop() if len(units) == 1 else None
    return unit if unit in AXES else "generator_updates"
