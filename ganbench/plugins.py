"""Discovery of plugins through entry points, each loaded in isolation, and the lazy registries they fill."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click
import pluggy

from ganbench import __version__, contracts, hookspecs
from ganbench.errors import UserError, did_you_mean

KINDS: dict[str, type] = {
    "variants": contracts.Variant,
    "datasets": contracts.Dataset,
    "extractors": contracts.Extractor,
    "metrics": contracts.Metric,
    "executors": contracts.Executor,
    "reporters": contracts.Reporter,
}
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Component:
    """One registered thing. `id` (``plugin/name``) is its canonical name in records and keys."""

    kind: str
    name: str
    target: str
    plugin: str
    summary: str = ""

    @property
    def id(self) -> str:
        return f"{self.plugin}/{self.name}"

    def load(self) -> Any:
        """Import and return the class. Raises `UserError` naming the plugin when that fails."""
        module, _, attribute = self.target.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise UserError(
                f"{self.kind[:-1]} {self.id!r} cannot be loaded from {self.target}: {_blame(error)}"
            ) from error
        if not (isinstance(found, type) and issubclass(found, KINDS[self.kind])):
            base = KINDS[self.kind].__name__
            raise UserError(f"{self.kind[:-1]} {self.id!r}: {self.target} is not a subclass of ganbench.api.{base}")
        return found

    def describe(self) -> str:
        """The summary given at registration, else the first line of the class's docstring."""
        return self.summary or (inspect.getdoc(self.load()) or "").partition("\n")[0]


@dataclass
class Plugin:
    """One entry point: what it provides, or why it is broken."""

    name: str
    distribution: str
    version: str
    components: list[Component] = field(default_factory=list)
    commands: list[click.Command] = field(default_factory=list)
    error: str = ""


class Plugins:
    """All installed plugins and the components of the working ones."""

    def __init__(self, found: list[EntryPoint]) -> None:
        self.manager = pluggy.PluginManager("ganbench")
        self.manager.add_hookspecs(hookspecs)
        self.plugins: list[Plugin] = []
        for entry_point in sorted(found, key=lambda e: (e.name != "core", e.name)):
            self.plugins.append(self._load(entry_point))
        self.components = [component for plugin in self.plugins for component in plugin.components]
        self._silenced: set[str] = set()

    def _load(self, entry_point: EntryPoint) -> Plugin:
        """Import and register one plugin; whatever it does wrong stays with it."""
        dist = entry_point.dist
        plugin = Plugin(entry_point.name, dist.name if dist else "?", dist.version if dist else "?")
        module = None
        try:
            if not _NAME.fullmatch(entry_point.name) or self.manager.has_plugin(entry_point.name):
                raise ValueError(f"the entry point's name {entry_point.name!r} is taken or not lower-case-with-hyphens")
            module = entry_point.load()
            self._check_hooks(module)
            self.manager.register(module, entry_point.name)
            components, commands = self._collect(module, entry_point.name)
            plugin.components, plugin.commands = components, commands
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a plugin must not be able to end the program
            if module is not None and self.manager.is_registered(module):
                self.manager.unregister(module)
            plugin.error = _blame(error)
        return plugin

    def _check_hooks(self, module: Any) -> None:
        known = [name for name in vars(hookspecs) if hasattr(getattr(hookspecs, name), "ganbench_spec")]
        for name in dir(module):
            implementation = getattr(module, name)
            if hasattr(implementation, "ganbench_impl") and name not in known:
                line = inspect.unwrap(implementation).__code__.co_firstlineno
                raise ValueError(f"unknown hook {name!r}{did_you_mean(name, known)} ({module.__file__}:{line})")

    def _collect(self, module: Any, plugin: str) -> tuple[list[Component], list[click.Command]]:
        """Call the registration hooks of `module` alone."""
        others = [other for other in self.manager.get_plugins() if other is not module]
        components: dict[tuple[str, str], Component] = {}
        commands: list[click.Command] = []

        def registrar(kind: str) -> Callable[..., None]:
            def register(name: str, target: str, *, summary: str = "") -> None:
                if not _NAME.fullmatch(name):
                    raise ValueError(f"{kind[:-1]} name {name!r} is not lower-case letters, digits and hyphens")
                if not _TARGET.fullmatch(target):
                    raise ValueError(f"{kind[:-1]} {name!r}: target {target!r} is not 'module:Class'")
                if (kind, name) in components:
                    raise ValueError(f"{kind[:-1]} {name!r} is registered twice")
                components[kind, name] = Component(kind, name, target, plugin, summary)

            return register

        for kind in KINDS:
            self.manager.subset_hook_caller(f"register_{kind}", others)(register=registrar(kind))
        self.manager.subset_hook_caller("register_commands", others)(register=commands.append)
        return list(components.values()), commands

    def name(self, component: Component) -> str:
        """Its short name where only one plugin provides it, else ``plugin/name``."""
        namesakes = [c for c in self.components if (c.kind, c.name) == (component.kind, component.name)]
        return component.name if len(namesakes) == 1 else component.id

    def names(self, kind: str) -> Iterator[str]:
        """The shortest unambiguous name of every component of `kind`."""
        return (self.name(component) for component in self.components if component.kind == kind)

    def find(self, kind: str, name: str) -> Component:
        """The component called `name` (short or ``plugin/name``; a dataset's ``:ARGUMENT`` is ignored).

        Raises `UserError` when there is none, or when a short name belongs to several plugins.
        """
        bare = name.partition(":")[0] if kind == "datasets" else name
        matches = [c for c in self.components if c.kind == kind and bare in (c.name, c.id)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            both = " and ".join(component.id for component in matches)
            raise UserError(f"{kind[:-1]} {bare!r} is provided by several plugins; write {both} in full")
        broken = [plugin.name for plugin in self.plugins if plugin.error]
        hint = f"; broken plugins: {', '.join(broken)} (`ganbench plugins` says why)" if broken else ""
        suggestion = did_you_mean(bare, self.names(kind))
        raise UserError(f"unknown {kind[:-1]} {bare!r}{suggestion}; `ganbench list {kind}` shows all{hint}")

    def dataset(self, name: str, values: Mapping[str, Any] | None = None) -> contracts.Dataset:
        """The dataset called `name` (``digits``, ``folder:PATH``) with the parameters in `values`.

        Raises `UserError` for an unknown name, an argument too many or too few, and a wrong parameter.
        """
        bare, colon, argument = name.partition(":")
        cls: type[contracts.Dataset] = self.find("datasets", bare).load()
        if cls.takes_argument and not argument:
            raise UserError(f"dataset {bare!r} needs a path after a colon: {bare}:PATH")
        if colon and not cls.takes_argument:
            raise UserError(f"dataset {bare!r} takes nothing after a colon, not {name!r}")
        return cls(argument, cls.Params.resolve(values or {}, owner=f"dataset {bare!r}"))

    def notify(self, hook: str, **facts: Any) -> None:
        """Tell the observers. One that raises is reported once, silenced, and never disturbs the run."""
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            if implementation.plugin_name in self._silenced:
                continue
            try:
                implementation.function(*(facts[name] for name in implementation.argnames))
            except Exception as error:
                self._silenced.add(implementation.plugin_name)
                print(f"plugin {implementation.plugin_name!r} failed in {hook}: {_blame(error)}", file=sys.stderr)

    def version(self, plugin: str) -> str:
        """Distribution and version of a plugin, for records: ``ganbench 0.1.0``."""
        found = next((p for p in self.plugins if p.name == plugin), None)
        return f"{found.distribution} {found.version}" if found else f"ganbench {__version__}"


def _blame(error: BaseException) -> str:
    """One line: the exception, and the place of the innermost frame outside importlib and pluggy."""
    text = f"{type(error).__name__}: {error}".strip().replace("\n", " ")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    outside = [f for f in frames if "pluggy" not in f.filename and f.filename != __file__]
    return f"{text} ({outside[-1].filename}:{outside[-1].lineno})" if outside else text


@cache
def installed() -> Plugins:
    """The plugins of this environment, loaded once."""
    return Plugins(list(entry_points(group="ganbench")))
