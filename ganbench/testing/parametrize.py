"""One pytest case for every check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ganbench.testing.cases import Check, run
from ganbench.testing.kit import Subject, Suite, kind_of, suite
from ganbench.testing.outcomes import NOTHING_RAN, Outcome

if TYPE_CHECKING:
    import pytest


def parametrize_with_checks(
    *subjects: Subject, device: str = "cpu", params: Mapping[str, Any] | None = None
) -> pytest.MarkDecorator:
    """Have a test function with the argument ``check`` called once for each check of each subject.

    A subject is ``KIND/NAME`` (``variants/my-gan``, ``datasets/folder:PATH``) or a class; `params` as for
    `check_variant`. Calling ``check()`` passes, fails, is an expected failure (xfail) or is skipped with its reason.
    The last case of each subject fails unless one of the substantive checks runs.
    """
    import pytest

    cases = []
    for subject in subjects:
        kind, name = kind_of(subject)
        found = suite(kind, name, device=device, params=params)
        bound = [_Bound(found, check) for check in found.checks]
        cases += [pytest.param(one, id=f"{found.subject}:{one.check.name}") for one in bound]
        cases.append(pytest.param(_Substantive(found, bound), id=f"{found.subject}:runs_a_substantive_check"))
    return pytest.mark.parametrize("check", cases)


class _Bound:
    """A check of a component, to be called by a test."""

    def __init__(self, tested: Suite, check: Check[Any]) -> None:
        self.tested = tested
        self.check = check
        self.outcome: Outcome | None = None

    def run(self) -> Outcome:
        self.outcome = run(self.check, self.tested.case)
        return self.outcome

    def __call__(self) -> None:
        import pytest

        __tracebackhide__ = True
        outcome = self.run()
        if outcome.status == "expected":
            pytest.xfail(outcome.reason)
        if outcome.status == "not_applicable":
            pytest.skip(outcome.reason)
        if outcome.status != "passed":
            pytest.fail(f"{self.tested.subject}: {self.check.name}: {outcome.reason}", pytrace=False)


class _Substantive:
    """Whether a check of a component ran that uses it for what it is for."""

    def __init__(self, tested: Suite, bound: list[_Bound]) -> None:
        self.tested = tested
        self.bound = sorted(bound, key=lambda one: one.outcome is None)

    def __call__(self) -> None:
        import pytest

        __tracebackhide__ = True
        candidates = [one for one in self.bound if one.check.substantive]
        # First those that other cases have run; pytest may have selected few, or share them out among processes.
        for one in sorted(candidates, key=lambda one: one.outcome is None):
            if (one.outcome or one.run()).status != "not_applicable":
                return
        pytest.fail(f"{self.tested.subject}: {NOTHING_RAN}", pytrace=False)
