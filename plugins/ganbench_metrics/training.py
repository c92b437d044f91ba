"""The classifier's network and its training: deterministic, without a trace in the caller's random state."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganbench.api import DataSpec, Split
from ganbench_metrics.blocks import in_blocks


@dataclass(frozen=True)
class Recipe:
    """What, beside the data, decides the weights. `epochs` is the most that early stopping allows."""

    epochs: int
    batch: int = 64
    learning_rate: float = 3e-3
    seed: int = 0
    weight_decay: float = 0.05
    patience: int = 5


def recipe(spec: DataSpec, images: int, seed: int = 0) -> Recipe:
    """The default budget: 400,000 grey or 500,000 coloured images seen, in 4 to 20 epochs of `images` images."""
    if spec.channels == 1:
        return Recipe(min(20, max(4, 400_000 // images)), seed=seed)
    return Recipe(min(20, max(4, 500_000 // images)), batch=128, learning_rate=5e-3, seed=seed)


class Network(nn.Module):
    """3×3 convolutions (batch norm, ReLU), global average pooling, a linear head.

    Images of 28 pixels or more are halved by the first convolution, then pooled until 4 to 7 pixels remain. The pooled
    activations are the features: d = 64 for smaller images, else 128. Averages over positions of batch-normalised
    units stay alive, unlike a fully connected ReLU layer's.
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        features, stride = (64, 1) if spec.size < 28 else (128, 2)
        widths, resolution = [32 if spec.channels == 1 else 64], spec.size // stride
        layers = _convolution(spec.channels, widths[0], stride=stride)
        while resolution > 7:
            widths.append(64 if len(widths) == 1 else features)
            layers += _convolution(*widths[-2:], pool=True)
            resolution //= 2
        layers += _convolution(widths[-1], features)
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(features, spec.classes)
        self.to(memory_format=torch.channels_last)
        #: The widths of the convolutions, for the records.
        self.summary = "conv3x3 " + "-".join(str(width) for width in [*widths, features])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Uint8 N×C×H×W -> features N×d (non-negative), logits N×K."""
        scaled = (images / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        features = self.body(scaled)
        return features, self.head(features)


def _convolution(before: int, after: int, *, stride: int = 1, pool: bool = False) -> list[nn.Module]:
    # Pooling comes before norm and ReLU, which then have a quarter of the values to go through.
    pooling: list[nn.Module] = [nn.MaxPool2d(2)] if pool else []
    convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    return [convolution, *pooling, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


def build(spec: DataSpec, seed: int = 0) -> Network:
    """A network with seeded initial weights, on the CPU; the global generators stay as they were."""
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs too
        return Network(spec)


class Trained(NamedTuple):
    """`network` in evaluation mode with its best weights, and how it came to them."""

    network: Network
    epochs: int
    seconds: float
    held_out_accuracy: float


def held_out(labels: np.ndarray, seed: int) -> np.ndarray:
    """Which images of the train split are held back: bool N, every tenth of each class in random order."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[by_class[::10]] = True
    return chosen


def train(spec: DataSpec, split: Split, recipe: Recipe, device: str) -> Trained:
    """Train on nine tenths of `split` and keep the epoch with the least cross-entropy on the last tenth.

    Cross-entropy rather than accuracy, because CS reads the probabilities. Stops after `recipe.patience` epochs
    without a better one. AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) on a one-cycle schedule
    (Smith & Topin 2018, arXiv:1708.07120). Raises `ValueError` when no epoch gave a finite cost.
    """
    if split.labels is None:
        raise ValueError("a classifier needs labels")
    began = time.perf_counter()
    generator = torch.Generator().manual_seed(recipe.seed)
    aside = torch.from_numpy(held_out(split.labels, recipe.seed)).to(device)
    images, labels = torch.tensor(split.images, device=device), torch.tensor(split.labels, device=device)
    fit, check = (images[~aside], labels[~aside]), (images[aside], labels[aside])
    network = build(spec, recipe.seed).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    steps = -(-len(fit[0]) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, epochs=recipe.epochs, steps_per_epoch=steps
    )
    best, best_epoch, best_accuracy, weights = float("inf"), 0, 0.0, {}
    epoch = 0
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        for batch, target in _batches(*fit, recipe.batch, generator):
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(functional.cross_entropy(network(batch)[1], target))
            optimizer.step()
            schedule.step()
        cost, accuracy = evaluate(network, *check, recipe.batch)
        if cost < best:
            best, best_epoch, best_accuracy = cost, epoch, accuracy
            weights = {name: value.clone() for name, value in network.state_dict().items()}
        if epoch - best_epoch >= recipe.patience:
            break
    if not weights:
        raise ValueError("the cross-entropy on the held-out images was never finite")
    network.load_state_dict(weights)
    return Trained(network.eval(), epoch, time.perf_counter() - began, best_accuracy)


def evaluate(network: nn.Module, images: Tensor, labels: Tensor, size: int) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy of `network` in evaluation mode."""
    network.eval()
    logits = in_blocks(network, images, size)[1]
    cost = functional.cross_entropy(logits.double(), labels)
    return float(cost), float((logits.argmax(1) == labels).double().mean())


def _batches(images: Tensor, labels: Tensor, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order, with images of 28 pixels or more shifted and coloured ones mirrored at random."""
    n, channels, height, _ = images.shape
    reach = 0 if height < 28 else 1 if channels == 1 else height // 10
    order = torch.randperm(n, generator=generator).to(images.device)
    for start in range(0, n, size):
        chosen = order[start : start + size]
        batch, target = images[chosen], labels[chosen]
        if channels == 3:
            mirrored = torch.rand(len(batch), generator=generator).to(images.device) < 0.5
            batch = torch.where(mirrored[:, None, None, None], batch.flip(3), batch)
        yield (_shifted(batch, reach, generator) if reach else batch), target


def _shifted(images: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Each image moved by up to `reach` pixels in both directions; black comes in from outside."""
    n, _, height, width = images.shape
    padded = functional.pad(images, (reach, reach, reach, reach))
    down, right = torch.randint(0, 2 * reach + 1, (2, n, 1), generator=generator).to(images.device)
    rows = down + torch.arange(height, device=images.device)
    columns = right + torch.arange(width, device=images.device)
    moved = padded[torch.arange(n, device=images.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)
