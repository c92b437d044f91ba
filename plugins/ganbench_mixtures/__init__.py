"""Gaussian mixtures: data whose truth is known, small GANs for points, and metrics that compare with the truth.

After the examples 4.2.1 and 5.1.1 of the thesis that docs/mixtures.md names; they are said here as "the thesis".
"""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_datasets(register: Register) -> None:
    register("four-gaussians", "ganbench_mixtures.datasets:FourGaussians")
    register("ring8", "ganbench_mixtures.datasets:Ring8")
    register("grid25", "ganbench_mixtures.datasets:Grid25")
    register("mixture", "ganbench_mixtures.datasets:OwnMixture")


@hookimpl
def register_variants(register: Register) -> None:
    register("point-gan", "ganbench_mixtures.point_gan:PointGAN")
    register("point-cgan", "ganbench_mixtures.point_gan:PointCGAN")


@hookimpl
def register_metrics(register: Register) -> None:
    register("histogram", "ganbench_mixtures.metrics:HistogramDifference")
    register("class-histogram", "ganbench_mixtures.metrics:ClassHistogramDifference")
    for number in (1, 2, 3, 4):
        register(f"class-histogram-{number}", f"ganbench_mixtures.metrics:ClassHistogramDifference{number}")
    register("modes", "ganbench_mixtures.metrics:ModesCovered")
    register("high-quality", "ganbench_mixtures.metrics:HighQualityShare")
    register("mode-spread", "ganbench_mixtures.metrics:ModeSpread")
    register("mode-kl", "ganbench_mixtures.metrics:ModeKL")
    register("mode-js", "ganbench_mixtures.metrics:ModeJS")
    register("sliced-w2", "ganbench_mixtures.metrics:SlicedW2")


@hookimpl
def register_reporters(register: Register) -> None:
    register("density-evolution", "ganbench_mixtures.evolution:DensityEvolution")
