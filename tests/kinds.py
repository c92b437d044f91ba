"""A plugin of one file: points, paired and unpaired images, a game with an encoder, and metrics that need them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ganbench.api import Batch, Dataset, DataSpec, Features, Game, Latent, Metric, Player, Split, Variant, hookimpl


class Points(Dataset):
    """Three Gaussian points."""

    def spec(self):
        return DataSpec((2,), classes=3)

    def load(self, root):
        rng = np.random.default_rng(0)
        labels = np.arange(600) % 3
        points = np.stack([labels, -labels], 1) + 0.1 * rng.standard_normal((600, 2))
        return {"train": Split(points.astype(np.float32), labels)}


class Pairs(Dataset):
    """Bright squares, and their negatives as sources."""

    spec_of = DataSpec((1, 8, 8), source=(1, 8, 8), paired=True)

    def spec(self):
        return self.spec_of

    def load(self, root):
        images = np.random.default_rng(0).integers(0, 256, (70, 1, 8, 8), dtype=np.uint8)
        return {"train": self.pair(images[:40]), "test": self.pair(images[40:])}

    def pair(self, images):
        return Split(images, None, 255 - images)


class Collections(Pairs):
    """The same, but nobody knows which belong together; there are more sources."""

    spec_of = DataSpec((1, 8, 8), source=(1, 8, 8))

    def pair(self, images):
        return Split(images, None, np.concatenate([255 - images, images]))


class PointGAN(Variant):
    """Two dense networks for points."""

    takes = ("points",)

    def game(self, data, params):
        latent, generator, critic = Latent(2), nn.Linear(2, data.channels), nn.Linear(data.channels, 1)

        def fake(batch):
            return generator(latent(len(batch)))

        def critic_cost(batch: Batch):
            assert batch.images.shape[1:] == data.shape
            return critic(fake(batch)).tanh().mean() - critic(batch.images).tanh().mean()

        players = [
            Player("critic", critic, critic_cost),
            Player("generator", generator, lambda batch: -critic(fake(batch)).mean()),
        ]
        return Game(players, lambda n, labels: generator(latent(n)), generator, batch_size=16, latent=latent)


class Translator(Variant):
    """One convolution each way."""

    takes = ("paired", "unpaired")

    def game(self, data, params):
        c = data.channels
        there, back, critic = nn.Conv2d(c, c, 3, padding=1), nn.Conv2d(c, c, 3, padding=1), nn.Conv2d(c, 1, 3)
        both = nn.ModuleList([there, back])

        def cost(batch: Batch):
            error = (back(there(batch.sources)) - batch.sources).abs().mean() - critic(there(batch.sources)).mean()
            return error + (there(batch.sources) - batch.images).abs().mean() if data.paired else error

        players = [
            Player("critic", critic, lambda b: (critic(there(b.sources)) - critic(b.images)).tanh().mean()),
            Player("translator", both, cost),
        ]
        return Game(
            players,
            lambda n, sources: there(sources).tanh(),
            both,
            batch_size=16,
            translates=True,
            back=lambda images: back(images).tanh(),
        )


class Encoding(Variant):
    """A linear encoder and decoder, which learn to reconstruct."""

    def game(self, data, params):
        pixels = data.channels * data.size**2
        latent, critic = Latent(pixels), nn.Linear(pixels, 1)
        decoder = nn.Sequential(nn.Linear(pixels, pixels), nn.Unflatten(1, data.shape))
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, pixels), nn.Dropout(0.5))
        nn.init.eye_(decoder[0].weight), nn.init.zeros_(decoder[0].bias)
        nn.init.eye_(encoder[1].weight), nn.init.zeros_(encoder[1].bias)

        def generator_cost(batch):
            return (decoder(encoder(batch.images)) - batch.images).square().mean()

        players = [
            Player("critic", critic, lambda b: critic(b.images.flatten(1)).tanh().mean()),
            Player("generator", [decoder, encoder], generator_cost),
        ]
        return Game(players, lambda n, labels: decoder(latent(n)).tanh(), decoder, latent=latent, encoder=encoder)


class Spread(Metric):
    """The number of points seen."""

    takes = ("points",)

    def __init__(self, samples):
        super().__init__(samples)
        self.seen = []

    def update(self, batch: Features):
        assert batch.images.is_floating_point()
        self.seen.append(batch.images)

    def compute(self, reference):
        return float(len(torch.cat(self.seen)))


class Error(Metric):
    """Mean absolute difference of grey levels from what ought to be."""

    takes = ("paired",)

    def __init__(self, samples):
        super().__init__(samples)
        self.sum = self.count = 0

    def update(self, batch: Features):
        self.sum += (batch.images.float() - batch.targets.float()).abs().mean().item() * len(batch.images)
        self.count += len(batch.images)

    def compute(self, reference):
        assert self.count == self.samples, (self.count, self.samples)
        return self.sum / self.count


class Reconstruction(Error):
    """The same of held-out images there and back."""

    takes = ("labelled", "unlabelled", "paired", "unpaired")
    stream = "reconstructions"


class Agreement(Error):
    """Mean absolute difference between latents and what the encoder sees."""

    takes = ("labelled", "unlabelled")
    stream = "latents"

    def update(self, batch: Features):
        self.sum += (batch.latents - batch.encoded).abs().mean().item() * len(batch.images)
        self.count += len(batch.images)


@hookimpl
def register_datasets(register):
    register("three-points", "kinds:Points")
    register("pairs", "kinds:Pairs")
    register("collections", "kinds:Collections")


@hookimpl
def register_variants(register):
    register("line-gan", "kinds:PointGAN")
    register("translator", "kinds:Translator")
    register("encoding", "kinds:Encoding")


@hookimpl
def register_metrics(register):
    register("spread", "kinds:Spread")
    register("error", "kinds:Error")
    register("reconstruction", "kinds:Reconstruction")
    register("agreement", "kinds:Agreement")
