"""WGAN-GP with layers in the generator that look beyond the 3×3 window: graph convolutions, and self-attention.

The study of M. D'Amico's thesis (2020), *Image generation using deep adversarial generative models on graphs*.
docs/graph.md says what was decided where its text is silent or contradicts itself.
"""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_variants(register: Register) -> None:
    register("graph-baseline", "ganbench_graph.variants:Baseline")
    register("graph-edgeconv", "ganbench_graph.variants:EdgeConvGAN")
    register("graph-ecc", "ganbench_graph.variants:ECCGAN")
    register("graph-ecc-light", "ganbench_graph.variants:LightECCGAN")
    register("graph-attention", "ganbench_graph.variants:AttentionGAN")
