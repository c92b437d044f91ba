"""What follows the colon of a dataset's name."""

from __future__ import annotations

from pathlib import Path

from ganbench.api import Dataset, UserError


def no_argument(dataset: Dataset, name: str) -> None:
    """Raises `UserError` when something follows the colon: ignored, it would make two datasets of one."""
    if dataset.argument:
        raise UserError(f"dataset {name!r} takes nothing after a colon, not {name}:{dataset.argument}")


def path_argument(dataset: Dataset, name: str) -> Path:
    """The path after the colon, relative to the current directory. Raises `UserError` when there is none."""
    if not dataset.argument:
        raise UserError(f"dataset {name!r} needs a path: write {name}:PATH")
    return Path(dataset.argument).expanduser()
