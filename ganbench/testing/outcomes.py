"""What came of checks: an outcome for each, a report of all, and how a check says that it found something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["passed", "failed", "expected", "unexpected", "not_applicable"]
#: Said where nothing that the component is for was tried.
NOTHING_RAN = "no substantive check ran: every one that uses the component was not applicable"


class Violation(AssertionError):
    """A component does not do what a check demands: what was seen, what was wanted, and what to do."""

    def __init__(self, seen: str, *, wanted: str, do: str) -> None:
        super().__init__(f"{seen}; wanted: {wanted}; {do}")


class NotApplicable(Exception):
    """A check has nothing to say of this component, for the reason given."""


@dataclass(frozen=True)
class Outcome:
    """What came of one check.

    `status`: ``passed``; ``failed``; ``expected`` (it failed, and the component's `expected_failures` says so);
    ``unexpected`` (it passed, although they say that it fails); ``not_applicable``. `reason` is what was found, or why
    it was expected or not applicable; empty for what passed. `substantive`: whether the check uses the component for
    what it is for, and does not only read what it declares.
    """

    check: str
    status: Status
    reason: str = ""
    seconds: float = 0.0
    substantive: bool = True


@dataclass(frozen=True)
class Report:
    """What came of all checks of one component; `subject` is its kind and name, ``variants/gans/dcgan``."""

    subject: str
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> tuple[Outcome, ...]:
        """The checks that passed, as they should."""
        return self._of("passed")

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The checks that failed, and nobody expected it."""
        return self._of("failed")

    @property
    def expected(self) -> tuple[Outcome, ...]:
        """The checks that failed as `expected_failures` says."""
        return self._of("expected")

    @property
    def unexpected(self) -> tuple[Outcome, ...]:
        """The checks that passed although `expected_failures` says that they fail."""
        return self._of("unexpected")

    @property
    def not_applicable(self) -> tuple[Outcome, ...]:
        """The checks that have nothing to say of this component."""
        return self._of("not_applicable")

    def _of(self, status: Status) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.status == status)

    @property
    def substantive(self) -> int:
        """How many checks ran that use the component for what it is for."""
        return sum(outcome.substantive and outcome.status != "not_applicable" for outcome in self.outcomes)

    @property
    def ok(self) -> bool:
        """Whether nothing failed, no expected failure passed, and a substantive check ran."""
        return not self.failed and not self.unexpected and self.substantive > 0

    def summary(self) -> str:
        """The counts on one line: ``23 passed, 1 expected failure: reason, 2 not applicable: reason``."""
        parts = [f"{len(self.failed)} failed: {_names(self.failed)}"] if self.failed else []
        if self.unexpected:
            parts.append(f"{len(self.unexpected)} passed but expected to fail: {_names(self.unexpected)}")
        parts.append(f"{len(self.passed)} passed")
        if self.expected:
            parts.append(f"{len(self.expected)} expected {_failures(self.expected)}: {_reasons(self.expected)}")
        if self.not_applicable:
            parts.append(f"{len(self.not_applicable)} not applicable: {_reasons(self.not_applicable)}")
        if not self.substantive:
            parts.append(NOTHING_RAN)
        return ", ".join(parts)

    def raise_for_failures(self) -> None:
        """Raise `AssertionError` with everything that is wrong, unless `ok`."""
        if self.ok:
            return
        wrong = [f"{outcome.check}: {outcome.reason}" for outcome in (*self.failed, *self.unexpected)]
        wrong += [] if self.substantive else [NOTHING_RAN]
        raise AssertionError("\n".join([f"{self.subject}: {self.summary()}", *wrong]))


def _names(outcomes: Iterable[Outcome]) -> str:
    return "; ".join(outcome.check for outcome in outcomes)


def _failures(outcomes: tuple[Outcome, ...]) -> str:
    return "failure" if len(outcomes) == 1 else "failures"


def _reasons(outcomes: Iterable[Outcome]) -> str:
    """Every reason once, with how many checks gave it where it was several."""
    counts = Counter(outcome.reason for outcome in outcomes)
    return "; ".join(reason if count == 1 else f"{reason} ({count}×)" for reason, count in counts.items())
