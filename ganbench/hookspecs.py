"""The hooks a plugin may implement: what it registers, and what it observes of a run. None is called in training.

A plugin is a module of functions marked with ``ganbench.api.hookimpl``: that of an entry point in group ``ganbench``
(or ``ganbench.optional``) of a distribution, or a file of its own that a benchmark names. A function may leave out
arguments of its hook that it does not need, and may ask for no others. Hooks return nothing; what one returns is
dropped. A plugin whose import or registration fails, or takes more than five seconds, is listed as broken by
``ganbench plugins`` and contributes nothing::

    @hookimpl
    def register_variants(register):
        register("dcgan", "my_package.dcgan:DCGAN")
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
    """Announce one component by `name` (lower-case letters, digits and hyphens; once per kind and plugin).

    `target` is ``"module:Class"``, imported when the component is first used, so that the plugin's module stays light.
    Its canonical name is ``plugin/name``; the short one does while no other plugin has it. `summary` is its line in
    ``ganbench list``; the default is the first line of the class's docstring, for which it has to be imported.
    """

    def __call__(self, name: str, target: str, *, summary: str = "") -> None: ...


# --- what exists -----------------------------------------------------------------------------------------------------
# Called once when a process asks for plugins: in the main process, and in every worker whose plugin worked there.


@hookspec
def register_variants(register: Register) -> None:
    """Register GAN variants; targets are subclasses of `ganbench.api.Variant`.

    Called once at start, in the main process and in workers. `register` is a `ganbench.api.Register`.
    """


@hookspec
def register_datasets(register: Register) -> None:
    """Register datasets; targets are subclasses of `ganbench.api.Dataset`.

    ``name:ARGUMENT`` in a benchmark file reaches the same class, which gets the argument.

    Called once at start, in the main process and in workers. `register` is a `ganbench.api.Register`.
    """


@hookspec
def register_extractors(register: Register) -> None:
    """Register feature extractors; targets are subclasses of `ganbench.api.Extractor`.

    A metric gets the one that is called as it asks, or the one that a benchmark file puts in its place.

    Called once at start, in the main process and in workers. `register` is a `ganbench.api.Register`.
    """


@hookspec
def register_metrics(register: Register) -> None:
    """Register metrics; targets are subclasses of `ganbench.api.Metric`.

    Called once at start, in the main process and in workers. `register` is a `ganbench.api.Register`.
    """


@hookspec
def register_probes(register: Register) -> None:
    """Register probes, for ``ganbench probe`` and benchmark files; targets are subclasses of `ganbench.api.Probe`.

    Called once at start, in the main process and in workers. `register` is a `ganbench.api.Register`.
    """


@hookspec
def register_executors(register: Register) -> None:
    """Register executors, for ``ganbench run --executor NAME``; targets are subclasses of `ganbench.api.Executor`.

    Called once at start, in the main process and in workers. `register` is a `ganbench.api.Register`.
    """


@hookspec
def register_reporters(register: Register) -> None:
    """Register reporters; targets are subclasses of `ganbench.api.Reporter`.

    ``ganbench report`` makes and calls each of them, in the main process.

    Called once at start, in the main process and in workers. `register` is a `ganbench.api.Register`.
    """


@hookspec
def register_commands(register: Callable[[click.Command], None]) -> None:
    """Register sub-commands of ``ganbench``.

    Called once at start, in the main process and in workers. `register` takes a `click.Command`, whose name must be
    none of ganbench's own and of no other plugin. Commands run in the main process; keep torch out of their module.
    """


# --- what happens ----------------------------------------------------------------------------------------------------
# Called in the main process while ``ganbench run`` goes, between looks at its workers: what is slow holds up the
# handing out of cells, so be quick, or hand over to a thread. What is told comes from the records on disk, as copies.
# An observer that raises is reported once and told nothing more until the command ends; no cell is touched by it.


@hookspec
def run_started(folder: Path, cells: int) -> None:
    """A run is about to hand out its first cell; datasets are ready, and their real rows scored.

    Called once per benchmark file, in the main process. `folder` is the results folder (``results/<name>``; what an
    observer writes belongs in ``folder / "observers"``), `cells` how many cells want work: 0 where all is done.
    """


@hookspec
def cell_started(directory: Path, cell: Mapping[str, Any]) -> None:
    """A cell was claimed by this run and goes to the executor: to be trained, gone on with, or scored again.

    Called in the main process, once per cell and run (not again when the run retries it). `directory` is the cell's,
    ``folder / "cells" / <cell>``; `cell` is the content of its ``cell.json``: ``key``, ``variant``, ``dataset``,
    ``seed``, ``params``, ``budget``, ``metrics`` and more.
    """


@hookspec
def cell_progress(
    directory: Path, cell: Mapping[str, Any], progress: Mapping[str, Any], events: Sequence[Mapping[str, Any]]
) -> None:
    """A running cell has moved: about five times a second at most, and once more before `cell_finished`.

    Called in the main process. `directory` and `cell` are those of `cell_started`. `progress` is where it is: ``spent``
    (share of the budget, 0 to 1), ``updates`` (of the generator), ``metrics`` (of the latest evaluation), or ``doing``
    (a sentence) before training; empty at the end.

    `events` are the evaluations that this plugin was not told of before, oldest first and usually none: each has
    ``generator_updates``, ``rounds``, ``images``, ``epochs``, ``seconds`` (of training), ``costs`` (player -> float)
    and ``metrics`` (name -> float); its sample sheet is ``directory / "samples" / f"{generator_updates:08d}.png"``.

    Every evaluation is told once, also where a cell is interrupted and goes on in another run: ``told.jsonl`` in its
    directory remembers them by generator updates and metrics. A plugin that is new hears of the earlier ones first.
    """


@hookspec
def cell_finished(directory: Path, cell: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """A cell has ended, in whatever status, and will not be tried again by this run; all its evaluations are told.

    Called in the main process, once for every `cell_started`, unless the run is stopped before the cell has ended.
    `directory` and `cell` are those of `cell_started`, `manifest` is the content of its ``manifest.json``: ``status``,
    ``reason``, when it is done ``best`` and ``last`` (each with ``generator_updates`` and ``metrics``), ``seconds``,
    ``speed``, ``components``.
    """


@hookspec
def run_finished(folder: Path, statuses: Mapping[str, int]) -> None:
    """The run is over, or was stopped by Ctrl-C or SIGTERM: the time to close files.

    Called once per benchmark file, in the main process. `folder` is that of `run_started`, `statuses` counts the cells
    of the plan by status (``{"done": 14, "failed": 1}``).
    """
