"""The core's own plugin: its executors. GANs, datasets and metrics come from the packages under ``plugins/``."""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_executors(register: Register) -> None:
    register("process", "ganbench.executors:ProcessExecutor")
    register("inline", "ganbench.executors:InlineExecutor")
