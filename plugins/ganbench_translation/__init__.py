"""Image-to-image translation: pix2pix and CycleGAN, data in pairs and in two collections, metrics of translations."""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_variants(register: Register) -> None:
    register("pix2pix", "ganbench_translation.pix2pix:Pix2Pix")
    register("cyclegan", "ganbench_translation.cyclegan:CycleGAN")


@hookimpl
def register_datasets(register: Register) -> None:
    register("edges2digits", "ganbench_translation.digits:EdgesToDigits")
    register("chalk2ink", "ganbench_translation.digits:ChalkToInk")
    register("facades64", "ganbench_translation.published:Facades64")
    register("horse2zebra64", "ganbench_translation.published:HorseToZebra64")
    register("paired", "ganbench_translation.folders:Paired")
    register("unpaired", "ganbench_translation.folders:Unpaired")


@hookimpl
def register_metrics(register: Register) -> None:
    register("l1", "ganbench_translation.metrics:L1")
    register("psnr", "ganbench_translation.metrics:PSNR")
    register("ssim", "ganbench_translation.metrics:SSIM")
    register("cycle-error", "ganbench_translation.metrics:CycleError")
    register("label-agreement", "ganbench_translation.metrics:LabelAgreement")
