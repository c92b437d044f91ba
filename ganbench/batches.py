"""Real minibatches from a dataset that lives on the device as uint8."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganbench.contracts import Split
from ganbench.game import Batch


def scale(images: Tensor, *, channels_last: bool = True) -> Tensor:
    """Uint8 images 0..255 to float32 in [-1, 1], in the memory format that convolutions prefer."""
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    return images.to(torch.float32, memory_format=wanted).div_(127.5).sub_(1.0)


def quantise(images: Tensor) -> Tensor:
    """Float images in [-1, 1] to uint8 0..255 as image files hold them: round((x + 1) · 127.5)."""
    return images.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


class Batches:
    """An endless stream of shuffled minibatches of exactly `batch_size` images.

    Each pass over the data is a new permutation; a batch may join the end of one pass with the start of the next, so
    that no image is left out and shapes never change. Shuffling uses a generator of its own.
    """

    def __init__(self, split: Split, batch_size: int, *, device: str, seed: int) -> None:
        self.images = torch.tensor(split.images, device=device)  # a copy: the mapped file is read-only
        self.labels = None if split.labels is None else torch.tensor(split.labels, device=device)
        self.batch_size = batch_size
        self.channels_last = True
        self.generator = torch.Generator(device).manual_seed(seed)
        self.order = torch.empty(0, dtype=torch.int64, device=device)
        self.position = 0

    def __len__(self) -> int:
        """Images in one pass."""
        return len(self.images)

    def next(self) -> Batch:
        """The next minibatch."""
        return self.gather(self.choose())

    def choose(self) -> Tensor:
        """The places in the data of the next minibatch's images: int64 N, on the device."""
        while len(self.order) - self.position < self.batch_size:
            fresh = torch.randperm(len(self), generator=self.generator, device=self.order.device)
            self.order = torch.cat([self.order[self.position :], fresh])
            self.position = 0
        chosen = self.order[self.position : self.position + self.batch_size]
        self.position += self.batch_size
        return chosen

    def gather(self, chosen: Tensor) -> Batch:
        """The minibatch of the images in these places."""
        labels = None if self.labels is None else self.labels[chosen]
        images = self.images.index_select(0, chosen)  # whole images are copied; `images[chosen]` goes value by value
        return Batch(scale(images, channels_last=self.channels_last), labels)

    def state(self) -> dict[str, Any]:
        """Where the stream is, for a checkpoint."""
        return {"order": self.order, "position": self.position, "generator": self.generator.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`."""
        self.order, self.position = state["order"], state["position"]
        self.generator.set_state(state["generator"])
