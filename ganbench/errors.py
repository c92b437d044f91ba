"""The errors that ganbench raises on purpose, each one sentence a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GanbenchError(Exception):
    """Base of every error whose message is meant for the user: what, where, what to do next."""


class UserError(GanbenchError):
    """Bad input (a file, a name, an option). The command line prints it and exits with code 2."""


class ParamError(UserError):
    """A parameter that does not exist or a value it does not take; `name` says which."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Unavailable(GanbenchError):
    """Something a metric needs cannot be had here (weights, labels); the rest of the run goes on."""


class DatasetError(GanbenchError):
    """A dataset is missing, truncated or not what its name says."""


class StorageError(GanbenchError):
    """Records cannot be written: the disk is full, or the folder is read-only."""


class Diverged(GanbenchError):
    """A cost or a parameter became infinite or not a number."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'dcgan'?"`` for the closest of `known`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
