"""What code a cell was made by, so that a change is noticed that no version in the cell's key declares.

Only source text is looked at: nothing is executed that was not imported before.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from ganbench.plugins import Component, Plugins

_OURS = "ganbench"  # the distribution, and its package
_ABSENT = "not found"
_SUFFIXES = (".py", ".pyc", ".so", ".pyd")
_NAMED = 3  # files that `changed` names before it counts


def fingerprint(component: Component, plugins: Plugins) -> dict[str, str]:
    """The plugin's distribution -> its version, and every file that `component` is made of -> 16 hex of its SHA-256.

    The files are the module of the component's class and, transitively, those that it imports from its own top-level
    package, or from its own distribution's other packages and modules. They are called by their module
    (``my_gan/networks.py``), so that the names are the same wherever a plugin is installed, and from a wheel as from
    an editable install. A compiled module counts by its bytes; of a module that should be there and is not, the value
    says so. A plugin of a single file is that file, by the name and the hash that it will have as a module.

    Imports inside functions count, for variants import their networks there. Those under ``TYPE_CHECKING`` do not: no
    number can depend on them. The ``__init__.py`` of a package counts where a name is imported from it, and not merely
    because a module lies below it: it usually registers components, and one more of them changes no other. What a
    module imports by a computed name, and the data files that it reads, go unnoticed.

    ganbench itself is left out: the protocol number in every key stands for it, and a release that keeps that number
    keeps all records. Answers are kept for the life of the process. Raises nothing.
    """
    plugin = plugins.plugin_of(component)
    module = component.target.partition(":")[0]
    if plugin and plugin.file and plugin.file.module == module:  # all of it, as it was loaded
        return {plugin.file.path.name: _hash(plugin.file.content.replace(b"\r\n", b"\n"))}
    owner = plugin.distribution if plugin else "?"
    versions = {owner: plugin.version} if plugin and owner not in (_OURS, "?") else {}
    return {**versions, **_files(module, owner)}


def changed(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What differs between two fingerprints, as a phrase; empty when nothing does, or when `then` is (older records).

    ``dcgan.py and networks.py of ganbench_gans changed``; ``ganbench-my-gan 1.2 is now 1.3``.
    """
    if not then or then == now:
        return ""
    differing = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    phrases = []
    for name in differing:
        if not name.endswith(_SUFFIXES):
            became = f"is now {now[name]}" if name in now else "is gone"
            phrases.append(f"{name} {then[name]} {became}" if name in then else f"{name} {now[name]} is new")
    if files := [name for name in differing if name.endswith(_SUFFIXES)]:
        phrases.append(f"{_enumerated(files)} changed")
    return ", ".join(phrases)


def _enumerated(files: list[str]) -> str:
    """``a.py, b.py, c.py and 4 more of package``, or with the package at each name where there are several."""
    names = [(package, name) for package, _, name in (file.rpartition("/") for file in files)]
    packages = {package for package, _ in names}
    common = packages.pop() if len(packages) == 1 else ""
    shown = [name if common or not package else f"{name} of {package}" for package, name in names[:_NAMED]]
    if len(names) > _NAMED:
        shown.append(f"{len(names) - _NAMED} more")
    text = " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
    return f"{text} of {common}" if common else text


@cache
def _files(start: str, owner: str) -> dict[str, str]:
    """Every file that module `start` of distribution `owner` is made of -> its hash, sorted by name."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    own = start.partition(".")[0]
    waiting = [start] if own != _OURS else []
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        name, value, imports = _read(module)
        found[name] = value
        for source, attribute in imports:
            if _counts(source.partition(".")[0], own, owner):
                inside = f"{source}.{attribute}"
                waiting.append(inside if attribute and _find(inside) else source)
    return dict(sorted(found.items()))


@cache
def _read(module: str) -> tuple[str, str, frozenset[tuple[str, str]]]:
    """A module's file by name, the hash of its content, and what it imports: modules, and names from them or ""."""
    path = module.replace(".", "/")
    spec = _find(module)
    get_data = getattr(spec.loader, "get_data", None) if spec else None
    if spec is None or not spec.origin or get_data is None:
        return f"{path}.py", _ABSENT, frozenset()
    # Without the tag of the interpreter and the platform: ``fast.cpython-311-x86_64-linux-gnu.so``.
    suffix = "." + spec.origin.rpartition(".")[2]
    package = spec.submodule_search_locations is not None
    name = f"{path}/__init__{suffix}" if package else path + suffix
    try:
        content: bytes = get_data(spec.origin)  # the loader's, so that zip files work
    except OSError:
        return name, _ABSENT, frozenset()
    if suffix != ".py":
        return name, _hash(content), frozenset()
    content = content.replace(b"\r\n", b"\n")  # what git may have made of it in a checkout
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return name, _hash(content), frozenset()
    return name, _hash(content), frozenset(_imports(tree, module if package else module.rpartition(".")[0]))


def _imports(tree: ast.AST, package: str) -> Iterator[tuple[str, str]]:
    """What a module of `package` imports: every module by its full name, with the name imported from it or ""."""
    for statement in _statements(tree):
        if isinstance(statement, ast.Import):
            yield from ((alias.name, "") for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            with suppress(ImportError):  # more dots than packages: it would fail when run, too
                source = importlib.util.resolve_name("." * statement.level + (statement.module or ""), package)
                yield from ((source, alias.name.strip("*")) for alias in statement.names)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements below `tree`, but for those that are there for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr):
            continue  # no statement is inside an expression
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            for other in node.orelse:
                yield other
                yield from _statements(other)
        else:
            yield from _statements(node)


def _is_type_checking(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


@cache
def _find(module: str) -> importlib.machinery.ModuleSpec | None:
    """The module's spec, without importing its packages as `importlib.util.find_spec` would."""
    parent = module.rpartition(".")[0]
    try:
        if not parent:
            return importlib.util.find_spec(module)
        above = _find(parent)
        if above is None or above.submodule_search_locations is None:
            return None
        return importlib.machinery.PathFinder.find_spec(module, above.submodule_search_locations)
    except Exception:  # ValueError for modules without a spec, and whatever the finders of editable installs raise
        return None


@cache
def _counts(other: str, own: str, owner: str) -> bool:
    """Whether the top-level module or package `other` belongs to the same distribution `owner` as `own`."""
    if not other or other == _OURS or other in sys.stdlib_module_names:
        return False
    if other == own:
        return True
    names = _installed_names(owner)
    if own in names:
        return other in names
    # An editable install or a folder on the path: its distribution lists no modules, and its neighbours are its own.
    # Where everything is installed they are anybody's.
    folder = _folder(own)
    return folder is not None and folder.name not in ("site-packages", "dist-packages") and _folder(other) == folder


@cache
def _installed_names(owner: str) -> frozenset[str]:
    """The top-level modules and packages among a distribution's installed files."""
    try:
        files = distribution(owner).files or []
        return frozenset(file.parts[0].partition(".")[0] for file in files if file.name.endswith(_SUFFIXES))
    except Exception:  # no such distribution, or damaged metadata
        return frozenset()


def _folder(top: str) -> Path | None:
    """The folder that a top-level module or package lies in."""
    spec = _find(top)
    if spec is None or not spec.origin or not spec.has_location:
        return None
    path = Path(spec.origin)
    return path.parent.parent if spec.submodule_search_locations is not None else path.parent


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
