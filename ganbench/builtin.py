"""The core's own plugin: executors and commands. GANs, datasets and metrics come from the packages in ``plugins/``."""

from __future__ import annotations

from collections.abc import Callable

import click

from ganbench.api import Register, hookimpl


@hookimpl
def register_executors(register: Register) -> None:
    register("process", "ganbench.executors:ProcessExecutor")
    register("inline", "ganbench.executors:InlineExecutor")


@hookimpl
def register_commands(register: Callable[[click.Command], None]) -> None:
    from ganbench.evaluate_command import evaluate
    from ganbench.merge_command import merge
    from ganbench.probe_command import probe
    from ganbench.sample_command import sample
    from ganbench.scaffold import new
    from ganbench.status_command import status
    from ganbench.testing.command import check

    for command in (check, evaluate, merge, new, probe, sample, status):
        register(command)
