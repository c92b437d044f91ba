"""Cells as jobs of Slurm: ``ganbench run benchmark.toml --executor slurm``."""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_executors(register: Register) -> None:
    register("slurm", "ganbench_slurm.executor:SlurmExecutor")
