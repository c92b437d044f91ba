"""Components that keep their contracts, in a module that imports torch."""

from __future__ import annotations

import torch  # noqa: F401

from violators import datasets, executors, extractors, metrics, reporters, variants


class HeavyVariant(variants.Tiny):
    """A GAN."""


class HeavyDataset(datasets.Squares):
    """A dataset."""


class HeavyMetric(metrics.Brightness):
    """A metric."""


class HeavyExtractor(extractors.Projection):
    """An extractor."""


class HeavyExecutor(executors.Local):
    """An executor."""


class HeavyReporter(reporters.Lines):
    """A reporter."""
