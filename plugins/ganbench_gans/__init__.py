"""The GANs that ship with ganbench, one short file each."""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_variants(register: Register) -> None:
    register("mlp-gan", "ganbench_gans.mlp_gan:MLPGAN")
    register("dcgan", "ganbench_gans.dcgan:DCGAN")
    register("cgan", "ganbench_gans.cgan:CGAN")
    register("wgan", "ganbench_gans.wgan:WGAN")
    register("wgan-gp", "ganbench_gans.wgan_gp:WGANGP")
