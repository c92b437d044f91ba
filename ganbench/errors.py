"""The errors that ganbench raises on purpose, each one sentence a user can act on."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable
from typing import Any


class GanbenchError(Exception):
    """Base of every error whose message is meant for the user: what, where, what to do next."""


class UserError(GanbenchError):
    """Bad input (a file, a name, an option). The command line prints it and exits with code 2."""


class ParamError(UserError):
    """A parameter that does not exist or a value it does not take; `name` says which."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class PluginError(UserError):
    """A plugin that a unit of work needs is gone, or not what it was when the run was planned."""


class Unavailable(GanbenchError):
    """Something a metric needs cannot be had here (weights, labels); the rest of the run goes on."""


class Unsuitable(GanbenchError):
    """A probe that a game is not for, such as one that asks for an encoder: it is skipped with this reason."""


class DatasetError(GanbenchError):
    """A dataset is missing, truncated or not what its name says."""


class StorageError(GanbenchError):
    """Records cannot be written: the disk is full, or the folder is read-only."""


class Diverged(GanbenchError):
    """A cost or a parameter became infinite or not a number."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'dcgan'?"`` for the closest of `known`, or an empty string."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: Any, length: int = 60) -> str:
    """`value` as a sentence about it shows it: as Python writes it, cut after `length` characters."""
    try:
        text = value.isoformat() if isinstance(value, datetime.date | datetime.time) else repr(value)
    except (RecursionError, ValueError):  # lists in lists in lists; integers of more than 4,300 digits
        return f"(a value of type {type(value).__name__} that is too large to show)"
    return text if len(text) <= length else text[: length - 3] + "..."


def on_one_line(text: str, length: int = 1000) -> str:
    """`text` fit for a terminal: control characters as escapes (``\\n``), the middle of a very long one left out.

    What a sentence quotes comes from files and may hold line ends, escape codes or a megabyte.
    """
    if len(text) > length:
        text = f"{text[: length // 2]} ... {text[-length // 2 :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
