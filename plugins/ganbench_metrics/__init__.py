"""The metrics and feature extractors that ship with ganbench. Importing this module does not import torch."""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_metrics(register: Register) -> None:
    register("cs", "ganbench_metrics.metrics:ClassifierScore")
    register("fcd", "ganbench_metrics.metrics:FrechetClassifierDistance")
    register("is", "ganbench_metrics.metrics:InceptionScore")
    register("fid", "ganbench_metrics.metrics:FrechetInceptionDistance")


@hookimpl
def register_extractors(register: Register) -> None:
    register("classifier", "ganbench_metrics.classifier:Classifier")
    register("inception", "ganbench_metrics.inception:Inception")
