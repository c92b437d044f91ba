"""Each check of the conformance kit catches a component that violates it, and lets pass one that does not."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from violators import heavy

from ganbench.plugins import KINDS
from ganbench.testing.cases import run
from ganbench.testing.common import imports_no_torch
from ganbench.testing.kit import suite
from ganbench.testing.outcomes import Report

MODULES = {kind: importlib.import_module(f"violators.{kind}") for kind in KINDS}
GOOD = [(kind, cls) for kind, module in MODULES.items() for cls in module.GOOD]
VIOLATORS = [(kind, *violator) for kind, module in MODULES.items() for violator in module.VIOLATORS]


def named(*parts: Any) -> str:
    return "-".join(part if isinstance(part, str) else part.__name__ for part in parts)


def outcomes(kind: str, cls: type, leave_out: set[str]) -> dict[str, Any]:
    found = suite(kind, cls)
    return {check.name: run(check, found.case) for check in found.checks if check.name not in leave_out}


@pytest.mark.parametrize(("kind", "cls"), GOOD, ids=[named(*each) for each in GOOD])
def test_a_component_that_keeps_its_contract_passes(kind: str, cls: type) -> None:
    report = suite(kind, cls).report()
    report.raise_for_failures()
    assert report.substantive > 5


@pytest.mark.parametrize(("kind", "cls", "check", "also"), VIOLATORS, ids=[named(*each[:3]) for each in VIOLATORS])
def test_a_violation_is_caught_by_its_check_and_no_other(kind: str, cls: type, check: str, also: set[str]) -> None:
    found = outcomes(kind, cls, MODULES[kind].SLOW - {check} - also)
    for process in getattr(cls, "left", ()):  # what an executor went away from
        process.kill()
    failed = {name: outcome.reason for name, outcome in found.items() if outcome.status == "failed"}
    assert set(failed) == {check} | also, failed
    assert "wanted: " in failed[check]


def test_a_module_that_imports_torch_is_caught() -> None:
    found = suite("variants", heavy.Heavy)
    outcome = next(run(check, found.case) for check in found.checks if check.name == "imports_no_torch")
    assert outcome.status == "failed"
    assert "importing violators.heavy imports torch" in outcome.reason
    for kind, module in MODULES.items():  # it is the same check for all of them
        assert imports_no_torch in [check.function for check in suite(kind, module.GOOD[0]).checks]


@pytest.mark.parametrize("kind", KINDS)
def test_every_check_has_a_violator_and_says_what_it_demands(kind: str) -> None:
    found = suite(kind, MODULES[kind].GOOD[0])
    violated = {check for _, check, _ in MODULES[kind].VIOLATORS} | {"imports_no_torch"}
    assert violated == {check.name for check in found.checks}
    assert all(check.demand for check in found.checks)
    assert Report("", ()).ok is False
