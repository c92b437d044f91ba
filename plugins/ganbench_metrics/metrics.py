"""CS, FCD, IS and FID: two formulas, each on the dataset's own classifier and on Inception.

This module is imported to list and plan; torch is imported when a score begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from ganbench.api import Features, Metric

if TYPE_CHECKING:
    from torch import Tensor


class _Score(Metric):
    """exp E KL(p(y|x) ‖ p(y)) of an extractor's logits, averaged over `splits` parts of the stream."""

    direction = "higher"
    splits: ClassVar[int] = 1

    def __init__(self, samples: int) -> None:
        from ganbench_metrics.score import Score

        super().__init__(samples)
        self._score = Score(samples, self.splits)

    def update(self, batch: Features) -> None:
        if batch.logits is None:
            raise ValueError(f"{type(self).__name__} needs the logits of extractor {self.extractor!r}")
        self._score.update(batch.logits)

    def compute(self, reference: Mapping[str, Tensor]) -> float:
        _check(self, self._score.seen)
        return self._score.compute()


class _Distance(Metric):
    """Fréchet distance between the Gaussians fitted to the features of the stream and of the reference."""

    direction = "lower"
    needs_reference = True

    def __init__(self, samples: int) -> None:
        from ganbench_metrics.moments import Moments

        super().__init__(samples)
        self._moments = Moments()

    def update(self, batch: Features) -> None:
        if batch.features is None:
            raise ValueError(f"{type(self).__name__} needs the features of extractor {self.extractor!r}")
        self._moments.update(batch.features)

    def state(self) -> dict[str, Tensor]:
        """``mean`` (d), ``trace`` (scalar), ``factor`` (d×r) of the covariance and ``regular`` (bool scalar)."""
        from ganbench_metrics.frechet import gaussian

        _check(self, self._moments.count)
        return gaussian(self._moments)._asdict()

    def compute(self, reference: Mapping[str, Tensor]) -> float:
        from ganbench_metrics.frechet import distance, from_state, gaussian

        _check(self, self._moments.count)
        return distance(gaussian(self._moments), from_state(reference, self._moments.mean.device))


def _check(metric: Metric, seen: int) -> None:
    if seen < metric.minimum_samples:
        raise ValueError(f"{type(metric).__name__} needs at least {metric.minimum_samples} samples; {seen} were seen")


class ClassifierScore(_Score):
    """Classifier Score: sharp and varied classes, as the dataset's own classifier sees them (higher is better).

    CS = exp E KL(p(y|x) ‖ p(y)) over all samples at once, TF-GAN's ``classifier_score``, with the logits of extractor
    ``classifier``. Between 1 and the number of classes, where it saturates; blind to variety within a class.
    """

    extractor = "classifier"


class InceptionScore(_Score):
    """Inception Score (higher is better).

    Salimans et al. (2016, arXiv:1606.03498): exp E KL(p(y|x) ‖ p(y)), mean over 10 random splits, with Inception's
    1008 unbiased logits, as torch-fidelity computes it (splits permuted with seed 2020). Between 1 and 1008; the paper
    takes 50,000 samples. The number of samples has to be the announced one, as the splits are drawn from it.
    """

    extractor = "inception"
    splits = 10
    minimum_samples = 20
    expected_failures: ClassVar[Mapping[str, str]] = {
        "the_order_of_images_does_not_matter": "an image's place in the stream says which of the 10 splits it is in, "
        "as in torch-fidelity, whose numbers are to be reproduced"
    }


class FrechetClassifierDistance(_Distance):
    """Fréchet Classifier Distance to the train split, on the dataset's own classifier (lower is better).

    |m1 - m2|² + tr(S1 + S2 - 2 √(S1 S2)), TF-GAN's ``frechet_classifier_distance``, of the globally average-pooled
    activations before the classifier's head (d = 64 or 128). At least 0. Its scale is the classifier's: compare
    within one dataset only.
    """

    extractor = "classifier"


class FrechetInceptionDistance(_Distance):
    """Fréchet Inception Distance to the train split (lower is better).

    Heusel et al. (2017, arXiv:1706.08500): |m1 - m2|² + tr(S1 + S2 - 2 √(S1 S2)) of Inception's pool features
    (layer "2048" of torch-fidelity). At least 0. Biased upwards for few samples: 50,000 is the convention, and numbers
    from different counts do not compare.
    """

    extractor = "inception"
