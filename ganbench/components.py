"""What plugins are and what they provide: a plugin with its state, a component with the class that it names."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from ganbench import contracts
from ganbench.errors import UserError
from ganbench.isolation import blame, kept_in_bounds

if TYPE_CHECKING:
    import click
    import pluggy

    from ganbench.single import SingleFile

KINDS: dict[str, type] = {
    "variants": contracts.Variant,
    "datasets": contracts.Dataset,
    "extractors": contracts.Extractor,
    "metrics": contracts.Metric,
    "probes": contracts.Probe,
    "executors": contracts.Executor,
    "reporters": contracts.Reporter,
}
#: `optional`: installed, and loaded only where a benchmark file or ``--plugin`` names it.
State = Literal["ok", "broken", "incompatible", "left out", "optional"]


@dataclass(frozen=True)
class Component:
    """One registered thing. `id` (``plugin/name``) is its canonical name in records and keys."""

    kind: str
    name: str
    target: str
    plugin: str
    summary: str = ""
    #: Distribution and version of its plugin, as sentences show them.
    source: str = field(default="", compare=False)
    #: The module of a single-file plugin, which its name alone does not lead to.
    module: ModuleType | None = field(default=None, compare=False, repr=False)

    @property
    def id(self) -> str:
        return f"{self.plugin}/{self.name}"

    def load(self) -> Any:
        """Import and return the class. Raises `UserError` naming the plugin when that fails."""
        who = f"{self.kind[:-1]} {self.id!r}" + (f" ({self.source})" if self.source else "")
        module, _, attribute = self.target.partition(":")
        try:
            with kept_in_bounds():
                own = self.module is not None and self.module.__name__ == module
                found = getattr(self.module if own else importlib.import_module(module), attribute)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise UserError(f"{who} cannot be loaded from {self.target}: {blame(error)}") from error
        base = KINDS[self.kind].__name__
        if not (isinstance(found, type) and issubclass(found, KINDS[self.kind])):
            raise UserError(f"{who}: {self.target} is not a subclass of ganbench.api.{base}")
        if missing := sorted(getattr(found, "__abstractmethods__", ())):
            raise UserError(f"{who}: {self.target} lacks what a {base} has to have: {', '.join(missing)}")
        return found

    def describe(self) -> str:
        """The summary given at registration, else the first line of the class's docstring."""
        return self.summary or (inspect.getdoc(self.load()) or "").partition("\n")[0]


@dataclass
class Plugin:
    """One entry point or file: what it provides, or why it provides nothing (`reason`)."""

    name: str
    distribution: str
    version: str
    components: list[Component] = field(default_factory=list)
    commands: list[click.Command] = field(default_factory=list)
    state: State = "ok"
    reason: str = ""
    #: The hooks that it implements, and the manager that calls them: its own, so that nothing of a broken one stays.
    hooks: tuple[str, ...] = ()
    manager: pluggy.PluginManager | None = None
    file: SingleFile | None = None
    #: Whether it has failed as an observer, and is not called any more.
    silenced: bool = False

    @property
    def error(self) -> str:
        """Why it is broken; empty when it is not."""
        return self.reason if self.state == "broken" else ""

    @property
    def source(self) -> str:
        """Where it comes from: ``ganbench-acme 1.2``, ``my_gan.py sha256:5891b5b522d5``."""
        return f"{self.distribution} {self.version[:19] if self.file else self.version}"

    def __str__(self) -> str:
        return f"plugin {self.name!r} ({self.source})"
