"""What checks are given: the component under test and what it is tested with; and how a check is run."""

from __future__ import annotations

import inspect
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from ganbench.errors import UserError, did_you_mean
from ganbench.testing.asked import ask
from ganbench.testing.outcomes import NotApplicable, Outcome, Violation


class Case:
    """A component under test.

    `cls` is its class, `plugin` the module that registers it (empty for a class given as such), `params` the values
    that differ from the defaults, `argument` what follows a dataset's colon, `device` the device of torch.
    """

    def __init__(
        self,
        cls: type[Any],
        name: str,
        *,
        plugin: str = "",
        params: Mapping[str, Any] | None = None,
        argument: str = "",
        device: str = "cpu",
    ) -> None:
        self.cls = cls
        self.name = name
        self.plugin = plugin
        self.values = dict(params or {})
        self.argument = argument
        self.device = device

    @cached_property
    def params(self) -> Any:
        """The parameters it is tested with: the defaults but for those given."""
        return self.cls.Params.resolve(self.values, owner=self.name)

    @cached_property
    def asked(self) -> dict[str, Any]:
        """What a process of its own found (`ganbench.testing.asked`)."""
        return ask(self.cls, self.plugin, **self.question())

    def question(self) -> dict[str, Any]:
        """What that process is asked besides."""
        return {}

    @cached_property
    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="ganbench-check-")  # deleted with this object

    def folder(self, name: str) -> Path:
        """A new empty folder that is gone when the component has been tested."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder.name))


AnyCase = TypeVar("AnyCase", bound=Case)


@dataclass(frozen=True)
class Check(Generic[AnyCase]):
    """One demand on components of a kind. Its name reads as a sentence, its docstring says what and why.

    `substantive`: it uses the component for what it is for.
    """

    function: Callable[[AnyCase], None]
    substantive: bool = True

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def demand(self) -> str:
        """Its docstring: what it demands and why."""
        return inspect.getdoc(self.function) or ""


class Checks(list[Check[AnyCase]]):
    """The checks of one kind, in order; it decorates their functions."""

    def substantive(self, function: Callable[[AnyCase], None]) -> Callable[[AnyCase], None]:
        """Add a check that uses the component for what it is for."""
        self.append(Check(function))
        return function

    def formal(self, function: Callable[[AnyCase], None]) -> Callable[[AnyCase], None]:
        """Add a check of what the component declares."""
        self.append(Check(function, substantive=False))
        return function


def expected_failures(case: Case, checks: list[Check[Any]]) -> Mapping[str, str]:
    """The failures that the component expects: check -> reason. Raises `UserError` for no such check, or no reason."""
    declared: Mapping[str, str] = case.cls.expected_failures
    known = [check.name for check in checks]
    for name, reason in declared.items():
        where = f"{case.cls.__name__}.expected_failures"
        if name not in known:
            raise UserError(
                f"{where} names an unknown check {name!r}{did_you_mean(name, known)}; docs/testing.md has all"
            )
        if not isinstance(reason, str) or not reason.strip():
            raise UserError(f"{where}[{name!r}] gives no reason; write why it fails, and what would have to change")
    return declared


def run(check: Check[AnyCase], case: AnyCase) -> Outcome:
    """Run one check, with the process put back as it was."""
    began = time.perf_counter()

    def outcome(status: Any, reason: str = "") -> Outcome:
        return Outcome(check.name, status, reason, time.perf_counter() - began, check.substantive)

    expected = case.cls.expected_failures.get(check.name)
    try:
        with _put_back():
            check.function(case)
    except NotApplicable as nothing:
        if expected is not None:
            return outcome("unexpected", f"it is not applicable ({nothing}), and was expected to fail: {expected}")
        return outcome("not_applicable", str(nothing))
    except Violation as violation:
        return outcome("failed", str(violation)) if expected is None else outcome("expected", expected)
    except Exception as error:
        return outcome("failed", blame(error)) if expected is None else outcome("expected", expected)
    if expected is not None:
        return outcome(
            "unexpected", f"it passes, and was expected to fail: {expected}; take it out of expected_failures"
        )
    return outcome("passed")


def blame(error: BaseException) -> str:
    """What was raised, and where outside of the kit, on one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    kit = str(Path(__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)
    outside = [f for f in frames if not f.filename.startswith(kit) and "/torch/" not in f.filename]
    place = f" ({outside[-1].filename}:{outside[-1].lineno})" if outside else ""
    return f"it raised {text if len(text) < 500 else text[:500] + ' ...'}{place}"


@contextmanager
def _put_back() -> Iterator[None]:
    """Undo what a check or the component changes of the process's random numbers and of torch's settings."""
    import numpy as np

    kept = random.getstate(), np.random.get_state()
    torch = sys.modules.get("torch")
    if torch is None:
        try:
            yield
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])
        return
    dtype, gradients = torch.get_default_dtype(), torch.is_grad_enabled()
    state = torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.set_rng_state(state)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
