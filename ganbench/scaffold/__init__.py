"""``ganbench new plugin``: a package that works at once, written from the templates beside this module.

The layout is ``src/``: without it, tests would import the folder that they lie in, and not the package as installed.
"""

from __future__ import annotations

import datetime
import keyword
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

import click
from packaging.version import Version

from ganbench import __version__
from ganbench.errors import UserError, did_you_mean, shown
from ganbench.plugins import KINDS, installed

#: What can be written, in the singular, as `--kind` takes it.
NEW = tuple(kind.removesuffix("s") for kind in KINDS)
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST = 40

#: File of the package -> template. Those of a leading dot have none here, or git would heed them in this repository.
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "LICENSE": "LICENSE",
    "benchmark.toml": "benchmark.toml",
    ".gitignore": "gitignore",
    ".github/workflows/test.yml": "test.yml",
    ".github/workflows/publish.yml": "publish.yml",
    "src/$module/__init__.py": "plugin.py",
    "src/$module/$kind.py": "src/$kind.py",
    "tests/test_plugin.py": "test_plugin.py",
}

_DCGAN = """
[[grid]]
variants = ["dcgan"]
datasets = ["digits"]
params   = { lr = 1e-3, width = 16 }
"""
_RUN = "ganbench run benchmark.toml"
#: What ``benchmark.toml`` and the README have of each kind, beside these defaults.
_DEFAULTS = {
    "variants": '["mlp-gan"]',
    "dataset": "digits",
    "metrics": '["fcd"]',
    "extra": "",
    "beside": "",
    "commands": _RUN,
}
_TRY: dict[str, dict[str, str]] = {
    "variant": {
        "comment": "The variant $name beside dcgan on the digits of scikit-learn: seconds, and nothing to download.",
        "variants": '["$name"]',
        "beside": _DCGAN,
    },
    "dataset": {"comment": "The dataset $name, learnt by a small GAN in seconds.", "dataset": "$name"},
    "metric": {
        "comment": "The metric $name beside fcd, of a small GAN on the digits of scikit-learn.",
        "metrics": '["fcd", "$name"]',
    },
    "extractor": {
        "comment": "The extractor $name in the place of the usual classifier: fcd by its features.",
        "extra": 'extractors = { classifier = "$name" }\n',
    },
    "probe": {
        "comment": "The probe $name, carried out on a small GAN on the digits of scikit-learn when it is trained.",
        "extra": 'probes   = ["$name"]\n',
    },
    "executor": {
        "comment": "A small GAN on the digits of scikit-learn, its cells run by the executor $name.",
        "extra": 'executor = { name = "$name", params = { grace = 5.0 } }\n',
    },
    "reporter": {
        "comment": "A small GAN on the digits of scikit-learn; the reporter $name writes about it.",
        "commands": f"{_RUN}\nganbench report results/try-$name",
    },
}


@click.group()
def new() -> None:
    """Write what others can install: a plugin of your own."""


@new.command()
@click.argument("name")
@click.option("--kind", required=True, metavar="KIND", help=f"What it provides: {', '.join(NEW)}.")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="the current one",
    help="Folder to put it into.",
)
def plugin(name: str, kind: str, to: Path) -> None:
    """Write the package ganbench-NAME, with one variant, dataset, metric, extractor, probe, executor or reporter
    that works.

    It has a class to change, tests by the conformance kit, a README, a licence (MIT), a small benchmark, and workflows
    for GitHub that test it and publish it.

    \b
    Examples:
      ganbench new plugin my-gan --kind variant
      ganbench new plugin sharpness --kind metric --to ~/projects
    """
    folder = write(name, kind, to)
    click.echo(f"wrote {folder}: {_article(kind)} {kind} that works, and is now yours. Next:\n")
    commands = (
        f"cd {folder}",
        'pip install -e ".[dev]"',
        f"ganbench check {name}",
        *_words(name, kind)["commands"].splitlines(),
    )
    for command in commands:
        click.echo(f"  {command}")
    click.echo(f"\nThen change src/{_module(name)}/{kind}.py. README.md there says how to publish it.")


def write(name: str, kind: str, to: Path) -> Path:
    """Write the package of a `kind` (singular) called `name` into the folder ``to/ganbench-NAME`` and return that.

    Raises `UserError` for a kind that does not exist, a name that is no slug or is taken, a folder that exists or
    cannot be written.
    """
    if kind not in NEW:
        raise UserError(f"unknown kind {shown(kind)}{did_you_mean(kind, NEW)}; --kind takes one of {', '.join(NEW)}")
    _check(name, kind)
    folder = to / f"ganbench-{name}"
    if folder.exists():
        raise UserError(f"{folder} exists already and is left as it is; choose another name, or another folder by --to")
    words = _words(name, kind)
    templates = files("ganbench.scaffold") / "templates"
    try:
        for path, template in _FILES.items():
            source = templates / f"{_filled(template, words)}.tmpl"
            target = folder / _filled(path, words)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_filled(source.read_text(encoding="utf-8"), words), encoding="utf-8")
        (folder / "src" / words["module"] / "py.typed").touch()
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another folder by --to") from error
    return folder


def bounds(version: str) -> str:
    """What a plugin that is written now asks of ganbench: ``ganbench>=0.1,<1``, after the promise of `ganbench.api`.

    What plugins use changes with the first number of ganbench's version alone. A pre-release counts as itself.
    """
    running = Version(version)
    least = running.public if running.is_prerelease else f"{running.major}.{running.minor}"
    return f"ganbench>={least},<{running.major + 1}"


def _filled(text: str, words: dict[str, str]) -> str:
    return Template(text).substitute(words)


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"


def _module(name: str) -> str:
    return f"ganbench_{name.replace('-', '_')}"


def _words(name: str, kind: str) -> dict[str, str]:
    """What stands for each name in the templates."""
    cls = "".join(part.capitalize() for part in name.split("-"))
    if not cls.isidentifier() or keyword.iskeyword(cls):  # 3d-gan, none
        cls = kind.capitalize() + cls
    words = {
        "name": name,
        "kind": kind,
        "distribution": f"ganbench-{name}",
        "module": _module(name),
        "cls": cls,
        "year": str(datetime.date.today().year),
        "requirement": bounds(__version__),
    }
    return words | {key: _filled(value, words) for key, value in (_DEFAULTS | _TRY[kind]).items()}


def _check(name: str, kind: str) -> None:
    """Refuse a name that the package could not have, or that something else has here."""
    if len(name) > _LONGEST or not _SLUG.fullmatch(name):
        raise UserError(
            f"{shown(name)} cannot be the name of a plugin: it takes lower-case letters, digits and single hyphens, "
            f"{_LONGEST} characters at most, like my-gan"
        )
    if name.startswith("ganbench"):
        raise UserError(f"leave ganbench out of {name!r}: the package is called ganbench-NAME anyway")
    if name.replace("-", "_") in sys.stdlib_module_names:
        raise UserError(
            f"{name!r} is a module of Python's standard library, which a file of that name would hide; "
            "choose another name"
        )
    for other in installed().plugins:
        if other.name == name:
            raise UserError(
                f"a plugin {name!r} is installed already ({other.distribution} {other.version}); choose another name"
            )
    for component in installed().components:
        if (component.kind, component.name) == (f"{kind}s", name):
            raise UserError(f"the {kind} {name!r} exists already, in plugin {component.plugin!r}; choose another name")
    if find_spec(_module(name)) or _is_installed(f"ganbench-{name}"):
        raise UserError(f"a package {_module(name)} is installed already; choose another name")


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
