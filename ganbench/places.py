"""Where results are: a folder, or a store by its URL (``s3://bucket/prefix``), for which more is imported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.errors import UserError

if TYPE_CHECKING:
    from ganbench.store import Store

Place = Path | str


def is_url(text: str) -> bool:
    """Whether `text` names a store by a URL."""
    return re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE) is not None


class _PlaceType(click.Path):
    """The type of an option or argument that names such a place: a `Path`, or a URL as text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value.rstrip("/") if isinstance(value, str) and is_url(value) else super().convert(value, param, ctx)


class _FolderType(click.Path):
    """The type of what must be a folder on this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and is_url(value):
            raise UserError(f"this works on folders: copy the store with `ganbench merge DIR {value}`, and name DIR")
        return super().convert(value, param, ctx)


PLACE = _PlaceType(path_type=Path)
FOLDER = _FolderType(path_type=Path)


def below(results: Place, name: str) -> Store:
    """The results of the benchmark `name` below `results`, as by `at`."""
    return at(f"{results}/{name}" if isinstance(results, str) else results / name)


def at(place: Place) -> Store:
    """The results at `place`; of a store nothing is here before its `sync`, or `make`."""
    if isinstance(place, str):
        from ganbench.mirror import Mirror

        return Mirror(place)
    from ganbench.store import Store

    return Store(place)


def opened(place: Place) -> Store:
    """The results at `place`, to be read; a store's as they are by now."""
    store = at(place)
    store.sync()
    return store
