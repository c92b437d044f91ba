"""Bounds on versions: what a benchmark file requires, and which ganbench a plugin's distribution is for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import Distribution, PackageNotFoundError, version
from typing import TYPE_CHECKING

from ganbench import __version__
from ganbench.errors import shown

if TYPE_CHECKING:
    from ganbench.config import Source


def incompatible(distribution: Distribution | None) -> str:
    """The bounds of a distribution that leave out the running ganbench, as a phrase; empty where none does."""
    names = distribution.requires if distribution else None
    if not names or not any(name.lower().startswith("ganbench") for name in names):
        return ""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    for text in names:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # pip would not have installed it either
        if canonicalize_name(requirement.name) != "ganbench":
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and not requirement.specifier.contains(__version__, prereleases=True):
            return f"it is for ganbench{requirement.specifier}, and this is {__version__}"
    return ""


def check(requires: Sequence[str], source: Source) -> None:
    """Raise `UserError`, with the line, at the first requirement of a benchmark file that is not met."""
    if not requires:
        return
    from packaging.requirements import InvalidRequirement, Requirement

    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            wrong = f'requires holds {shown(text)}, which is no requirement; write for example "ganbench-acme>=0.2"'
            raise source.error(wrong, ("requires",), text) from None
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            found = __version__ if requirement.name.lower() == "ganbench" else version(requirement.name)
        except PackageNotFoundError:
            missing = f"it requires {text!r}, and {requirement.name} is not installed"
            raise source.error(f"{missing}; `pip install '{text}'`", ("requires",), text) from None
        if not requirement.specifier.contains(found, prereleases=True):
            other = f"it requires {text!r}, and {requirement.name} {found} is installed"
            raise source.error(f"{other}; `pip install '{text}'`", ("requires",), text)
