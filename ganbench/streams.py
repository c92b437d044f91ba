"""What evaluators score, in blocks: generated images, real ones, translations, reconstructions, latents."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ganbench.batches import quantise, scale
from ganbench.contracts import Features, Split
from ganbench.errors import GanbenchError
from ganbench.game import Game

BLOCK = 250  # images drawn, classified and scored at a time; part of the protocol, as it fixes the random draws


class Inapplicable(GanbenchError):
    """A game does not give the stream that a metric asks for; the message says what it lacks."""


def generated(game: Game, samples: int, seed: int, frequencies: Tensor | None, device: str) -> Iterator[Features]:
    """`samples` generated images in uint8 blocks, the same whatever their number and whatever ran before.

    Conditional games are asked for labels by `frequencies`, how many train images each class has.
    """
    for start in range(0, samples, BLOCK):
        torch.manual_seed(seed + start)
        labels = _labels(game, frequencies, device)
        images = quantise(game.sample(BLOCK, labels))
        yield _cut(Features(images, labels), samples - start)


def with_latents(game: Game, samples: int, seed: int, frequencies: Tensor | None, device: str) -> Iterator[Features]:
    """`samples` generated images with the vectors that they were made from and as the encoder sees them.

    Raises `Inapplicable` where the game has no encoder.
    """
    if game.encoder is None or game.latent is None:
        raise Inapplicable("it needs an encoder, and this game has none")
    return _with_latents(game, samples, seed, frequencies, device)


def _with_latents(game: Game, samples: int, seed: int, frequencies: Tensor | None, device: str) -> Iterator[Features]:
    assert game.encoder is not None
    assert game.latent is not None
    for start in range(0, samples, BLOCK):
        torch.manual_seed(seed + start)
        labels = _labels(game, frequencies, device)
        latents = game.latent(BLOCK)
        with game.latent.given(latents):
            images = game.sample(BLOCK, labels)
        yield _cut(Features(quantise(images), labels, latents=latents, encoded=game.encoder(images)), samples - start)


def real(split: Split, device: str, *, paired: bool = False) -> Iterator[Features]:
    """A split's images in uint8 blocks as if they had been generated, with their labels; `paired`: and sources."""
    for start in range(0, len(split.images), BLOCK):
        images, labels = _part(split.images, start, device), _part(split.labels, start, device)
        assert images is not None
        if paired:
            yield Features(images, labels, targets=images, sources=_part(split.sources, start, device))
        else:
            yield Features(images, labels)


def copied(split: Split, device: str, *, paired: bool) -> Iterator[Features]:
    """A split's sources in uint8 blocks as if they were their own translations, which is what is to be bettered."""
    assert split.sources is not None
    for start in range(0, len(split.sources), BLOCK):
        sources = _part(split.sources, start, device)
        assert sources is not None
        labels = _part(split.labels if paired else split.source_labels, start, device)
        yield Features(sources, labels, targets=_part(split.images, start, device) if paired else None, sources=sources)


def mean_image(train: Split, test: Split, device: str) -> Iterator[Features]:
    """The mean of the train images in the place of every test image of pairs: the best guess without looking."""
    blocks = (np.asarray(train.images[start : start + BLOCK]) for start in range(0, len(train.images), BLOCK))
    total = sum(block.sum(0, dtype=np.int64) for block in blocks)
    mean = torch.tensor(np.rint(total / len(train.images)).astype(np.uint8), device=device)
    for block in real(test, device, paired=True):
        yield block._replace(images=mean.expand_as(block.images))


def held_out(test: Split, half: int) -> Split:
    """The test images at even (`half` 0) or odd places: those that choose a snapshot and those that score it."""
    return test.at(slice(half, None, 2), slice(half, None, 2))


def translated(game: Game, split: Split, count: int, device: str, *, paired: bool) -> Iterator[Features]:
    """What a game that translates makes of a split's first `count` sources, with the ground truth if `paired`.

    Labels are those of the sources.
    """
    for start in range(0, count, BLOCK):
        sources = _part(split.sources, start, device, count)
        assert sources is not None
        labels = _part(split.labels if paired else split.source_labels, start, device, count)
        images = quantise(game.sample(len(sources), scale(sources)))
        targets = _part(split.images, start, device, count) if paired else None
        yield Features(images, labels, targets=targets, sources=sources)


def reconstructed(game: Game, split: Split, count: int, device: str) -> Iterator[Features]:
    """A split's first `count` images after encoding and decoding, or its sources after translation there and back.

    ``targets`` are the originals. Raises `Inapplicable` where the game does neither.
    """
    if game.translates and game.back is None:
        raise Inapplicable("it needs a way back from images to sources, and this game has none")
    if not game.translates and game.encoder is None:
        raise Inapplicable("it needs an encoder, and this game has none")
    return _reconstructed(game, split, count, device)


def _reconstructed(game: Game, split: Split, count: int, device: str) -> Iterator[Features]:
    for start in range(0, count, BLOCK):
        originals = _part(split.sources if game.translates else split.images, start, device, count)
        assert originals is not None
        labels = None if game.translates else _part(split.labels, start, device, count)
        yield Features(quantise(reconstruct(game, scale(originals), labels)), labels, targets=originals)


def reconstruct(game: Game, originals: Tensor, labels: Tensor | None) -> Tensor:
    """What the game makes of images (float n×C×H×W in [-1, 1]) there and back, of its sources where it translates.

    `labels` are those of the images, for conditional games.
    """
    n = len(originals)
    if game.translates:
        assert game.back is not None
        return game.back(game.sample(n, originals))
    assert game.encoder is not None
    assert game.latent is not None
    with game.latent.given(game.encoder(originals)):
        return game.sample(n, labels if game.conditional else None)


def _labels(game: Game, frequencies: Tensor | None, device: str) -> Tensor | None:
    if not game.conditional:
        return None
    assert frequencies is not None
    return torch.multinomial(frequencies.double(), BLOCK, replacement=True).to(device)


def _cut(block: Features, left: int) -> Features:
    """A block without what is more than is `left` to be scored."""
    return block if left >= BLOCK else Features._make(None if part is None else part[:left] for part in block)


def _part(array: np.ndarray | None, start: int, device: str, stop: int | None = None) -> Tensor | None:
    """One block of a mapped array, on the device."""
    if array is None:
        return None
    end = start + BLOCK if stop is None else min(start + BLOCK, stop)
    return torch.tensor(np.asarray(array[start:end]), device=device)
