"""The hooks a plugin may implement. All run in the main process (registration in workers too), none inside training.

A plugin is a distribution with an entry point in group ``ganbench`` naming a module of functions marked with
``ganbench.api.hookimpl``. Each ``register_*`` hook is called once with a `register` callable::

    @hookimpl
    def register_variants(register):
        register("dcgan", "my_package.dcgan:DCGAN")

Targets are ``"module:attribute"`` strings imported on first use, so that the module itself stays light. Hooks return
nothing. A plugin whose import or hooks fail is listed as broken by ``ganbench plugins`` and contributes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    import click

hookspec = pluggy.HookspecMarker("ganbench")


class Register(Protocol):
    """Announce one component by `name` (lower-case letters, digits and hyphens).

    `summary` is its line in ``ganbench list``; the default is the first line of the target's docstring, for which the
    target has to be imported.
    """

    def __call__(self, name: str, target: str, *, summary: str = "") -> None: ...


# --- what exists: called once at start, in the main process and in every worker ---------------------------------------


@hookspec
def register_variants(register: Register) -> None:
    """Call `register` for each GAN variant; targets are subclasses of `ganbench.api.Variant`."""


@hookspec
def register_datasets(register: Register) -> None:
    """Call `register` for each dataset; targets are subclasses of `ganbench.api.Dataset`.

    ``name:ARGUMENT`` reaches the same class.
    """


@hookspec
def register_extractors(register: Register) -> None:
    """Call `register` for each feature extractor; targets are subclasses of `ganbench.api.Extractor`."""


@hookspec
def register_metrics(register: Register) -> None:
    """Call `register` for each metric; targets are subclasses of `ganbench.api.Metric`."""


@hookspec
def register_executors(register: Register) -> None:
    """Call `register` for each executor; targets are subclasses of `ganbench.api.Executor`."""


@hookspec
def register_reporters(register: Register) -> None:
    """Call `register` for each reporter; targets are subclasses of `ganbench.api.Reporter`.

    ``ganbench report`` calls each of them.
    """


@hookspec
def register_commands(register: Callable[[click.Command], None]) -> None:
    """Call `register` for each sub-command of ``ganbench``, a `click.Command`. Not called in workers."""


# --- what happens: called in the main process while ``ganbench run`` goes; an observer that raises is reported once ---


@hookspec
def run_started(folder: Path, cells: int) -> None:
    """Before the first cell of a run: how many `cells` are going to be trained into the results folder `folder`."""


@hookspec
def cell_started(directory: Path, cell: Mapping[str, Any]) -> None:
    """The cell in `directory` was handed to the executor; `cell` is the content of its ``cell.json``."""


@hookspec
def cell_progress(
    directory: Path, cell: Mapping[str, Any], progress: Mapping[str, Any], events: Sequence[Mapping[str, Any]]
) -> None:
    """TODO"""


@hookspec
def cell_finished(directory: Path, cell: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """The cell in `directory` ended; `cell` is the content of its ``cell.json``.

    `manifest` is the content of its ``manifest.json``, status and reason included.
    """


@hookspec
def run_finished(folder: Path, statuses: Mapping[str, int]) -> None:
    """After the last cell of the run into `folder`; `statuses` counts the cells of the plan by status."""
