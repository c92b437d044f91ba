"""GANs that encode: SelfExGAN, BiGAN and InfoGAN beside it, and metrics of reconstructions and latents.

SelfExGAN and the networks of all three are those of a thesis, "Latent Space Understandable Generative Adversarial
Network", chapters 3 and 4; its tables 4.1 to 4.7 are in `ganbench_selfex.tables`.
"""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_variants(register: Register) -> None:
    register("selfex-gan", "ganbench_selfex.selfex_gan:SelfExGAN")
    register("bigan", "ganbench_selfex.bigan:BiGAN")
    register("infogan", "ganbench_selfex.infogan:InfoGAN")


@hookimpl
def register_metrics(register: Register) -> None:
    register("reconstruction-error", "ganbench_selfex.metrics:ReconstructionError")
    register("reconstruction-agreement", "ganbench_selfex.metrics:ReconstructionAgreement")
    register("latent-agreement", "ganbench_selfex.metrics:LatentAgreement")
