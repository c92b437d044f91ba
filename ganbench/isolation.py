"""Loading one plugin so that whatever it does wrong stays with it, and can be told in one sentence."""

from __future__ import annotations

import inspect
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from ganbench import hookspecs
from ganbench.errors import did_you_mean, on_one_line, shown

if TYPE_CHECKING:
    from ganbench.components import Component, Plugin

#: Seconds after which a plugin that is still being loaded is broken.
PATIENCE = 5.0
#: The commands of ``ganbench`` itself, which no plugin can take.
COMMANDS = frozenset({"run", "plan", "list", "show", "plugins", "report", "doctor", "data"})
#: Hook -> the names of its arguments.
HOOKS = {
    name: tuple(inspect.signature(hook).parameters)
    for name, hook in vars(hookspecs).items()
    if hasattr(hook, "ganbench_spec")
}
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_HERE = Path(__file__).parent


class Wrong(Exception):
    """A mistake of a plugin that ganbench itself has found; its message is the sentence."""


def fill(plugin: Plugin, bring: Callable[[], Any]) -> None:
    """Have `bring` import the plugin's module, and take in all that it registers, or nothing and why."""
    started = time.monotonic()
    try:
        with kept_in_bounds(), _watched(plugin):
            module = bring()
            hooks = _hooks(module)
            manager = pluggy.PluginManager("ganbench")
            manager.add_hookspecs(hookspecs)
            manager.register(module, plugin.name)
            components, commands = _collect(plugin, module, manager)
        spent = time.monotonic() - started
        # Not in workers: they load what the main process has found good, maybe on a machine that is busier by now.
        if spent > PATIENCE and parent_process() is None:
            where = getattr(module, "__file__", None) or getattr(module, "__name__", module)
            raise Wrong(
                f"it took {spent:.1f} s to load, more than the {PATIENCE:g} s that a plugin may; "
                f"import what is heavy inside functions ({where})"
            )
    except KeyboardInterrupt:  # the user's: that of a plugin cannot be told from it
        raise
    except BaseException as error:  # SystemExit too: a plugin must not be able to end the program
        undo(plugin, blame(error))
    else:
        plugin.hooks, plugin.manager = hooks, manager
        plugin.components, plugin.commands = components, commands


def undo(plugin: Plugin, reason: str) -> None:
    """Make a plugin a broken one, of which nothing is left but why."""
    plugin.state, plugin.reason = "broken", reason
    plugin.hooks, plugin.manager, plugin.components, plugin.commands = (), None, [], []


@contextmanager
def kept_in_bounds() -> Iterator[None]:
    """Put the current folder and the standard streams back after a plugin's code; when it fails, the rest as well."""
    folder, variables, path = _folder(), dict(os.environ), list(sys.path)
    streams = sys.stdin, sys.stdout, sys.stderr
    try:
        yield
    except BaseException:
        if os.environ != variables:
            os.environ.clear()
            os.environ.update(variables)
        sys.path[:] = path
        raise
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
        if folder and _folder() != folder:
            os.chdir(folder)


def _folder() -> str:
    """The current folder; empty where it has been deleted."""
    try:
        return os.getcwd()
    except OSError:
        return ""


@contextmanager
def _watched(plugin: Plugin) -> Iterator[None]:
    """Say which plugin is being waited for: an import cannot be stopped, but the user can stop it."""

    def say() -> None:
        left_out = f"Ctrl-C, and `ganbench -p no:{plugin.name} ...` goes on without it"
        print(f"waiting for {plugin} to load for {PATIENCE:g} s now; {left_out}", file=sys.stderr, flush=True)

    timer = threading.Timer(PATIENCE, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _hooks(module: Any) -> tuple[str, ...]:
    """The hooks that `module` implements. Raises `Wrong` for one that could not be called, or that is none."""
    found = []
    for name in dir(module):
        function = getattr(module, name, None)
        if not inspect.isroutine(function):
            continue
        marked = hasattr(function, "ganbench_impl")
        if marked and name not in HOOKS:
            known = did_you_mean(name, HOOKS) or f"; hooks are {', '.join(HOOKS)}"
            raise Wrong(f"unknown hook {name!r}{known}{_place(function)}")
        if not marked and name in HOOKS and getattr(function, "__module__", None) == module.__name__:
            raise Wrong(f"{name} lacks its @hookimpl, so that it would never be called{_place(function)}")
        if marked:
            _check_arguments(name, function)
            found.append(name)
    if not found:
        where = getattr(module, "__file__", None)
        raise Wrong(f"no function in it is marked with @ganbench.api.hookimpl{f' ({where})' if where else ''}")
    return tuple(found)


def _check_arguments(name: str, function: Callable[..., Any]) -> None:
    """Raise `Wrong` where the function could not be called as the hook is, or would do nothing then."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise Wrong(f"{name} is an async function, which nothing would wait for; write a plain one{_place(function)}")
    if inspect.isgeneratorfunction(function):
        raise Wrong(f"{name} has a yield, so that calling it would do nothing; write a plain one{_place(function)}")
    kinds = inspect.Parameter
    for argument in inspect.signature(function).parameters.values():
        given = argument.name in HOOKS[name] and argument.kind is not kinds.KEYWORD_ONLY
        starred = argument.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
        if not given and (starred or argument.default is kinds.empty):
            has = f"argument is {HOOKS[name][0]}"
            if len(HOOKS[name]) > 1:
                has = f"arguments are {', '.join(HOOKS[name][:-1])} and {HOOKS[name][-1]} (any of them, by name)"
            raise Wrong(f"{name} asks for {argument}, which this hook does not have: its {has}{_place(function)}")


def _place(function: Callable[..., Any]) -> str:
    """`` (FILE:LINE)`` of a function, where it has one."""
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    return f" ({code.co_filename}:{code.co_firstlineno})" if code else ""


def _collect(plugin: Plugin, module: Any, manager: pluggy.PluginManager) -> tuple[list[Component], list[Any]]:
    """What the registration hooks of a plugin announce."""
    import click

    from ganbench.components import KINDS, Component

    components: dict[tuple[str, str], Component] = {}
    commands: dict[str, click.Command] = {}
    own = module if plugin.file else None

    def registrar(kind: str) -> Callable[..., None]:
        def register(name: str, target: str, *, summary: str = "") -> None:
            if not (isinstance(name, str) and SLUG.fullmatch(name)):
                raise Wrong(f"{kind[:-1]} name {shown(name)} is not lower-case letters, digits and hyphens")
            if not (isinstance(target, str) and _TARGET.fullmatch(target)):
                raise Wrong(f"{kind[:-1]} {name!r}: target {shown(target)} is not 'module:Class'")
            if not isinstance(summary, str):
                raise Wrong(f"{kind[:-1]} {name!r}: summary {shown(summary)} is no text")
            if (kind, name) in components:
                raise Wrong(f"{kind[:-1]} {name!r} is registered twice")
            components[kind, name] = Component(kind, name, target, plugin.name, summary, plugin.source, own)

        return register

    def register_command(command: click.Command) -> None:
        if not isinstance(command, click.Command) or not command.name:
            raise Wrong(f"{shown(command)} is not a click.Command with a name")
        if command.name in COMMANDS or command.name in commands:
            owner = "is one of ganbench's own" if command.name in COMMANDS else "is registered twice"
            raise Wrong(f"command {command.name!r} {owner}; give it another name")
        commands[command.name] = command

    for kind in KINDS:
        getattr(manager.hook, f"register_{kind}")(register=registrar(kind))
    manager.hook.register_commands(register=register_command)
    return list(components.values()), list(commands.values())


def blame(error: BaseException) -> str:
    """One line: what was raised, and the line of the plugin (or of what it calls) that it comes from."""
    try:
        text = str(error)
    except BaseException:
        text = "(an exception that cannot be shown)"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {on_one_line(error.msg)} ({error.filename}:{error.lineno})"
    text = on_one_line(" ".join(text.split()), 500)
    if not isinstance(error, Wrong):
        text = f"{type(error).__name__}: {text}".strip(": ")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _between(f.filename)]
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


def _between(file: str) -> bool:
    """Whether a file is of what stands between a plugin and its mistake: ganbench, pluggy, Python's import."""
    folder = Path(file).parent
    return file.startswith("<frozen importlib") or folder.name in ("importlib", "pluggy") or folder == _HERE
