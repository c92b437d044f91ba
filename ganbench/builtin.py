"""The core's own plugin: its executors. GANs, datasets and metrics come from the packages under ``plugins/``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ganbench.api import Register, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_executors(register: Register) -> None:
    register("process", "ganbench.executors:ProcessExecutor")
    register("inline", "ganbench.executors:InlineExecutor")


@hookimpl
def register_commands(register: Callable[[click.Command], None]) -> None:
    from ganbench.status_command import status

    register(status)
