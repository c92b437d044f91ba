"""Whether generated images teach a classifier what real ones do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganbench.api import DataSpec, Extractor, Game, Params, Probe, Probed, Split, TrainedGame, param

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK = 250


@dataclass(frozen=True)
class SyntheticParams(Params):
    images: int = param(0, "images to train on; 0: as many as the train split has", min=0, max=10_000_000)


class TrainOnSynthetic(Probe):
    """The dataset's classifier, trained on generated labelled images and tested on real ones.

    The classification accuracy score of Ravuri & Vinyals 2019 (arXiv:1905.10887), by the recipe of the dataset's own
    classifier; the application of the SelfExGAN thesis, section 4.2.1. The generator is asked for labels as frequent as
    in the train split.

    ``accuracy-synthetic`` on the test split; ``accuracy-real``: of the dataset's classifier, trained on real images, as
    the cell was scored with; ``accuracy-real-as-many``: of one trained on as many real images, the first of the train
    split, where fewer than it has are asked for; ``agreement``: share of the generated images that the real-trained
    classifier puts into the class that was asked for.
    """

    Params = SyntheticParams
    paper = "Ravuri & Vinyals 2019, Classification Accuracy Score for Conditional Generative Models, arXiv:1905.10887"
    takes = ("labelled",)
    extractors = ("classifier",)

    def unsuitable(self, game: Game, data: DataSpec) -> str | None:
        return None if game.conditional else "it needs a conditional game, whose images have labels"

    def run(self, trained: TrainedGame, params: SyntheticParams) -> Probed:
        train, test = trained.splits["train"], trained.splits["test"]
        assert train.labels is not None
        count = params.images or len(train.images)
        synthetic = self._synthetic(trained, count)
        real = trained.extractor("classifier")
        trained.say(f"training a classifier on {count:,} generated images")
        taught = trained.extractor("classifier", {"train": synthetic, "test": test})
        numbers = {
            "accuracy-synthetic": _accuracy(trained, taught, test),
            "accuracy-real": _accuracy(trained, real, test),
            "agreement": _accuracy(trained, real, synthetic),
        }
        if count < len(train.images):
            trained.say(f"training a classifier on {count:,} real images")
            part = Split(np.asarray(train.images[:count]), np.asarray(train.labels[:count]))
            few = trained.extractor("classifier", {"train": part, "test": test})
            numbers["accuracy-real-as-many"] = _accuracy(trained, few, test)
        columns = min(10, trained.spec.classes)
        shown = np.concatenate([np.flatnonzero(synthetic.labels == label)[:columns] for label in range(columns)])
        picture = trained.sheet(_tensor(trained, synthetic.images[shown]), columns)
        return Probed(numbers, {"synthetic": picture}, "training images by class, as they were generated")

    @staticmethod
    def _synthetic(trained: TrainedGame, count: int) -> Split:
        """`count` generated images with the labels that they were asked for."""
        import torch

        real = trained.splits["train"].labels
        frequencies = torch.bincount(torch.tensor(np.asarray(real)), minlength=trained.spec.classes).double()
        images, labels = [], []
        for start in range(0, count, _BLOCK):
            asked = torch.multinomial(frequencies, min(_BLOCK, count - start), replacement=True)
            made = trained.game.sample(len(asked), asked.to(trained.device))
            images.append(trained.quantised(made).cpu().numpy())
            labels.append(asked.numpy())
        return Split(np.concatenate(images), np.concatenate(labels))


def _tensor(trained: TrainedGame, images: np.ndarray) -> Tensor:
    import torch

    return torch.tensor(np.asarray(images), device=trained.device)


def _accuracy(trained: TrainedGame, classifier: Extractor, split: Split) -> float:
    """Share of a split's images that the classifier puts into their class."""
    assert split.labels is not None
    right = 0
    for start in range(0, len(split.images), _BLOCK):
        logits = classifier(_tensor(trained, split.images[start : start + _BLOCK]))[1]
        right += int((logits.argmax(1).cpu().numpy() == split.labels[start : start + _BLOCK]).sum())
    return right / len(split.images)
