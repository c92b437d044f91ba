"""Plugins of one file: a module that is in no package, loaded from its path and known by its content."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from importlib.abc import SourceLoader
from pathlib import Path
from types import ModuleType

from ganbench.errors import UserError
from ganbench.isolation import SLUG

_LARGEST = 10_000_000  # bytes; no source is longer


@dataclass(frozen=True)
class SingleFile:
    """A Python file with its content as it was read, which is what is run and what the hash is of."""

    path: Path
    content: bytes = field(repr=False)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def module(self) -> str:
        """The name of its module: ``my_gan`` of ``my_gan.py``, as it will be called in a package."""
        return self.path.stem

    @property
    def plugin(self) -> str:
        """The name of its plugin: ``my-gan``."""
        return self.path.stem.lower().replace("_", "-").strip("-")


def is_file(text: str) -> bool:
    """Whether what names a plugin is a path (``./my_gan.py``) rather than the name of one that is installed."""
    return text.endswith(".py") or "/" in text or os.sep in text


def read(path: Path) -> SingleFile:
    """The file at `path`. Raises `UserError` when it cannot be read, or when its name cannot be that of a module."""
    try:
        if not path.is_file():
            raise UserError(f"{path} is {'a folder' if path.is_dir() else 'not there'}; give the path of a Python file")
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error
    found = SingleFile(path, content)
    if len(content) > _LARGEST or path.suffix != ".py":
        raise UserError(f"{path} is no Python file; a plugin of one file is called like my_gan.py")
    if not (found.module.isidentifier() and SLUG.fullmatch(found.plugin)):
        raise UserError(f"{path} has a name that no module can have; use letters, digits and underscores: my_gan.py")
    return found


class _Loader(SourceLoader):
    """Runs the content that was read, never a compiled copy or what the file has become since."""

    def __init__(self, file: SingleFile) -> None:
        self._file = file

    def get_filename(self, fullname: str) -> str:
        return str(self._file.path)

    def get_data(self, path: str | bytes) -> bytes:
        if Path(os.fsdecode(path)) != self._file.path:
            raise OSError(f"{os.fsdecode(path)} is not {self._file.path}")
        return self._file.content


_loaded: set[str] = set()  # modules of this process that come from single files


def load(file: SingleFile) -> ModuleType:
    """Run the file as a module of its own. Raises whatever it raises, and `UserError` where its name is taken."""
    name = file.module
    if name not in _loaded and (name in sys.modules or importlib.util.find_spec(name) is not None):
        known = sys.modules.get(name) or importlib.util.find_spec(name)
        origin = getattr(known, "__file__", None) or getattr(known, "origin", None) or "Python itself"
        if not (origin != "Python itself" and os.path.exists(origin) and os.path.samefile(origin, file.path)):
            raise UserError(f"there is a module {name!r} already ({origin}); give {file.path.name} another name")
    spec = importlib.util.spec_from_file_location(name, file.path, loader=_Loader(file))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it while it is run
    _loaded.add(name)
    spec.loader.exec_module(module)
    return module


def put_back(name: str, before: ModuleType | None) -> None:
    """Make `before` the module of that name again, or let there be none."""
    if name in _loaded and before is not None:
        sys.modules[name] = before
    elif name in _loaded:
        _loaded.remove(name)
        sys.modules.pop(name, None)
