"""Write the generated parts of hooks.md and api.md: ``python docs/reference.py``.

What is above the line `MARK` of a page is written by hand and stays. A test fails when a page is not current.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ForwardRef

import ganbench.api
import ganbench.testing
from ganbench import hookspecs

MARK = "<!-- From here on written by `python docs/reference.py`. -->"
_PHASE = re.compile(r"# --- (?P<title>[^:]+): (?P<about>.*?) -*$")


def hooks() -> str:
    """Every hook in the order of `ganbench.hookspecs`, under the comment that heads its phase."""
    lines = [f"`register` is a function of this form:\n\n{_code('register', hookspecs.Register.__call__, method=True)}"]
    lines.append(_text(hookspecs.Register))
    source = Path(str(hookspecs.__file__)).read_text(encoding="utf-8").splitlines()
    for line in source:
        if phase := _PHASE.match(line):
            title = phase["title"][0].upper() + phase["title"][1:]
            about = _markdown(phase["about"][0].upper() + phase["about"][1:])
            lines.append(f"## {title}\n\n{about}.")
        elif line.startswith("def "):
            hook = getattr(hookspecs, line[4 : line.index("(")])
            lines += [f"### `{hook.__name__}`", _code(hook.__name__, hook), _text(hook)]
    return "\n\n".join(lines) + "\n"


def api() -> str:
    """Every public name with its signature and the first line about it."""
    return "\n".join(line for module in (ganbench.api, ganbench.testing) for line in _module(module))


def _module(module: ModuleType) -> Iterator[str]:
    yield f"## {module.__name__}\n"
    for name in module.__all__:
        yield from _name(name, getattr(module, name), module)
    yield ""


def _name(name: str, value: Any, module: ModuleType) -> Iterator[str]:
    if not callable(value) or not hasattr(value, "__name__"):
        shown = f" = {value!r}" if isinstance(value, str) else ""
        yield f"- **`{name}{shown}`**: {_comment(name, module)}"
    elif not isinstance(value, type):
        yield f"- **`{name}{_signature(value)}`**: {_first(value)}"
    elif issubclass(value, Exception):
        yield f"- **`{name}`** (`{value.__base__.__name__}`): {_first(value)}"
    else:
        yield f"- **`{name}{_signature(value)}`**: {_first(value)}"
        if attributes := [_attribute(value, attribute) for attribute in _attributes(value)]:
            yield f"  - class attributes: {', '.join(attributes)}"
        for member, about in vars(value).items():
            if (member.startswith("_") and member != "__call__") or not getattr(about, "__doc__", ""):
                continue
            if isinstance(about, property):
                yield f"  - `{member}`: {_first(about)}"
            elif isinstance(about, classmethod) or inspect.isfunction(about):
                signature = _signature(getattr(value, member), method=inspect.isfunction(about))
                yield f"  - `{member}{signature}`: {_first(about)}"


def _attributes(contract: type) -> list[str]:
    """What subclasses of a contract set."""
    return list(contract.__annotations__) if inspect.isabstract(contract) else []


def _attribute(contract: type, name: str) -> str:
    if not hasattr(contract, name):
        return f"`{name}`"
    value = getattr(contract, name)
    return f"`{name} = {value.__name__ if isinstance(value, type) else repr(value)}`"


def _first(value: Any) -> str:
    """The first sentence or line about it, as Markdown."""
    text = inspect.getdoc(value) or ""
    if not text:
        raise SystemExit(f"{value} has no docstring")
    return _markdown(" ".join(text.partition("\n\n")[0].split()))


def _comment(name: str, module: ModuleType) -> str:
    """What the ``#:`` above a constant says."""
    found = re.search(rf"^#: (.*)\n{name}\b", Path(str(module.__file__)).read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{module.__name__}.{name} has no comment that begins with #:")
    return _markdown(found[1])


def _text(value: Any) -> str:
    return _markdown(inspect.getdoc(value) or "")


def _markdown(text: str) -> str:
    """Two backticks, as docstrings have them, as Markdown's one."""
    return text.replace("``", "`")


def _code(name: str, function: Any, *, method: bool = False) -> str:
    return f"```python\ndef {name}{_signature(function, method=method)}\n```"


class _Bare(str):
    """Shown as it is, without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _signature(function: Any, *, method: bool = False) -> str:
    if getattr(function, "_is_protocol", False):
        function, method = function.__call__, True
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1 if method else 0 :]
    bare = [_plain(parameter) for parameter in parameters]
    returned = _bare(signature.return_annotation)
    if isinstance(function, type):
        returned = inspect.Signature.empty
    return str(signature.replace(parameters=bare, return_annotation=returned))


def _plain(parameter: inspect.Parameter) -> inspect.Parameter:
    default = parameter.default
    if inspect.isfunction(default):
        default = _Bare("...")
    return parameter.replace(annotation=_bare(parameter.annotation), default=default)


def _bare(annotation: Any) -> Any:
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    return _Bare(ast.unparse(ast.parse(annotation))) if isinstance(annotation, str) else annotation


PAGES = {"hooks.md": hooks, "api.md": api}


def current(page: str) -> str:
    """What `page` should hold: its own beginning, and the reference."""
    own = (Path(__file__).parent / page).read_text(encoding="utf-8").partition(MARK)[0]
    return f"{own}{MARK}\n\n{PAGES[page]()}"


if __name__ == "__main__":
    for page in PAGES:
        (Path(__file__).parent / page).write_text(current(page), encoding="utf-8")
