"""The probes that ship with ganbench. Importing this module does not import torch."""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_probes(register: Register) -> None:
    register("interpolate", "ganbench_probes.interpolate:Interpolate")
    register("latent-arithmetic", "ganbench_probes.arithmetic:LatentArithmetic")
    register("latent-map", "ganbench_probes.arithmetic:LatentMap")
    register("reconstruct", "ganbench_probes.encoded:Reconstruct")
    register("iterate", "ganbench_probes.encoded:Iterate")
    register("neighbourhood", "ganbench_probes.encoded:Neighbourhood")
    register("inpaint", "ganbench_probes.inpaint:Inpaint")
    register("train-on-synthetic", "ganbench_probes.synthetic:TrainOnSynthetic")
