"""The classifiers of Höckler's thesis, one per dataset: feature extractors for CS and FCD on its scale.

Facts are those of its notebooks (github.com/PatrickHoeckler/tcc_gan, folder Classifiers). The thesis validates on the
*test* set: the kept weights are those of the epoch with the best test accuracy, which is therefore flattering.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ganbench_metrics.classifier import BLOCK, Classifier

from ganbench.api import ExtractorData, Unavailable

if TYPE_CHECKING:
    from torch import nn

CLASSES = 10


@dataclass(frozen=True)
class Plan:
    """A network and its training. `blocks` holds filters, kernel and stride of each convolution.

    `hidden` holds the widths of linear layers between features and logits. Epochs are candidates for the kept weights
    from index `save_after` (counted from 0) on.
    """

    blocks: tuple[tuple[int, int, int], ...]
    epochs: int
    hidden: tuple[int, ...] = ()
    save_after: int = 5
    batch: int = 32
    learning_rate: float = 1e-3
    seed: int = 0


class ThesisClassifier(Classifier):
    """A classifier of Höckler's thesis, trained on the whole train split as its notebook does.

    Features (the FCD layer) are the global averages of the last batch norm's outputs, in inference mode. The weights
    are those of the best accuracy on the *test* split from the sixth epoch on; with fewer epochs, the last ones.
    Raises `Unavailable` for images of another shape, other than 10 classes, or without a labelled test split.
    """

    shape: ClassVar[tuple[int, ...]]
    design: ClassVar[Plan]

    def plan(self, data: ExtractorData) -> Plan:
        shape, classes = tuple(data.spec.shape), data.spec.classes
        if (shape, classes) != (self.shape, CLASSES):
            wanted, given = (
                f"{'×'.join(str(length) for length in sizes)} images of {count} classes"
                for sizes, count in ((self.shape, CLASSES), (shape, classes))
            )
            raise Unavailable(f"{self.kept_as} is made for {wanted}, and {data.name} has {given}")
        test = data.splits.get("test")
        if test is None or test.labels is None or not len(test.images):
            raise Unavailable(
                f"{self.kept_as} chooses its weights by test accuracy, and {data.name} has no labelled test split"
            )
        return self.design

    def build(self, data: ExtractorData, plan: Plan) -> nn.Module:
        from ganbench_hoeckler.classifier_training import build

        return build(plan, self.shape, CLASSES)

    def train(self, data: ExtractorData, plan: Plan) -> tuple[nn.Module, dict[str, Any]]:
        from ganbench_hoeckler.classifier_training import train

        images, test = data.splits["train"], data.splits["test"]
        steps = plan.epochs * -(-len(images.images) // plan.batch)
        data.say(
            f"training {self.kept_as} on {data.name}: {plan.epochs} epochs of {len(images.images):,} images, "
            f"batch {plan.batch}, {steps:,} steps on {data.device}"
            + (", which takes hours without a GPU" if data.device == "cpu" and steps > 10_000 else "")
            + "; the test split chooses the epoch"
        )
        trained = train(plan, self.build(data, plan), images, test, data.device, BLOCK)
        filters = "-".join(f"{filters}k{kernel}s{stride}" for filters, kernel, stride in plan.blocks)
        info = {
            "test_accuracy": trained.accuracy,
            "selected_on": "test" if plan.epochs > plan.save_after else "nothing",
            "seed": plan.seed,
            "epochs": plan.epochs,
            "kept_epoch": trained.epoch,
            "seconds": round(trained.seconds, 1),
            "parameters": sum(parameter.numel() for parameter in trained.network.parameters()),
            "features": plan.blocks[-1][0],
            "architecture": " ".join(["conv", filters, *(f"dense {width}" for width in plan.hidden)]),
        }
        data.say(
            f"trained {self.kept_as} on {data.name} in {trained.seconds:.0f} s, "
            f"test accuracy {trained.accuracy:.4f} in epoch {trained.epoch}, which is kept"
        )
        return trained.network, info


class MNISTClassifier(ThesisClassifier):
    """Höckler's thesis's classifier for MNIST: d = 256, a linear layer of 64 before the logits, 30 epochs."""

    kept_as = "hoeckler-mnist"
    shape = (1, 28, 28)
    design = Plan(blocks=((64, 5, 2), (128, 5, 2), (256, 5, 1)), hidden=(64,), epochs=30)


class FashionClassifier(ThesisClassifier):
    """Höckler's thesis's classifier for Fashion-MNIST: d = 256, 40 epochs."""

    kept_as = "hoeckler-fashion"
    shape = (1, 28, 28)
    design = Plan(blocks=((64, 5, 2), (128, 5, 2), (256, 5, 1)), epochs=40)


class CIFAR10Classifier(ThesisClassifier):
    """Höckler's thesis's classifier for CIFAR-10: d = 512, 100 epochs."""

    kept_as = "hoeckler-cifar10"
    shape = (3, 32, 32)
    design = Plan(blocks=((64, 5, 1), (128, 5, 2), (128, 3, 1), (256, 3, 2), (512, 3, 1)), epochs=100)
