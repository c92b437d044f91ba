"""Samples to features to metrics, in one pass and constant memory, for generated and for real images alike."""

from __future__ import annotations

import hashlib
import json
import math
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from ganbench import streams
from ganbench.contracts import Extractor, ExtractorData, Features, Metric
from ganbench.data import Prepared
from ganbench.environment import out_of_memory
from ganbench.errors import Unavailable
from ganbench.game import Game
from ganbench.plugins import Component, installed
from ganbench.store import write_atomically
from ganbench.streams import Inapplicable

if TYPE_CHECKING:
    from ganbench.shared import Shared

# How the names of their tensors begin in a snapshot, which no module's own can.
_ENCODER, _DISCRIMINATOR = "encoder:", "discriminator:"
FRESH = 2**31  # keeps the draws of the fresh samples for a chosen snapshot apart

References = dict[str, dict[str, Tensor]]


class Evaluator:
    """Everything needed to score images against one dataset: its metrics, their extractors and references.

    `extractors` maps the names that metrics ask for to the extractors they get; `reference` says which images the
    distances compare with (``train`` or ``train+test``). `unavailable` says which of the metrics asked for cannot be
    had here, and why; the others work. `inapplicable` are those of them (name -> version) that are not to be had of
    this data or of the game that was scored, today or ever.
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
        shared: Shared | None = None,
    ) -> None:
        self.device = device
        self.data = data
        self.reference = reference
        self.metrics: dict[str, type[Metric]] = {}
        self.extractors: dict[str, Extractor] = {}
        self.references: References = {}
        self.unavailable: dict[str, str] = {}
        self.inapplicable: dict[str, str] = {}
        kept = root / "extractors"
        turn = partial(_shared_turn, shared, say) if shared else None
        source = ExtractorData(data.name, data.spec, data.splits, data.fingerprint, device, kept, say, turn)
        refused: dict[str, str] = {}
        for name in metrics:
            component = installed().find("metrics", name)
            metric: type[Metric] = component.load()
            if data.spec.kind not in metric.takes:
                what = f"it scores {' or '.join(metric.takes)} data, and {data.name} is {data.spec.kind}"
                self._not_here(name, metric, what)
                continue
            if metric.needs_labels and not data.spec.classes:
                self._not_here(name, metric, f"it needs labels, and {data.name} has none")
                continue
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
                self.references[name] = self._reference(component, metric, extractor, data, root / "references", source)
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
        source: ExtractorData,
    ) -> dict[str, Tensor]:
        """The real side of a metric, from the cache when there by the hash of all that determines it."""
        seen_by = [extractor.version, extractor.hash] if extractor else []
        identity = [component.id, metric.version, seen_by, data.fingerprint, self.reference]
        path = cache / f"{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]}.safetensors"
        cache.mkdir(parents=True, exist_ok=True)
        with source.turn(path, f"the reference statistics of {component.name} on {data.name}"):
            if not path.exists():
                split = data.split(self.reference)
                count = len(split.images)
                source.say(f"{data.name}: reference statistics of {component.name} from {count:,} images")
                stream = metric(count)
                for block in streams.real(split, self.device, paired=data.spec.paired):
                    stream.update(_seen_by(extractor, block))
                temporary = path.with_suffix(".tmp")
                save_file({name: tensor.cpu().contiguous() for name, tensor in stream.state().items()}, temporary)
                temporary.replace(path)
        return load_file(path, device=self.device)

    def score(
        self,
        blocks: Iterator[Features],
        samples: int,
        watch: Callable[[dict[str, Features]], None] = lambda seen: None,
        stream: str = "samples",
    ) -> dict[str, float]:
        """The values of all metrics of `stream` for `samples` uint8 images; each extractor runs once on each block.

        Metrics that need more samples are left out, and so is from now on one that raises. `watch` sees what every
        extractor made of each block.
        """
        asked = {name: cls for name, cls in self.metrics.items() if cls.stream == stream}
        extractors = {cls.extractor: self.extractors[cls.extractor] for cls in asked.values() if cls.extractor}
        scores: dict[str, Metric] = {}
        values: dict[str, float] = {}
        for name, cls in asked.items():
            if cls.minimum_samples <= samples:
                with self._alone(name):
                    scores[name] = cls(samples)
        for block in blocks:
            seen = {name: _seen_by(extractor, block) for name, extractor in extractors.items()}
            watch(seen)
            for name in [name for name in scores if name in self.metrics]:
                with self._alone(name):
                    scores[name].update(seen[scores[name].extractor] if scores[name].extractor else block)
        for name in [name for name in scores if name in self.metrics]:
            with self._alone(name):
                values[name] = float(scores[name].compute(self.references.get(name, {})))
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

        `fresh` draws others than those that the evaluations during training see; what is made of held-out images is
        made of those at even places during training and of those at odd places for `fresh`, of as many as there are.
        A metric whose stream the game does not give is unavailable. `watch` is that of `score`.
        """
        values: dict[str, float] = {}
        for name, metric in list(self.metrics.items()):
            if metric.needs_labels and not game.conditional:
                self._not_here(name, metric, "it needs the labels that samples are asked for by, of a conditional game")
        for stream in sorted({metric.stream for metric in self.metrics.values()}, reverse=True):
            asked = {name: metric for name, metric in self.metrics.items() if metric.stream == stream}
            try:
                blocks, count = self._stream(stream, game, samples, seed, fresh=fresh)
            except Inapplicable as error:
                for name, metric in asked.items():
                    self._not_here(name, metric, str(error))
                continue
            for name, metric in asked.items():
                if count < metric.minimum_samples <= samples:
                    least = metric.minimum_samples
                    self._not_here(name, metric, f"it needs {least} held-out images, and {count} are there")
            values |= self.score(blocks, count, watch if stream == "samples" else lambda seen: None, stream)
        return values

    def _stream(
        self, stream: str, game: Game, samples: int, seed: int, *, fresh: bool
    ) -> tuple[Iterator[Features], int]:
        """The blocks of a stream, and how many images they hold in all. Raises `Inapplicable`."""
        if stream == "samples" and not game.translates:
            return self.generated_blocks(game, samples, _draws(seed, fresh=fresh)), samples
        if stream == "latents":
            drawn = streams.with_latents(game, samples, _draws(seed, fresh=fresh), self.frequencies, self.device)
            return drawn, samples
        paired = self.data.spec.paired
        half = streams.held_out(self.data.splits["test"], int(fresh))
        count = min(samples, len(half.images if half.sources is None else half.sources))
        if stream == "samples":
            return streams.translated(game, half, count, self.device, paired=paired), count
        return streams.reconstructed(game, half, count, self.device), count

    def _not_here(self, name: str, metric: type[Metric], reason: str) -> None:
        self.metrics.pop(name, None)
        self.unavailable[name] = reason
        self.inapplicable[name] = metric.version

    def generated_blocks(self, game: Game, samples: int, seed: int) -> Iterator[Features]:
        """`samples` generated images in uint8 blocks, as `ganbench.streams.generated` draws them."""
        return streams.generated(game, samples, seed, self.frequencies, self.device)


def _seen_by(extractor: Extractor | None, block: Features) -> Features:
    """A block with what the extractor makes of its images."""
    if extractor is None:
        return block
    features, logits = extractor(block.images)
    return block._replace(features=features, logits=logits)


def _draws(seed: int, *, fresh: bool) -> int:
    return (seed << 32) + (FRESH if fresh else 0)


def real_rows(evaluator: Evaluator, data: Prepared) -> dict[str, dict[str, Any]]:
    """Every metric's value for the real test split, as if it had been generated: what a perfect generator reaches.

    Metrics that need more images than the split has are left out.
    """
    test = data.splits["test"]
    count = len(test.images)
    return _scored(evaluator, streams.real(test, evaluator.device, paired=data.spec.paired), count)


def baselines(evaluator: Evaluator, data: Prepared) -> dict[str, dict[str, dict[str, Any]]]:
    """What a game that translates has to better, by name: the same metrics of guesses that nobody had to learn.

    They are for the held-out images that chosen snapshots are scored on, those at odd places: their sources, where they
    have the shape of images, and of pairs also the mean image of the train split. A metric that cannot score them is
    left out, and stays available.
    """
    train, test = data.splits["train"], streams.held_out(data.splits["test"], 1)
    found, paired = {}, data.spec.paired
    metrics, unavailable = dict(evaluator.metrics), dict(evaluator.unavailable)
    if test.sources is not None and data.spec.source == data.spec.shape:
        blocks = streams.copied(test, evaluator.device, paired=paired)
        found["copy of the source"] = _scored(evaluator, blocks, len(test.sources))
    if paired:
        blocks = streams.mean_image(train, test, evaluator.device)
        found["mean image"] = _scored(evaluator, blocks, len(test.images))
    evaluator.metrics, evaluator.unavailable = metrics, unavailable
    return found


def _scored(evaluator: Evaluator, blocks: Iterator[Features], count: int) -> dict[str, dict[str, Any]]:
    scores = evaluator.score(blocks, count)
    return {name: {"value": value, "samples": count} for name, value in scores.items() if math.isfinite(value)}


def _shared_turn(shared: Shared, say: Callable[[str], None], path: Path, what: str) -> AbstractContextManager[None]:
    """The turn of this process, among those of all machines that share a store, at a file of the cache."""
    item = f"{path.parent.name}/{path.name}"
    return shared.turn(item, path.parent, lambda: [path.name] if path.exists() else [], what, say)


def save_snapshot(game: Game, path: Path) -> None:
    """State of the generator, the encoder and the discriminator, as safetensors; inside `train.evaluating` that of the
    generator is of averaged weights.
    """
    state = dict(game.generator.state_dict())
    for start, module in ((_ENCODER, game.encoder), (_DISCRIMINATOR, game.discriminator)):
        if module is not None:
            state |= {start + name: tensor for name, tensor in module.state_dict().items()}
    write_atomically(path, save({name: tensor.cpu().contiguous() for name, tensor in state.items()}))


def load_snapshot(game: Game, path: Path) -> None:
    """Put a saved state back into the generator and the encoder, and into the discriminator where it was saved.

    Snapshots of older versions have none: then the game has no `discriminator` any more, rather than an untrained one.
    """
    state = load_file(path)
    encoder, discriminator = (
        {name.removeprefix(start): state.pop(name) for name in list(state) if name.startswith(start)}
        for start in (_ENCODER, _DISCRIMINATOR)
    )
    game.generator.load_state_dict(state)
    if game.encoder is not None:
        game.encoder.load_state_dict(encoder)
    if game.discriminator is not None and discriminator:
        game.discriminator.load_state_dict(discriminator)
    else:
        game.discriminator = None
