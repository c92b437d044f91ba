"""What is left of an image, or of a latent vector, after the way there and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ganbench.api import Features, Metric

if TYPE_CHECKING:
    from torch import Tensor


class _Mean(Metric):
    """The mean over a stream of one number per image."""

    minimum_samples = 1

    def __init__(self, samples: int) -> None:
        super().__init__(samples)
        self._sum, self._seen = 0.0, 0

    def each(self, batch: Features) -> Tensor:
        """The numbers, float64 N."""
        raise NotImplementedError

    def update(self, batch: Features) -> None:
        self._sum += float(self.each(batch).sum())
        self._seen += len(batch.images)

    def compute(self, reference: Mapping[str, Tensor]) -> float:
        if self._seen < self.minimum_samples:
            raise ValueError(f"{type(self).__name__} needs at least one image; none was seen")
        return self._sum / self._seen


class ReconstructionError(_Mean):
    """Mean squared error per pixel of held-out images after encoding and decoding (lower is better).

    Mean over images, channels and pixels of (x - G(E(x)))², with values from 0 to 1 (grey levels / 255). 0 for perfect
    reconstructions; the variance of a pixel, averaged, for the mean image.
    """

    stream = "reconstructions"
    takes = ("labelled", "unlabelled")

    def each(self, batch: Features) -> Tensor:
        if batch.targets is None:
            raise ValueError("ReconstructionError needs the originals of the images (targets)")
        return ((batch.images.double() - batch.targets.double()) / 255).square().flatten(1).mean(dim=1)


class ReconstructionAgreement(_Mean):
    """Share of reconstructions of held-out images that the dataset's classifier puts into the original's class.

    From 0 to 1 (higher is better); the class of the original is its label. Chance is the share of the largest class at
    most; what the classifier reaches on the originals themselves, its test accuracy, is the natural ceiling.
    """

    extractor = "classifier"
    stream = "reconstructions"
    direction = "higher"
    takes = ("labelled",)

    def each(self, batch: Features) -> Tensor:
        if batch.logits is None or batch.labels is None:
            raise ValueError("ReconstructionAgreement needs the logits of extractor 'classifier' and labels")
        return (batch.logits.argmax(dim=1) == batch.labels).double()


class LatentAgreement(_Mean):
    """Mean cosine of the angle between latent vectors z and E(G(z)) of samples (higher is better).

    1 where the encoder finds every direction again; about 0, ± 1/√(N dim), where it finds none. Lengths do not count.
    """

    stream = "latents"
    direction = "higher"
    takes = ("labelled", "unlabelled")

    def each(self, batch: Features) -> Tensor:
        from torch.nn import functional as F

        if batch.latents is None or batch.encoded is None:
            raise ValueError("LatentAgreement needs latents and what the encoder makes of their images")
        return F.cosine_similarity(batch.latents.double(), batch.encoded.double(), dim=1)
