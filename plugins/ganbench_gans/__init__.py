"""The GANs that ship with ganbench, one short file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganbench.api import hookimpl

if TYPE_CHECKING:
    from ganbench.hookspecs import Register


@hookimpl
def register_variants(register: Register) -> None:
    register("mlp-gan", "ganbench_gans.mlp_gan:MLPGAN")
    register("dcgan", "ganbench_gans.dcgan:DCGAN")
    register("cgan", "ganbench_gans.cgan:CGAN")
    register("wgan", "ganbench_gans.wgan:WGAN")
    register("wgan-gp", "ganbench_gans.wgan_gp:WGANGP")
