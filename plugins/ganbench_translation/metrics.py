"""How near translations come to the ground truth, to where they came from, and to the class of their source.

SSIM is scikit-image's. Errors are on a scale from 0 to 1, from black to white. Sums are float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from ganbench.api import Features, Metric

if TYPE_CHECKING:
    from torch import Tensor


class _OfPairs(Metric):
    """The mean over images of `score`, a number for each pair of an image and what it ought to be."""

    minimum_samples = 1

    def __init__(self, samples: int) -> None:
        super().__init__(samples)
        self._sum, self._count = 0.0, 0

    def score(self, images: Tensor, targets: Tensor) -> Tensor:
        """Uint8 N×C×H×W, twice -> float64 N."""
        raise NotImplementedError

    def update(self, batch: Features) -> None:
        if batch.targets is None:
            raise ValueError(f"{type(self).__name__} needs what images ought to be (targets)")
        self._sum += float(self.score(batch.images, batch.targets).sum())
        self._count += len(batch.images)

    def mean(self) -> float:
        if self._count < self.minimum_samples:
            raise ValueError(f"{type(self).__name__} needs at least {self.minimum_samples} images; none was seen")
        return self._sum / self._count

    def compute(self, reference: Mapping[str, Tensor]) -> float:
        return self.mean()


class _Absolute(_OfPairs):
    def score(self, images: Tensor, targets: Tensor) -> Tensor:
        return (images.double() - targets.double()).abs().mean(dim=(1, 2, 3)) / 255


class L1(_Absolute):
    """Mean absolute difference from the ground truth of held-out pairs, from 0 to 1 (lower is better).

    Over all pixels and channels of all images, on a scale on which black is 0 and white is 1.
    """

    takes = ("paired",)


class CycleError(_Absolute):
    """Mean absolute difference of held-out sources there and back from themselves, from 0 to 1 (lower is better).

    What CycleGAN's cycle consistency asks for; no ground truth is needed. Of a game that encodes it is the error of
    held-out images encoded and decoded.
    """

    stream = "reconstructions"


class PSNR(_OfPairs):
    """Peak signal-to-noise ratio to the ground truth of held-out pairs, in dB (higher is better).

    10 log10(1 / MSE) with the squared error of all pixels of all images; infinite where translations are the truth.
    """

    direction = "higher"
    takes = ("paired",)
    expected_failures: ClassVar[Mapping[str, str]] = {
        "the_score_is_a_finite_float": "it is infinite where images are the ground truth itself",
        "the_minimum_of_samples_is_enough": "it is infinite where images are the ground truth itself",
    }

    def score(self, images: Tensor, targets: Tensor) -> Tensor:
        return (images.double() - targets.double()).square().mean(dim=(1, 2, 3)) / 255**2

    def compute(self, reference: Mapping[str, Tensor]) -> float:
        error = self.mean()
        return -10 * math.log10(error) if error else math.inf


class SSIM(_OfPairs):
    """Structural similarity to the ground truth of held-out pairs, up to 1 (higher is better).

    Wang, Bovik, Sheikh and Simoncelli (IEEE Transactions on Image Processing 13(4), 2004), as scikit-image computes it
    with their settings: Gaussian window of σ 1.5 (11×11), covariances of a population, K1 0.01, K2 0.03, a range of
    255; mean over channels and over images. Images have at least 11 pixels a side.
    """

    direction = "higher"
    takes = ("paired",)

    def score(self, images: Tensor, targets: Tensor) -> Tensor:
        import torch
        from skimage.metrics import structural_similarity as similarity

        if images.shape[-1] < 11:
            raise ValueError(f"SSIM's window is 11 pixels wide, and images are {images.shape[-1]}")
        pairs = zip(images.cpu().numpy(), targets.cpu().numpy(), strict=True)
        window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        found = [similarity(one, other, channel_axis=0, data_range=255, **window) for one, other in pairs]  # type: ignore[no-untyped-call]
        return torch.tensor(found, dtype=torch.float64)


class LabelAgreement(Metric):
    """Share of translations that the dataset's classifier puts into the class of their source (higher is better).

    The classifier is that of the target images; on them it has the accuracy of the real row.
    """

    extractor = "classifier"
    direction = "higher"
    takes = ("paired", "unpaired")
    minimum_samples = 1

    def __init__(self, samples: int) -> None:
        super().__init__(samples)
        self._agreeing, self._count = 0, 0

    def update(self, batch: Features) -> None:
        if batch.logits is None or batch.labels is None:
            raise ValueError("LabelAgreement needs the logits of extractor 'classifier' and the labels of sources")
        self._agreeing += int((batch.logits.argmax(1) == batch.labels).sum())
        self._count += len(batch.labels)

    def compute(self, reference: Mapping[str, Tensor]) -> float:
        if self._count < self.minimum_samples:
            raise ValueError("LabelAgreement needs at least 1 image; none was seen")
        return self._agreeing / self._count
