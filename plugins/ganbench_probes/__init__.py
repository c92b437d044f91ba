"""The probes that ship with ganbench. Importing this module does not import torch."""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_probes(register: Register) -> None:
    register("interpolate", "ganbench_probes.interpolate:Interpolate")
    register("reconstruct", "ganbench_probes.encoded:Reconstruct")
