"""The plugins of a process: those found through entry points, those that are named, and the registries they fill."""

from __future__ import annotations

import copy
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from ganbench import __version__, contracts, isolation, requirements, single
from ganbench.components import KINDS, Component, Plugin
from ganbench.errors import PluginError, UserError, did_you_mean, shown

__all__ = ["KINDS", "VARIABLE", "Component", "Named", "Plugin", "Plugins", "installed", "name", "use"]

#: The environment variable that restricts which plugins are loaded: ``a,b`` these only, ``no:c`` all but this one.
VARIABLE = "GANBENCH_PLUGINS"
_OURS = "ganbench"  # the distribution whose plugins keep their names, whoever else wants them


@dataclass(frozen=True)
class Named:
    """A plugin that a benchmark file or ``--plugin`` names: an optional one, or a file as it was read."""

    text: str
    file: single.SingleFile | None = None

    def is_file(self, record: Mapping[str, str]) -> bool:
        """Whether it is the file that a unit of work names."""
        return self.file is not None and (self.text, self.file.sha256) == (record["file"], record["sha256"])


class Plugins:
    """All plugins of an environment, and the components of those that work."""

    def __init__(self, found: Iterable[EntryPoint], optional: Iterable[EntryPoint] = (), choice: str = "") -> None:
        """`found` are loaded, each alone; `optional` are known by name. `choice` is as in `VARIABLE`.

        Raises `UserError` where `choice` names a plugin that is not there.
        """
        entries = [(entry, False) for entry in found] + [(entry, True) for entry in optional]
        entries.sort(key=lambda entry: (entry[0].name != "core", entry[0].name))
        self._wanted = _choice(choice, [entry.name for entry, _ in entries])
        self._optional: dict[str, tuple[Plugin, EntryPoint]] = {}
        #: What `plus` added, in that order.
        self.named: tuple[Named, ...] = ()
        self.plugins: list[Plugin] = []
        self._enter([_Entry(entry, waits, *_distribution(entry)) for entry, waits in entries])
        self.components = _all(self.plugins)

    def _enter(self, entries: Sequence[_Entry]) -> None:
        """Load what is to be loaded. Of several distributions with one name none gets it, but for our own."""
        ours = {entry.name for entry in entries if entry.distribution == _OURS}
        names = Counter(entry.name for entry in entries)
        for entry in entries:
            plugin = Plugin(entry.name, entry.distribution, entry.version)
            self.plugins.append(plugin)
            others = [f"{e.distribution} {e.version}" for e in entries if e.name == entry.name and e is not entry]
            bounds = requirements.incompatible(entry.point.dist) if entry.distribution != _OURS else ""
            if not self._wanted(entry.name):
                plugin.state, plugin.reason = "left out", f"by -p or {VARIABLE}"
            elif not isolation.SLUG.fullmatch(entry.name):
                plugin.state = "broken"
                plugin.reason = f"the entry point's name {shown(entry.name)} is not lower-case-with-hyphens"
            elif names[entry.name] > 1 and not (entry.name in ours and entry.distribution == _OURS):
                plugin.state, rivals = "broken", " and ".join(others)
                plugin.reason = f"{rivals} has a plugin {entry.name!r} too; uninstall one, or rename its entry point"
            elif bounds:
                plugin.state, plugin.reason = "incompatible", bounds
            elif entry.waits:
                plugin.state, plugin.reason = "optional", f'loaded by plugins = ["{entry.name}"] or --plugin'
                self._optional[entry.name] = plugin, entry.point
            else:
                isolation.fill(plugin, _bringing(entry.point))
                self._refuse_commands(plugin)

    def _refuse_commands(self, plugin: Plugin) -> None:
        """A command that another plugin has already breaks the one that comes later."""
        for other in self.plugins:
            taken = {command.name for command in other.commands} & {command.name for command in plugin.commands}
            if other is not plugin and taken:
                reason = f"command {taken.pop()!r} is that of {other} already; give it another name"
                isolation.undo(plugin, reason)

    def plus(self, named: Named) -> Plugins:
        """These and one more. Raises `UserError` where it cannot be had: unlike those that are merely installed, a
        plugin that somebody asks for has to work.
        """
        known = next((plugin for plugin in self.plugins if plugin.name == named.text and not named.file), None)
        if known is None and not named.file:
            names = [plugin.name for plugin in self.plugins]
            raise UserError(
                f"unknown plugin {named.text!r}{did_you_mean(named.text, names)}; `ganbench plugins` shows those that "
                "are installed, and a file is given as ./my_gan.py"
            )
        more = copy.copy(self)
        more.named = (*self.named, named)
        if known is not None and known.state in ("ok", "left out"):
            return more
        if known is not None and known.state == "optional":
            plugin = self._loaded(known)
        else:
            plugin = known or self._of_file(named.file)
        self._refuse_commands(plugin)
        if plugin.state != "ok":
            raise UserError(f"{plugin} is {plugin.state}: {plugin.reason}")
        more.plugins = [*(other for other in self.plugins if other is not known), plugin]
        more.components = _all(more.plugins)
        return more

    def _loaded(self, known: Plugin) -> Plugin:
        _, point = self._optional[known.name]
        plugin = Plugin(known.name, known.distribution, known.version)
        isolation.fill(plugin, _bringing(point))
        if plugin.state == "ok":
            self._optional[known.name] = plugin, point
        return plugin

    def _of_file(self, file: single.SingleFile | None) -> Plugin:
        assert file is not None
        plugin = Plugin(file.plugin, file.path.name, f"sha256:{file.sha256}", file=file)
        namesake = next((other for other in self.plugins if other.name == plugin.name), None)
        if namesake is not None:
            raise UserError(f"{file.path} would be {plugin}, and there is {namesake} already; rename the file")
        before = sys.modules.get(file.module)
        isolation.fill(plugin, lambda: single.load(file))
        if plugin.state != "ok":
            single.put_back(file.module, before)
        return plugin

    @property
    def working(self) -> list[str]:
        """The names of the plugins that work, single files aside: what a worker's choice is."""
        return [plugin.name for plugin in self.plugins if plugin.state == "ok" and not plugin.file]

    def plugin_of(self, component: Component) -> Plugin | None:
        """The plugin that provides `component`."""
        namesakes = (plugin for plugin in self.plugins if plugin.name == component.plugin and plugin.state == "ok")
        return next(namesakes, None)

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
        hints = ""
        for state in ("broken", "incompatible", "left out"):
            if names := [plugin.name for plugin in self.plugins if plugin.state == state]:
                hints += f"; {state} plugins: {', '.join(names)}"
        hints += " (`ganbench plugins` says why)" if hints else ""
        suggestion = did_you_mean(bare, self.names(kind))
        raise UserError(f"unknown {kind[:-1]} {bare!r}{suggestion}; `ganbench list {kind}` shows all{hints}")

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

    def watchers(self, hook: str) -> list[Plugin]:
        """The plugins that observe `hook` and have not failed at it."""
        return [plugin for plugin in self.plugins if hook in plugin.hooks and not plugin.silenced]

    def notify(self, hook: str, **facts: Any) -> None:
        """Tell all observers of `hook`."""
        for plugin in self.watchers(hook):
            self.tell(plugin, hook, **facts)

    def tell(self, plugin: Plugin, hook: str, **facts: Any) -> None:
        """Tell one observer. One that raises is reported, not called any more, and never disturbs the run.

        Everybody gets a copy, so that nobody can change what others see.
        """
        assert plugin.manager is not None
        try:
            with isolation.kept_in_bounds():
                getattr(plugin.manager.hook, hook)(**copy.deepcopy(facts))
        except KeyboardInterrupt:  # the end of the run
            raise
        except BaseException as error:
            plugin.silenced = True
            print(f"{plugin} failed in {hook} and is told nothing more: {isolation.blame(error)}", file=sys.stderr)

    def version(self, plugin: str) -> str:
        """Distribution and version of a plugin, for people: ``ganbench 0.1.0``."""
        found = next((p for p in self.plugins if p.name == plugin and p.state == "ok"), None)
        return found.source if found else f"ganbench {__version__}"


def _all(plugins: Iterable[Plugin]) -> list[Component]:
    return [component for plugin in plugins for component in plugin.components]


@dataclass(frozen=True)
class _Entry:
    point: EntryPoint
    waits: bool
    distribution: str
    version: str

    @property
    def name(self) -> str:
        return self.point.name


def _distribution(entry_point: EntryPoint) -> tuple[str, str]:
    dist = entry_point.dist
    return (dist.name, dist.version) if dist else ("?", "?")


def _bringing(entry_point: EntryPoint) -> Callable[[], Any]:
    def bring() -> Any:
        try:
            return entry_point.load()
        except ModuleNotFoundError as error:
            if error.name and f"{entry_point.module}.".startswith(f"{error.name}."):
                missing = f"its entry point names the module {entry_point.module!r}, and there is no {error.name!r}"
                raise isolation.Wrong(f"{missing}; is the package whole?") from error
            raise

    return bring


def _choice(text: str, known: Sequence[str]) -> Callable[[str], bool]:
    """Whether a plugin of a name is to be loaded. Raises `UserError` for a name that there is not."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    out = {part.removeprefix("no:") for part in parts if part.startswith("no:")}
    only = {part for part in parts if not part.startswith("no:")}
    for name in sorted(out | only):
        if name not in known:
            there = ", ".join(dict.fromkeys(known))
            raise UserError(
                f"-p or {VARIABLE}: unknown plugin {name!r}{did_you_mean(name, known)} (there are: {there})"
            )
    if "core" in out:
        raise UserError(f"-p or {VARIABLE}: the plugin 'core' is ganbench itself and cannot be left out")
    return lambda name: name == "core" or (name not in out and (not only or name in only))


def name(text: str, folder: Path) -> Named:
    """What a benchmark file in `folder`, or the command line, means by `text`. Raises `UserError`."""
    if not single.is_file(text):
        return Named(text)
    path = Path(os.path.abspath(folder / Path(text).expanduser()))
    return Named(str(path), single.read(path))


_named: tuple[Named, ...] = ()  # what this process uses beside what is installed


def installed() -> Plugins:
    """The plugins of this process: those of the environment, loaded once, and those that `use` was given last."""
    return _with(os.environ.get(VARIABLE, ""), _named)


def use(named: Sequence[Named]) -> Plugins:
    """Load these too, in place of those given before; from now on they are among `installed`. Raises `UserError`."""
    global _named
    chosen = tuple(dict.fromkeys(named))
    found = _with(os.environ.get(VARIABLE, ""), chosen)
    _named = chosen
    return found


def let_go() -> None:
    """Use no more than what is installed."""
    global _named
    _named = ()


def in_use() -> tuple[Named, ...]:
    """What `use` was given last."""
    return _named


def use_recorded(records: Iterable[Mapping[str, str]]) -> Plugins:
    """The same with what a unit of work says of its plugins (`recorded`).

    Raises `PluginError` where a file is not there any more, or not what it was.
    """
    named = []
    for record in records:
        if "file" not in record:
            named.append(Named(record["name"]))
            continue
        if brought := next((one for one in _brought if one.is_file(record)), None):
            named.append(brought)
            continue
        path = Path(record["file"])
        try:
            file = single.read(path)
        except UserError as error:
            raise PluginError(f"a plugin of this benchmark is gone since the run was planned: {error}") from None
        if file.sha256 != record["sha256"]:
            raise PluginError(f"{path} has changed since the run was planned; `ganbench run` again plans anew")
        named.append(Named(str(path), file))
    return use(named)


def recorded(plugins: Plugins, components: Iterable[Component]) -> list[dict[str, str]]:
    """What a worker must load beside what is installed to have `components`: for the task, and no part of its key."""
    found = {plugin.name: plugin for component in components if (plugin := plugins.plugin_of(component))}
    records = []
    for _, plugin in sorted(found.items()):
        if plugin.file:
            records.append({"file": str(plugin.file.path), "sha256": plugin.file.sha256})
        elif plugin.name in plugins._optional:
            records.append({"name": plugin.name})
    return records


@cache
def _with(choice: str, named: tuple[Named, ...]) -> Plugins:
    if named:
        return _with(choice, named[:-1]).plus(named[-1])
    return Plugins(entry_points(group="ganbench"), entry_points(group="ganbench.optional"), choice)


_brought: tuple[Named, ...] = ()  # files of another machine, which need not be on this one


class Settled(NamedTuple):
    """The plugins of this process for one that it starts: what works here is loaded there, and nothing else."""

    choice: str
    named: tuple[Named, ...]
    brought: tuple[Named, ...] = ()

    @classmethod
    def here(cls) -> Settled:
        return cls(",".join(installed().working), _named, _brought)

    def settle(self) -> None:
        """In the other process, before it asks for any plugin."""
        global _named, _brought
        os.environ[VARIABLE] = self.choice
        _named, _brought = self.named, self.brought

    @classmethod
    def to_bring(cls) -> Settled:
        """The same for a process of another machine. Files are brought there, and what a unit needs it names itself."""
        return cls(",".join(installed().working), (), tuple(named for named in _named if named.file))

    def settle_there(self) -> None:
        """In that process: what is not installed there cannot be loaded there, and may not be needed."""
        there = {plugin.name for plugin in installed().plugins}
        kept = ",".join(name for name in self.choice.split(",") if name in there)
        self._replace(choice=kept).settle()
