"""The network of the thesis's classifiers and its training: without a trace in the caller's random state."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from ganbench_metrics.training import evaluate
from torch import Tensor, nn
from torch.nn import functional

from ganbench.api import Split
from ganbench_hoeckler.classifier import Plan
from ganbench_hoeckler.keras import batch_norm, conv, initialise


class Network(nn.Module):
    """Blocks of convolution, LeakyReLU(0.2), Dropout(0.5) and batch norm; global average pooling; linear layers."""

    def __init__(self, plan: Plan, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, size, _ = shape
        layers: list[nn.Module] = []
        for filters, kernel, stride in plan.blocks:
            layers += conv(channels, filters, kernel, stride, size=size)
            layers += [nn.LeakyReLU(0.2), nn.Dropout(0.5), batch_norm(filters)]
            channels, size = filters, -(-size // stride)
        widths = [channels, *plan.hidden, classes]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(*map(nn.Linear, widths, widths[1:]))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Uint8 N×C×H×W -> features N×d, logits N×K."""
        features = self.body(((images - 127.5) / 127.5).contiguous(memory_format=torch.channels_last))
        return features, self.head(features)


def build(plan: Plan, shape: tuple[int, ...], classes: int) -> Network:
    """A network with seeded initial weights, on the CPU; the global generators stay as they were."""
    with torch.device("cpu"), _seeded(plan.seed, torch.device("cpu")):
        network = Network(plan, shape, classes)
        initialise(network)
        return network


class Trained(NamedTuple):
    """`network` in evaluation mode with the weights of `epoch` (from 1), and its `accuracy` on the test split."""

    network: nn.Module
    epoch: int
    accuracy: float
    seconds: float


def train(plan: Plan, network: nn.Module, split: Split, test: Split, device: str, block: int) -> Trained:
    """Train on the whole of `split` and keep the epoch that is best on `test`, the first of equals.

    Candidates are epochs from index `plan.save_after` on; the last one where there are fewer. Adam with Keras's
    defaults (Kingma & Ba 2014, arXiv:1412.6980), cross-entropy of the logits, no augmentation. Accuracies are measured
    `block` images at a time.
    """
    began = time.perf_counter()
    on = torch.device(device)
    images, labels = (torch.tensor(array, device=on) for array in (split.images, split.labels))
    seen = [torch.tensor(array, device=on) for array in (test.images, test.labels)]
    network.to(on)
    optimizer = torch.optim.Adam(network.parameters(), plan.learning_rate, eps=1e-7)
    order = torch.Generator().manual_seed(plan.seed)
    best, kept, weights = -1.0, 0, {}
    with _seeded(plan.seed, on):  # the dropout masks come from the global generators
        for epoch in range(plan.epochs):
            network.train()
            shuffled = torch.randperm(len(images), generator=order, device="cpu").to(on)
            for chosen in torch.split(shuffled, plan.batch):
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(functional.cross_entropy(network(images[chosen])[1], labels[chosen]))
                optimizer.step()
            if epoch < min(plan.save_after, plan.epochs - 1):
                continue
            accuracy = evaluate(network, seen[0], seen[1], block)[1]
            if accuracy > best:
                best, kept = accuracy, epoch + 1
                weights = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(weights)
    return Trained(network.eval(), kept, best, time.perf_counter() - began)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """The global generators of the CPU and of `device` start from `seed` inside and are as before outside."""
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the other GPUs too
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield
