"""SNGAN, LSGAN, patches of photographs and the kernel distance for ganbench. Importing this module is quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganbench.api import hookimpl

if TYPE_CHECKING:
    from ganbench.api import Register


@hookimpl
def register_variants(register: Register) -> None:
    register("sngan", "ganbench_sngan.sngan:SNGAN")
    register("lsgan", "ganbench_sngan.lsgan:LSGAN")


@hookimpl
def register_datasets(register: Register) -> None:
    register("photo-patches", "ganbench_sngan.photo_patches:PhotoPatches")


@hookimpl
def register_metrics(register: Register) -> None:
    register("kcd", "ganbench_sngan.kernel_distance:KernelClassifierDistance")
