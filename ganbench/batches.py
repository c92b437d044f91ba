"""Real minibatches from a dataset that lives on the device, images as uint8."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganbench.contracts import Split
from ganbench.game import Batch

_OTHERS = 2**31  # keeps the permutations of unpaired sources apart from those of images, whatever the seed


def scale(images: Tensor, *, channels_last: bool = True) -> Tensor:
    """Uint8 images 0..255 to float32 in [-1, 1], in the memory format that convolutions prefer; points as they are."""
    if images.dim() == 2:
        return images
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    return images.to(torch.float32, memory_format=wanted).div_(127.5).sub_(1.0)


def quantise(images: Tensor) -> Tensor:
    """Float images in [-1, 1] to uint8 0..255 as image files hold them: round((x + 1) · 127.5). Points: float32."""
    if images.dim() == 2:
        return images.float()
    return images.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


class Shuffled:
    """An endless stream of the places 0 .. n-1: each pass is a new permutation, from a generator of its own."""

    def __init__(self, n: int, *, device: torch.device, seed: int) -> None:
        self.n = n
        self.generator = torch.Generator(device).manual_seed(seed)
        self.order = torch.empty(0, dtype=torch.int64, device=device)
        self.position = 0

    def take(self, count: int) -> Tensor:
        """The next `count` places; some may end one pass and the others begin the next."""
        while len(self.order) - self.position < count:
            fresh = torch.randperm(self.n, generator=self.generator, device=self.order.device)
            self.order = torch.cat([self.order[self.position :], fresh])
            self.position = 0
        taken = self.order[self.position : self.position + count]
        self.position += count
        return taken

    def state(self) -> dict[str, Any]:
        return {"order": self.order, "position": self.position, "generator": self.generator.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.order, self.position = state["order"], state["position"]
        self.generator.set_state(state["generator"])


class Batches:
    """An endless stream of shuffled minibatches of exactly `batch_size` images.

    Each pass over the data is a new permutation; a batch may join the end of one pass with the start of the next, so
    that no image is left out and shapes never change. Paired sources come with their images; unpaired ones are another
    stream, whose passes have a length and an order of their own.
    """

    def __init__(self, split: Split, batch_size: int, *, device: str, seed: int, paired: bool = True) -> None:
        # Copies: the mapped files are read-only.
        self.images = torch.tensor(split.images, device=device)
        self.labels = None if split.labels is None else torch.tensor(split.labels, device=device)
        self.sources = None if split.sources is None else torch.tensor(split.sources, device=device)
        self.batch_size = batch_size
        self.channels_last = True
        self.places = Shuffled(len(self.images), device=self.images.device, seed=seed)
        self.others: Shuffled | None = None
        if self.sources is not None and not paired:
            # Another permutation than the images' also where there are as many of them.
            self.others = Shuffled(len(self.sources), device=self.images.device, seed=seed ^ _OTHERS)

    def __len__(self) -> int:
        """Images in one pass."""
        return len(self.images)

    @property
    def chosen_shape(self) -> tuple[int, ...]:
        """The shape of what `choose` returns."""
        return (self.batch_size,) if self.others is None else (2, self.batch_size)

    def next(self) -> Batch:
        """The next minibatch."""
        return self.gather(self.choose())

    def choose(self) -> Tensor:
        """The places in the data of the next minibatch's images, int64 N on the device; 2×N with unpaired sources."""
        places = self.places.take(self.batch_size)
        return places if self.others is None else torch.stack([places, self.others.take(self.batch_size)])

    def gather(self, chosen: Tensor) -> Batch:
        """The minibatch of what is in these places."""
        places, others = (chosen, chosen) if self.others is None else chosen
        labels = None if self.labels is None else self.labels[places]
        images = self.images.index_select(0, places)  # whole images are copied; `images[places]` goes value by value
        sources = None if self.sources is None else self.sources.index_select(0, others)
        return Batch(
            scale(images, channels_last=self.channels_last),
            labels,
            None if sources is None else scale(sources, channels_last=self.channels_last),
        )

    def state(self) -> dict[str, Any]:
        """Where the stream is, for a checkpoint."""
        return self.places.state() if self.others is None else {**self.places.state(), "others": self.others.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`."""
        self.places.restore(state)
        if self.others is not None:
            self.others.restore(state["others"])
