"""From a name or a class to its checks and their report."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ganbench.errors import UserError, did_you_mean
from ganbench.plugins import KINDS, Component, installed
from ganbench.testing.cases import Case, Check, expected_failures, run
from ganbench.testing.outcomes import Outcome, Report

Subject = str | type[Any]


class Suite(NamedTuple):
    """A component under test, with all checks of its kind."""

    subject: str
    case: Case
    checks: list[Check[Any]]

    def outcomes(self) -> Iterator[Outcome]:
        """Run the checks, one after another."""
        for check in self.checks:
            yield run(check, self.case)

    def report(self, tell: Callable[[Outcome], None] = lambda outcome: None) -> Report:
        """Run all checks; `tell` gets every outcome as it comes."""
        outcomes = []
        for outcome in self.outcomes():
            tell(outcome)
            outcomes.append(outcome)
        return Report(self.subject, tuple(outcomes))


def suite(
    kind: str, subject: Subject, *, device: str = "cpu", params: Mapping[str, Any] | None = None, argument: str = ""
) -> Suite:
    """The checks of one component of `kind` (``variants``): a name, short or ``plugin/name``, or a class.

    A dataset's name may go on with ``:ARGUMENT``; for a class there is `argument`.
    Raises `UserError` for an unknown name, an inadmissible parameter and an `expected_failures` that names no check.
    """
    plugin, cls = "", subject
    if isinstance(subject, str):
        component = installed().find(kind, subject)
        cls, plugin = component.load(), _module(component)
        name, _, argument = subject.partition(":") if kind == "datasets" else (subject, "", argument)
        shown = f"{kind}/{component.id}{argument and ':' + argument}"
    else:
        if not (isinstance(subject, type) and issubclass(subject, KINDS[kind])):
            raise UserError(f"{subject!r} is no subclass of ganbench.api.{KINDS[kind].__name__}, and so none of {kind}")
        name = subject.__name__
        shown = f"{kind}/{name}"
    assert isinstance(cls, type)
    module = importlib.import_module(f"ganbench.testing.{kind}")
    case: Case = module.CASE(cls, name, plugin=plugin, params=params, argument=argument, device=device)
    checks: list[Check[Any]] = list(module.CHECKS)
    expected_failures(case, checks)
    if params and not hasattr(cls, "Params"):
        kinds = "variants, datasets, probes and executors"
        raise UserError(f"{shown} has no parameters, so {', '.join(params)} cannot be set; only {kinds} have")
    if params:
        case.params  # noqa: B018  (an inadmissible value is the caller's mistake, not the component's)
    return Suite(shown, case, checks)


def find(name: str, kind: str = "") -> list[tuple[str, str]]:
    """Kinds and names of what is called `name` (short or ``plugin/name``), of one `kind` if given, or `UserError`."""
    if kind:
        installed().find(kind, name)
        return [(kind, name)]
    bare = name.partition(":")[0]
    kinds = list(dict.fromkeys(c.kind for c in installed().components if bare in (c.name, c.id)))
    if not kinds:
        known = [name for kind in KINDS for name in installed().names(kind)]
        raise UserError(
            f"nothing is called {name!r}{did_you_mean(name, known)}; see `ganbench list variants` and so on"
        )
    return [(found, name) for found in kinds]


def kind_of(subject: Subject) -> tuple[str, Subject]:
    """The kind of ``variants/my-gan`` or of a class, and what is left to be found in it. Raises `UserError`."""
    if isinstance(subject, type):
        for kind, base in KINDS.items():
            if issubclass(subject, base):
                return kind, subject
        raise UserError(
            f"{subject.__name__} is none of what plugins provide; it is no subclass of a class of ganbench.api"
        )
    kind, slash, name = subject.partition("/")
    if not slash or kind not in KINDS:
        raise UserError(
            f"{subject!r} is not KIND/NAME with one of {', '.join(KINDS)}; write for instance variants/my-gan"
        )
    return kind, name


def _module(component: Component) -> str:
    """The module that registers a component."""
    plugin = installed().plugin_of(component)
    modules = plugin.manager.get_plugins() if plugin and plugin.manager else ()
    return next((str(getattr(module, "__name__", "")) for module in modules), "")


def check_variant(variant: Subject, *, device: str = "cpu", params: Mapping[str, Any] | None = None) -> Report:
    """Check a GAN; `params` are values other than the defaults (a smaller width, say) to play it with."""
    return suite("variants", variant, device=device, params=params).report()


def check_dataset(dataset: Subject, *, argument: str = "", params: Mapping[str, Any] | None = None) -> Report:
    """Check a dataset; `argument` is what follows the colon (of a name it can be part: ``folder:PATH``).

    It is read from the data root, ``$GANBENCH_DATA``.
    """
    return suite("datasets", dataset, argument=argument, params=params).report()


def check_metric(metric: Subject, *, device: str = "cpu") -> Report:
    """Check a metric, on digits as the dataset's own classifier sees them, whatever extractor it names."""
    return suite("metrics", metric, device=device).report()


def check_extractor(extractor: Subject, *, device: str = "cpu") -> Report:
    """Check a feature extractor, on digits brought to a size that it takes."""
    return suite("extractors", extractor, device=device).report()


def check_probe(probe: Subject, *, device: str = "cpu", params: Mapping[str, Any] | None = None) -> Report:
    """Check a probe, on small games of digits; `params` are values other than the defaults."""
    return suite("probes", probe, device=device, params=params).report()


def check_executor(executor: Subject) -> Report:
    """Check an executor, with small units of work that end, fail, and are stopped."""
    return suite("executors", executor).report()


def check_reporter(reporter: Subject) -> Report:
    """Check a reporter, on the records of runs as they end well and badly."""
    return suite("reporters", reporter).report()
