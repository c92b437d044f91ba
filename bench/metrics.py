"""What evaluation costs, and how its numbers compare with torch-fidelity's and with plain numpy and scipy.

    python bench/metrics.py --threads 2

prints, as medians of alternating repeats: a whole evaluation beside the bare cost of generating and classifying the
same images, the Fréchet distance from given moments, FID and IS from given features, and the peak memory of evaluations
of more and more samples. MNIST and its classifier are taken from the data root (`GANBENCH_DATA`), or made first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np
import scipy.linalg
import threadpoolctl
import torch
from ganbench_metrics import classifier, frechet, inception
from ganbench_metrics.blocks import exact_float32
from ganbench_metrics.metrics import FrechetInceptionDistance, InceptionScore
from ganbench_metrics.moments import Moments
from torch import Tensor, nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric

from ganbench.api import Features, Game, Metric, Split
from ganbench.batches import quantise
from ganbench.data import Prepared, data_root, prepare
from ganbench.environment import processor
from ganbench.evaluate import Evaluator
from ganbench.plugins import installed
from ganbench.streams import BLOCK
from ganbench.train import evaluating

BLOCKS = {"classifier": classifier.BLOCK, "inception": inception.BLOCK}


def timed(function: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Seconds of a call, and what it returned."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    found = function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began, found


def in_turn(
    ways: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device
) -> dict[str, tuple[list[float], Any]]:
    """The seconds of every repeat of each way, and what it found; all of them once, then all again."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Any] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            taken, found[name] = timed(way, device)
            seconds[name].append(taken)
    return {name: (seconds[name], found[name]) for name in ways}


def table(*columns: str) -> None:
    """Begin a table in Markdown."""
    click.echo(f"\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")


def row(*cells: object) -> None:
    click.echo(f"| {' | '.join(map(str, cells))} |")


# --- A whole evaluation beside its networks alone


def dcgan(data: Prepared, width: int, device: str) -> Game:
    """An untrained DCGAN in the memory format that training gives it."""
    variant = installed().find("variants", "dcgan").load()()
    torch.manual_seed(0)
    with torch.device(device):
        game: Game = variant.game(data.spec, variant.Params.resolve({"width": width}))
    game.generator.to(memory_format=torch.channels_last)
    return game


def mnist() -> Prepared:
    return prepare("mnist", installed().find("datasets", "mnist").load()(), data_root(), say)


def say(message: str) -> None:
    click.echo(message, err=True)


def evaluator(data: Prepared, metrics: list[str], device: str, root: Path) -> Evaluator:
    names = {"classifier": "classifier", "inception": "inception"}
    return Evaluator(data, metrics, extractors=names, reference="train", device=device, root=root, say=say)


def bare(game: Game, extractor: str, network: nn.Module, samples: int, device: torch.device) -> None:
    """Generate and classify in the same blocks, and throw the results away."""
    size = BLOCKS[extractor]
    with exact_float32(device):
        for start in range(0, samples, BLOCK):
            images = quantise(game.sample(BLOCK, None))[: samples - start]
            for part in images.split(size):
                network(part.expand(-1, 3, -1, -1) if extractor == "inception" else part)


def evaluation(name: str, game: Game, scoring: Evaluator, samples: int, repeats: int, device: torch.device) -> None:
    """One row: a whole evaluation and the bare one in turn."""
    ((extractor, eyes),) = scoring.extractors.items()
    network: nn.Module = eyes.network  # type: ignore[attr-defined]
    with evaluating(game):
        ways: dict[str, Callable[[], Any]] = {
            "bare": lambda: bare(game, extractor, network, samples, device),
            "whole": lambda: scoring.score_game(game, samples, 0),
        }
        scoring.score_game(game, min(BLOCK, samples), 0)  # to warm up
        found = in_turn(ways, repeats, device)
    assert not scoring.unavailable, scoring.unavailable
    plain, whole = found["bare"][0], found["whole"][0]
    ratios = sorted(mine / other for mine, other in zip(whole, plain, strict=True))
    middle, low, high = statistics.median(ratios), ratios[0], ratios[-1]
    times = f"{statistics.median(plain):.2f} | {statistics.median(whole):.2f}"
    row(name, f"{samples:,}", times, f"{middle:.3f} ({low:.3f} to {high:.3f})")


def random_inception(path: Path) -> None:
    """Write weights of Inception's true form, random but of a scale that keeps the signal's."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Made(Exception):
        pass

    def write(network: nn.Module, state: object) -> None:
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        torch.save(network.state_dict(), path)
        raise Made

    torch.save({}, path)
    # Its constructor makes no network without a file to load.
    with contextlib.suppress(Made), mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict", write):
        FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))


def evaluations(device: torch.device, samples: int, few: int, repeats: int) -> None:
    """Both extractors. Inception is slow, so it sees `few` samples, and fifty real images for a reference."""
    data = mnist()
    table("evaluation", "samples", "bare s", "ganbench s", "ratio (range)")
    scoring = evaluator(data, ["cs", "fcd"], str(device), data_root())
    for width in (32, 64):
        game = dcgan(data, width, str(device))
        evaluation(f"cs, fcd of a DCGAN of width {width}", game, scoring, samples, repeats, device)
    if few:
        images = Split(np.asarray(data.splits["train"].images[:50]))
        small = dataclasses.replace(data, splits={"train": images, "test": images}, fingerprint="fifty images")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "random.pth"
            random_inception(path)
            with mock.patch.dict(os.environ, {inception.VARIABLE: str(path)}):
                scoring = evaluator(small, ["is", "fid"], str(device), Path(folder))
        evaluation("is, fid of a DCGAN of width 64", dcgan(data, 64, str(device)), scoring, few, repeats, device)


# --- The formulas alone


def made_up(n: int, dim: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Float32 features n×dim, non-negative and correlated with a falling spectrum, and logits n×classes."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=torch.Generator().manual_seed(0)) / dim**0.5
    falling = torch.logspace(0, -1, dim)
    features = torch.randn(n, dim, generator=generator) * falling @ mix + 0.02 * seed
    features = (features + 0.1 * torch.randn(n, dim, generator=generator)).clamp_min_(0)
    return features, 3 * torch.randn(n, classes, generator=generator)


def moments(features: Tensor) -> Moments:
    """As an evaluation collects them."""
    seen = Moments()
    for block in features.split(BLOCK):
        seen.update(block)
    return seen


def sqrtm_distance(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> float:
    """The distance as pytorch-fid computes it from means and covariances."""
    (mean, covariance), (their_mean, theirs) = one, other
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = scipy.linalg.sqrtm(covariance @ theirs)
        if not np.isfinite(root).all():
            offset = 1e-6 * np.eye(len(mean))
            root = scipy.linalg.sqrtm((covariance + offset) @ (theirs + offset))
    difference = mean - their_mean
    return float(difference @ difference + np.trace(covariance) + np.trace(theirs) - 2 * np.trace(root.real))


def numpy_score(logits: np.ndarray, splits: int) -> float:
    """The score as its authors' code computes it, in torch-fidelity's order of samples."""
    logits = logits.astype(np.float64)[np.random.RandomState(2020).permutation(len(logits))]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    found = []
    for k in range(splits):
        part = p[k * len(p) // splits : (k + 1) * len(p) // splits]
        found.append(np.exp((part * (np.log(part) - np.log(part.mean(0, keepdims=True)))).sum(1).mean()))
    return float(np.mean(found))


def compare(what: str, ways: Mapping[str, Callable[[], float]], repeats: int, device: torch.device) -> None:
    """A row per way: seconds, how many times ganbench's, value, and its relative difference from ganbench's."""
    found = in_turn(ways, repeats, device)
    mine, value = statistics.median(found["ganbench"][0]), found["ganbench"][1]
    for name, (seconds, theirs) in found.items():
        middle = statistics.median(seconds)
        apart = "" if name == "ganbench" else f"{abs(theirs - value) / abs(value):.0e}"
        row(what, name, f"{middle:.3g}", f"{middle / mine:.1f}", f"{theirs:.8g}", apart)


def formulas(device: torch.device, n: int, dim: int, classes: int, repeats: int, *, sqrtm: bool) -> None:
    """Fréchet distances from moments of every kind, then FID and IS from features, real statistics at hand."""
    slow = set() if sqrtm else {"pytorch-fid's way (scipy sqrtm)", "numpy and scipy"}
    features, logits = made_up(n, dim, classes, 0)
    real = made_up(n, dim, classes, 1)[0]
    dead = features.clone()
    dead[:, ::10] = 0
    table("from", "by", "seconds", "times ganbench's", "value", "relative difference")
    kinds = {
        "moments": features,
        "moments, a tenth of the units dead": dead,
        "moments, nearly singular": features * torch.logspace(0, -5, dim),
        "moments of 1,000": features[:1000],
    }
    real_moments = moments(real.to(device))
    real_gaussian = frechet.gaussian(real_moments)
    real_numpy = (real_moments.mean.cpu().numpy(), real_moments.covariance().cpu().numpy())
    real_fidelity = dict(zip(("mu", "sigma"), real_numpy, strict=True))
    for kind, rows in kinds.items():
        seen = moments(rows.to(device))
        plain = (seen.mean.cpu().numpy(), seen.covariance().cpu().numpy())
        fidelity = dict(zip(("mu", "sigma"), plain, strict=True))
        ways: dict[str, Callable[[], float]] = {
            "ganbench": lambda seen=seen: frechet.distance(frechet.gaussian(seen), real_gaussian),
            "torch-fidelity (numpy eigvals)": lambda f=fidelity: _fid(f, real_fidelity),
            "pytorch-fid's way (scipy sqrtm)": lambda p=plain: sqrtm_distance(p, real_numpy),
        }
        ways = {name: way for name, way in ways.items() if name not in slow}
        compare(f"{kind}, d = {dim}", ways, repeats, device)

    def streamed(metric: type[Metric], reference: Mapping[str, Tensor]) -> float:
        stream = metric(n)
        for block, scores in zip(features.split(BLOCK), logits.split(BLOCK), strict=True):
            stream.update(Features(block, None, block.to(device), scores.to(device)))
        return stream.compute(reference)

    state = real_gaussian._asdict()
    ways = {
        "ganbench": lambda: streamed(FrechetInceptionDistance, state),
        "torch-fidelity": lambda: _fid(fid_features_to_statistics(features.double()), real_fidelity),
        "numpy and scipy": lambda: sqrtm_distance(
            (features.numpy().mean(0, dtype=np.float64), np.cov(features.numpy(), rowvar=False)), real_numpy
        ),
    }
    ways = {name: way for name, way in ways.items() if name not in slow}
    compare(f"{n:,} features, d = {dim} (fid)", ways, repeats, device)
    compare(
        f"{n:,} logits, K = {classes} (is)",
        {
            "ganbench": lambda: streamed(InceptionScore, {}),
            "torch-fidelity": lambda: isc_features_to_metric(logits, splits=10)["inception_score_mean"],
            "numpy": lambda: numpy_score(logits.numpy(), 10),
        },
        repeats,
        device,
    )


def _fid(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    return fid_statistics_to_metric(one, other, verbose=False)["frechet_inception_distance"]


# --- Memory


def nothing(samples: int) -> None:
    """What a process takes that has imported all."""


def evaluated(samples: int) -> None:
    """An evaluation by CS and FCD."""
    data = mnist()
    scoring, game = evaluator(data, ["cs", "fcd"], "cpu", data_root()), dcgan(data, 32, "cpu")
    with evaluating(game):
        scoring.score_game(game, samples, 0)


def outputs(samples: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Made-up blocks of features and logits, as large as Inception's."""
    for start in range(0, samples, BLOCK):
        size = min(BLOCK, samples - start)
        yield torch.randn(size, 2048), torch.randn(size, 1008)


def streamed(samples: int) -> None:
    """IS and FID of outputs like Inception's."""
    streams = [InceptionScore(samples), FrechetInceptionDistance(samples)]
    for features, logits in outputs(samples):
        block = Features(torch.zeros(0), None, features, logits)
        for stream in streams:
            stream.update(block)
    streams[0].compute({})
    streams[1].state()


def kept(samples: int) -> None:
    """The same by torch-fidelity, which keeps all features."""
    features, logits = (torch.cat(parts) for parts in zip(*outputs(samples), strict=True))
    isc_features_to_metric(logits)
    fid_features_to_statistics(features.double())


MEMORY = {
    "nothing": nothing,
    "cs and fcd of a DCGAN, 28×28": evaluated,
    "is and fid, streamed": streamed,
    "is and fid, torch-fidelity": kept,
}


def memory(counts: tuple[int, ...], threads: int) -> None:
    """Peak resident memory of a process that does one thing, in MiB."""
    mnist()
    table("peak memory, MiB", *(f"{count:,} samples" for count in counts))
    for name in MEMORY:
        peaks = []
        for count in counts:
            command = [sys.executable, __file__, "--threads", str(threads), "--peak", name, str(count)]
            peaks.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
        row(name, *peaks)


@click.command()
@click.option("--device", default="cpu", show_default=True, help="Of evaluations and of ganbench's own formulas.")
@click.option("--threads", type=int, default=torch.get_num_threads(), show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--samples", default=50_000, show_default=True, help="Of an evaluation by CS and FCD.")
@click.option("--few", default=50, show_default=True, help="Samples of one by IS and FID; 0 leaves it out.")
@click.option("--features", default=10_000, show_default=True, help="That FID and IS are computed from.")
@click.option("--dim", default=2048, show_default=True, help="Dimensions of the features.")
@click.option("--sqrtm/--no-sqrtm", default=True, help="With scipy's square root, which takes long.")
@click.option("--only", type=click.Choice(("evaluations", "formulas", "memory")))
@click.option("--peak", nargs=2, type=(str, int), hidden=True, help="Do one thing and print the peak memory.")
def main(
    device: str,
    threads: int,
    repeats: int,
    samples: int,
    few: int,
    features: int,
    dim: int,
    sqrtm: bool,
    only: str | None,
    peak: tuple[str, int] | None,
) -> None:
    """Measure and print tables in Markdown."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # as ganbench's workers do
    place = torch.device(device)
    with threadpoolctl.threadpool_limits(threads):
        if peak:
            MEMORY[peak[0]](peak[1])
            # Not getrusage, which counts what the process was forked from.
            (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
            click.echo(int(line.split()[1]) // 1024)
            return
        machine = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{processor()}, {threads} threads"
        versions = f"torch {torch.__version__}, numpy {np.__version__}, scipy {scipy.__version__}"
        click.echo(f"{machine}; {versions}; medians of {repeats} repeats; blocks of {BLOCK}")
        if only in (None, "evaluations"):
            evaluations(place, samples, few, repeats)
        if only in (None, "formulas"):
            formulas(place, features, dim, 1008, repeats, sqrtm=sqrtm)
        if only in (None, "memory"):
            memory((samples // 5, samples, 2 * samples), threads)


if __name__ == "__main__":
    main()
