"""A small classifier per dataset, trained once and kept: the eyes of CS and FCD."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ganbench.api import Extractor, ExtractorData, Unavailable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganbench_metrics.training import Recipe

BLOCK = 250


class Classifier(Extractor):
    """A convolutional classifier trained on the train split: pooled activations (d = 64 or 128) and class logits.

    The weights are kept in ``data.cache`` under the hash of all that determines them (data, network, recipe) and
    trained by one process, whoever comes first; a damaged file is replaced. The test split only measures
    `test_accuracy`, which is None where there is none. Raises `Unavailable` without labels.

    A subclass has another network or training: it overrides `plan`, `build`, `train` and `kept_as`.
    """

    #: What the names of the kept files begin with.
    kept_as: ClassVar[str] = "classifier"

    def __init__(self, data: ExtractorData) -> None:
        train = data.splits["train"]
        if data.spec.classes < 2 or train.labels is None:
            raise Unavailable(f"{data.name} has no labels to train a classifier on")
        plan = self.plan(data)
        path = self._path(data, plan)
        path.parent.mkdir(parents=True, exist_ok=True)
        with data.turn(path, f"the classifier of {data.name}"):
            network = self.build(data, plan)
            info = _load(network, path, data)
            if info is None:
                network, info = self.train(data, plan)
                _save(network, info, path)
        self.hash: str = info.pop("sha256")
        self.info = info
        self.network = network.to(data.device).eval().requires_grad_(False)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        from ganbench_metrics.blocks import in_blocks

        return in_blocks(self.network, images, BLOCK)

    def plan(self, data: ExtractorData) -> Any:
        """What, beside the data and `version`, decides the weights: a dataclass that JSON can hold."""
        from ganbench_metrics.training import recipe

        return recipe(data.spec, len(data.splits["train"].images))

    def build(self, data: ExtractorData, plan: Any) -> nn.Module:
        """The untrained network, on the CPU: uint8 N×C×H×W -> features N×d, logits N×K."""
        from ganbench_metrics.training import build

        return build(data.spec, plan.seed)

    def train(self, data: ExtractorData, plan: Any) -> tuple[nn.Module, dict[str, Any]]:
        """The trained network, and `info`. Says what it will take beforehand."""
        return _train(data, plan)

    @classmethod
    def _path(cls, data: ExtractorData, plan: Any) -> Path:
        identity = [cls.version, data.fingerprint, data.spec.shape, data.spec.classes, dataclasses.asdict(plan)]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        slug = re.sub(r"[^a-z0-9]+", "-", data.name.lower()).strip("-")[-40:]
        return data.cache / f"{cls.kept_as}-{slug}-{digest[:16]}.safetensors"


def _train(data: ExtractorData, plan: Recipe) -> tuple[nn.Module, dict[str, Any]]:
    """Train with the dataset's recipe and measure on the test split, saying what it will take beforehand."""
    import torch

    from ganbench_metrics.training import evaluate, train

    images = len(data.splits["train"].images)
    data.say(
        f"training the classifier of {data.name}: up to {plan.epochs} epochs of {images:,} images, "
        f"batch {plan.batch}, early stopping on a tenth held back"
    )
    try:
        trained = train(data.spec, data.splits["train"], plan, data.device)
    except ValueError as error:
        raise Unavailable(f"the classifier of {data.name} could not be trained: {error}") from error
    network, test = trained.network, data.splits.get("test")
    accuracy = None
    if test is not None and test.labels is not None and len(test.images):
        pixels, labels = (torch.tensor(array, device=data.device) for array in (test.images, test.labels))
        accuracy = evaluate(network, pixels, labels, BLOCK)[1]
    info = {
        "test_accuracy": accuracy,
        "held_out_accuracy": trained.held_out_accuracy,
        "seed": plan.seed,
        "epochs": trained.epochs,
        "seconds": round(trained.seconds, 1),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "features": network.head.in_features,
        "architecture": network.summary,
    }
    shown = "" if accuracy is None else f", test accuracy {accuracy:.4f}"
    data.say(f"trained the classifier of {data.name} in {trained.seconds:.0f} s{shown}")
    return network, info


def _digest(network: nn.Module) -> str:
    """SHA-256 of names, shapes and values of all weights and running statistics."""
    sha = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        array = value.detach().cpu().contiguous().numpy()
        sha.update(f"{name} {array.dtype} {array.shape}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def _save(network: nn.Module, info: dict[str, Any], path: Path) -> None:
    """Write weights and `info` in one step, so that nobody ever sees half a file. Adds the weights' hash to `info`."""
    from safetensors.torch import save_file

    info["sha256"] = _digest(network)
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    save_file(weights, temporary, metadata={"info": json.dumps(info)})
    os.replace(temporary, path)


def _load(network: nn.Module, path: Path, data: ExtractorData) -> dict[str, Any] | None:
    """Fill `network` from the file and return its info; None where there is no file, or a damaged one."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            info: dict[str, Any] = json.loads(file.metadata()["info"])
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        if _digest(network) != info["sha256"]:
            raise ValueError("its weights do not have the recorded hash")
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        data.say(f"the kept classifier of {data.name} is damaged and will be trained anew ({path.name}: {error})")
        return None
    return info
