"""Cells as tasks of a Ray cluster: ``ganbench run benchmark.toml --executor ray``."""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_executors(register: Register) -> None:
    register("ray", "ganbench_ray.executor:RayExecutor")
