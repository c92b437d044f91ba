"""Samples to features to metrics, in one pass and constant memory, for generated and for real images alike."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from ganbench.batches import quantise
from ganbench.contracts import DataSpec, Extractor, ExtractorData, Features, Metric, Split
from ganbench.data import Prepared
from ganbench.environment import out_of_memory
from ganbench.errors import Unavailable
from ganbench.game import Game
from ganbench.plugins import Component, installed
from ganbench.sheets import sheet, sheet_labels
from ganbench.store import write_atomically

BLOCK = 250  # images drawn, classified and scored at a time; part of the protocol, as it fixes the random draws
_SHEET, FRESH = 2**30, 2**31  # keep the draws of sheets, and of the fresh samples for a chosen snapshot, apart

References = dict[str, dict[str, Tensor]]


class Evaluator:
    """Everything needed to score images against one dataset: its metrics, their extractors and references.

    `extractors` maps the names that metrics ask for to the extractors they get; `reference` says which images the
    distances compare with (``train`` or ``train+test``). `unavailable` says which of the metrics asked for cannot be
    had here, and why; the others work.
    """

    def __init__(
        self,
        data: Prepared,
        metrics: list[str],
        *,
        extractors: Mapping[str, str],
        reference: str,
        device: str,
        root: Path,
        say: Callable[[str], None],
    ) -> None:
        self.device = device
        self.reference = reference
        self.metrics: dict[str, type[Metric]] = {}
        self.extractors: dict[str, Extractor] = {}
        self.references: References = {}
        self.unavailable: dict[str, str] = {}
        kept = root / "extractors"
        source = ExtractorData(data.name, data.spec, data.splits, data.fingerprint, device, kept, say)
        refused: dict[str, str] = {}
        for name in metrics:
            component = installed().find("metrics", name)
            metric: type[Metric] = component.load()
            needed = metric.extractor
            if needed and needed not in self.extractors and needed not in refused:
                try:
                    self.extractors[needed] = installed().find("extractors", extractors[needed]).load()(source)
                except Unavailable as error:
                    refused[needed] = str(error)
            if needed in refused:
                self.unavailable[name] = refused[needed]
                continue
            self.metrics[name] = metric
            if metric.needs_reference:
                extractor = self.extractors.get(needed)
                self.references[name] = self._reference(component, metric, extractor, data, root / "references", say)
        labels = data.splits["train"].labels
        self.frequencies = None if labels is None else torch.bincount(torch.tensor(labels), minlength=data.spec.classes)

    @property
    def hashes(self) -> dict[str, str]:
        """The hash of the exact weights of every extractor in use."""
        return {name: extractor.hash for name, extractor in self.extractors.items()}

    def _reference(
        self,
        component: Component,
        metric: type[Metric],
        extractor: Extractor | None,
        data: Prepared,
        cache: Path,
        say: Callable[[str], None],
    ) -> dict[str, Tensor]:
        """The real side of a metric, from the cache when there by the hash of all that determines it."""
        seen_by = [extractor.version, extractor.hash] if extractor else []
        identity = [component.id, metric.version, seen_by, data.fingerprint, self.reference]
        path = cache / f"{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]}.safetensors"
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                real = data.split(self.reference)
                count = len(real.images)
                say(f"{data.name}: reference statistics of {component.name} from {count:,} images")
                stream = metric(count)
                for images, labels in real_blocks(real, self.device):
                    stream.update(self._features(extractor, images, labels))
                temporary = path.with_suffix(".tmp")
                save_file({name: tensor.cpu().contiguous() for name, tensor in stream.state().items()}, temporary)
                temporary.replace(path)
        return load_file(path, device=self.device)

    def _features(self, extractor: Extractor | None, images: Tensor, labels: Tensor | None) -> Features:
        features, logits = extractor(images) if extractor else (None, None)
        return Features(images, labels, features, logits)

    def score(
        self,
        blocks: Iterator[tuple[Tensor, Tensor | None]],
        samples: int,
        watch: Callable[[dict[str, Features]], None] = lambda seen: None,
    ) -> dict[str, float]:
        """Every metric's value for a stream of `samples` uint8 images; each extractor runs once on each block.

        Metrics that need more samples are left out, and so is from now on one that raises. `watch` sees what every
        extractor made of each block.
        """
        enough = [name for name, cls in self.metrics.items() if cls.minimum_samples <= samples]
        streams: dict[str, Metric] = {}
        values: dict[str, float] = {}
        for name in enough:
            with self._alone(name):
                streams[name] = self.metrics[name](samples)
        for images, labels in blocks:
            seen = {name: self._features(extractor, images, labels) for name, extractor in self.extractors.items()}
            watch(seen)
            plain = Features(images, labels)
            for name in [name for name in streams if name in self.metrics]:
                with self._alone(name):
                    streams[name].update(seen[streams[name].extractor] if streams[name].extractor else plain)
        for name in [name for name in streams if name in self.metrics]:
            with self._alone(name):
                values[name] = float(streams[name].compute(self.references.get(name, {})))
        return values

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """A metric that raises becomes unavailable, and takes nothing down: not the other metrics, not a training."""
        try:
            yield
        except Exception as error:
            if out_of_memory(error):
                raise
            traceback.print_exc()
            self.unavailable[name] = f"{type(error).__name__}: {error}".partition("\n")[0]
            del self.metrics[name]

    def score_game(
        self,
        game: Game,
        samples: int,
        seed: int,
        *,
        fresh: bool = False,
        watch: Callable[[dict[str, Features]], None] = lambda seen: None,
    ) -> dict[str, float]:
        """Every metric's value for `samples` images of the game's generator, which must be in evaluation mode.

        `fresh` draws others than those that the evaluations during training see. `watch` is that of `score`.
        """
        blocks = self.generated_blocks(game, samples, (seed << 32) + (FRESH if fresh else 0))
        return self.score(blocks, samples, watch)

    def generated_blocks(self, game: Game, samples: int, seed: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """`samples` generated images in uint8 blocks, the same whatever their number and whatever ran before.

        Conditional games are asked for labels by the train split's class frequencies.
        """
        for start in range(0, samples, BLOCK):
            torch.manual_seed(seed + start)
            labels = None
            if game.conditional:
                assert self.frequencies is not None
                draws = torch.multinomial(self.frequencies.double(), BLOCK, replacement=True)
                labels = draws.to(self.device)
            images = quantise(game.sample(BLOCK, labels))
            count = min(BLOCK, samples - start)
            yield images[:count], None if labels is None else labels[:count]


def sample_sheet(game: Game, spec: DataSpec, device: str, seed: int) -> bytes:
    """A PNG of 100 samples of `game` in evaluation mode; the latents depend on `seed` alone."""
    torch.manual_seed((seed << 32) + _SHEET)
    labels = torch.tensor(sheet_labels(spec.classes), device=device) if game.conditional else None
    return sheet(quantise(game.sample(100, labels)).cpu().numpy())


def real_blocks(split: Split, device: str) -> Iterator[tuple[Tensor, Tensor | None]]:
    """A split's images in uint8 blocks, with their labels."""
    for start in range(0, len(split.images), BLOCK):
        images = torch.tensor(np.asarray(split.images[start : start + BLOCK]), device=device)
        labels = None if split.labels is None else torch.tensor(np.asarray(split.labels[start : start + BLOCK]))
        yield images, labels if labels is None else labels.to(device)


def real_rows(evaluator: Evaluator, data: Prepared) -> dict[str, dict[str, Any]]:
    """Every metric's value for the real test split, as if it had been generated: what a perfect generator reaches.

    Metrics that need more images than the split has are left out.
    """
    test = data.splits["test"]
    count = len(test.images)
    scores = evaluator.score(real_blocks(test, device=evaluator.device), count)
    return {name: {"value": value, "samples": count} for name, value in scores.items()}


def save_snapshot(game: Game, path: Path) -> None:
    """The generator's state, as safetensors; call it inside `train.evaluating` for the averaged weights."""
    write_atomically(path, save({name: t.cpu().contiguous() for name, t in game.generator.state_dict().items()}))


def load_snapshot(game: Game, path: Path) -> None:
    """Put a saved state back into the generator."""
    game.generator.load_state_dict(load_file(path))
