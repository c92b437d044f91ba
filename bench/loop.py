"""ganbench's training loop against a plain one, on the same networks, batch and precision, in turn.

    python bench/loop.py --threads 2

prints per case: the milliseconds of a generator update in both (medians), their ratio (median, least and greatest of
the pairs), the loop's overhead (its time outside of costs, backward passes and optimiser steps), and the rate of
arithmetic beside that of a large matrix product on the same device in the same precision.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import click
import numpy as np
import plain
import torch
from ganbench_gans.networks import fake_cost, gradient_norms, real_cost
from networks import LATENT_DIM, Case, build
from torch import Tensor

from ganbench.api import Batch, DataSpec, Game, Latent, Optimizer, Player, Split
from ganbench.batches import Batches
from ganbench.counters import flops
from ganbench.environment import processor, set_up
from ganbench.graphs import recorder_for
from ganbench.train import Budget, Moment, Precision, play

BATCH = 64
CASES = [
    Case(f"{name}, {where}", cost, shape, layers)
    for name, cost in (("DCGAN", "gan"), ("WGAN-GP", "wgan-gp"))
    for where, shape, layers in (
        ("28×28×1", (1, 28, 28), "ganbench"),
        ("32×32×1, torch's layers", (1, 32, 32), "plain"),
        ("32×32×1", (1, 32, 32), "quick"),
        ("32×32×3", (3, 32, 32), "ganbench"),
    )
]


def game_of(case: Case) -> Game:
    """The case as ganbench plays it, on torch's default device."""
    generator, discriminator = build(case)
    latent = Latent(LATENT_DIM)

    def discriminator_cost(batch: Batch) -> Tensor:
        fake = generator(latent(len(batch)))
        return (real_cost(discriminator(batch.images)) + fake_cost(discriminator(fake))) / 2

    def critic_cost(batch: Batch) -> Tensor:
        real, fake = batch.images, generator(latent(len(batch)))
        between = fake + torch.rand(len(batch), 1, 1, 1, device=real.device) * (real - fake)
        penalty = (gradient_norms(discriminator, between) - 1).square().mean()
        return discriminator(fake).mean() - discriminator(real).mean() + 10 * penalty

    def generator_cost(batch: Batch) -> Tensor:
        score = discriminator(generator(latent(len(batch))))
        return -score.mean() if case.cost == "wgan-gp" else real_cost(score)

    adam, wgan_gp = Optimizer("adam", lr=2e-4, beta1=0.5), case.cost == "wgan-gp"
    cost, turns = (critic_cost, plain.N_CRITIC) if wgan_gp else (discriminator_cost, 1)
    players = [
        Player("discriminator", discriminator, cost, adam, turns=turns),
        Player("generator", generator, generator_cost, adam),
    ]
    return Game(players, lambda n, labels: generator(latent(n)), generator, BATCH)


class Clock:
    """Seconds spent inside costs, backward passes and optimiser steps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - began

        return call

    @contextlib.contextmanager
    def watching(self, game: Game) -> Iterator[None]:
        """Count what `game` does until the end."""
        costs = [player.cost for player in game.players]
        backward, step = Tensor.backward, torch.optim.Adam.step
        for player in game.players:
            player.cost = self.timed(player.cost)
        Tensor.backward, torch.optim.Adam.step = self.timed(backward), self.timed(step)  # type: ignore[method-assign]
        try:
            yield
        finally:
            Tensor.backward, torch.optim.Adam.step = backward, step  # type: ignore[method-assign]
            for player, cost in zip(game.players, costs, strict=True):
                player.cost = cost


class Ours(NamedTuple):
    """Seconds of a round, and of them the share outside of what is counted (CPU only)."""

    round: float
    overhead: float


def ours(game: Game, batches: Batches, rounds: int, precision: Precision) -> Ours:
    """Play `rounds` rounds after as many to warm up."""
    clock, seen = Clock(), list[tuple[Moment, float]]()
    budget = Budget("generator_updates", 2 * rounds)

    def evaluate(moment: Moment) -> None:
        seen.append((Moment(**vars(moment)), clock.seconds))

    with clock.watching(game):
        recorder = recorder_for(batches.images.device)
        play(game, batches, budget, evaluations=2, evaluate=evaluate, precision=precision, recorder=recorder)
    if recorder and recorder.reason:
        raise SystemExit(f"turns were not replayed: {recorder.reason}")
    (first, before), (last, after) = seen
    seconds = last.seconds - first.seconds
    return Ours(seconds / rounds, 1 - (after - before) / seconds)


def theirs(steps: Iterator[None], rounds: int, device: torch.device) -> float:
    """Seconds of a generator update of a plain loop."""
    _wait(device)
    began = time.perf_counter()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        for _ in range(rounds):
            next(steps)
    _wait(device)
    return (time.perf_counter() - began) / rounds


class Job(NamedTuple):
    """What one process is to measure, again and again."""

    case: Case
    device: str
    threads: int
    precision: Precision
    rounds: int


def serve(job: Job, side: str, connection: Connection) -> None:
    """A process that measures one side each time it is asked, set up as that side is when it is used."""
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    device = torch.device(job.device)
    channels, size, _ = job.case.shape
    drawn = np.random.default_rng(0).integers(0, 256, (6400, size, size, channels), dtype=np.uint8)
    measured: Callable[[], Any]
    if side == "plain":
        with device:
            networks = build(job.case if job.case.layers == "ganbench" else job.case._replace(layers="plain"))
        # PIL enlarges grey images of 28 pixels, as it does MNIST in that library.
        pictures = np.ascontiguousarray(drawn if channels == 3 else drawn[:, :28, :28, 0])
        loop = plain.wgan_gp if job.case.cost == "wgan-gp" else plain.gan
        steps = loop(*networks, plain.loader(pictures, size, BATCH), LATENT_DIM, job.precision == "bf16")
        theirs(steps, 2, device)
        measured = partial(theirs, steps, job.rounds, device)
    else:
        set_up()  # as ganbench's workers do
        with device:
            game = game_of(job.case)
        split = Split(np.ascontiguousarray(drawn.transpose(0, 3, 1, 2)))
        batches = Batches(split, BATCH, device=job.device, seed=0)
        measured = partial(ours, game, batches, job.rounds, job.precision)
    connection.send("ready")
    while connection.recv():
        connection.send(measured())


class Process:
    """`serve` in a process of its own, asleep but when it is asked."""

    def __init__(self, job: Job, side: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=serve, args=(job, side, other), daemon=True)
        self.process.start()
        other.close()
        self.connection.recv()

    def measure(self) -> Any:
        self.connection.send(True)
        return self.connection.recv()

    def end(self) -> None:
        self.connection.send(False)
        self.process.join()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device, precision: Precision) -> float:
    """FLOP/s of a product of two 4096×4096 matrices (2048 on a CPU), the median of seven."""
    n = 4096 if device.type == "cuda" else 2048
    torch.backends.cuda.matmul.fp32_precision = "tf32" if precision == "tf32" else "ieee"  # type: ignore[attr-defined]
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    seconds = []
    for _ in range(8):
        _wait(device)
        began = time.perf_counter()
        a @ a
        _wait(device)
        seconds.append(time.perf_counter() - began)
    return 2 * n**3 / statistics.median(seconds[1:])


def measure(job: Job, against: Precision, repeats: int) -> dict[str, Any]:
    """The figures of one case; the plain loop runs in the precision `against`."""
    with torch.device("meta"):
        counted = flops(game_of(job.case), DataSpec(job.case.shape))
    other, own = Process(job._replace(precision=against), "plain"), Process(job, "ganbench")
    pairs = [(other.measure(), own.measure()) for _ in range(repeats)]
    for process in (other, own):
        process.end()
    mine = statistics.median(our.round for _, our in pairs)
    return {
        "plain": 1e3 * statistics.median(their for their, _ in pairs),
        "ganbench": 1e3 * mine,
        "ratios": sorted(their / our.round for their, our in pairs),
        "overhead": statistics.median(our.overhead for _, our in pairs),
        "flops": counted.round,
        "rate": counted.round / mine,
    }


@click.command()
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", type=int, default=torch.get_num_threads(), show_default=True)
@click.option("--precision", type=click.Choice(("fp32", "tf32", "bf16")), default="fp32", show_default=True)
@click.option("--against", type=click.Choice(("fp32", "bf16")), help="The plain loop's precision [default: the same].")
@click.option("--repeats", default=5, show_default=True, help="Pairs of measurements.")
@click.option("--rounds", type=click.IntRange(5), default=6, show_default=True, help="Generator updates in each.")
@click.option("--only", default="", help="Cases whose name contains this.")
def main(
    device: str, threads: int, precision: Precision, against: Precision | None, repeats: int, rounds: int, only: str
) -> None:
    """Measure all cases and print a table in Markdown."""
    torch.set_num_threads(threads)
    place = torch.device(device)
    machine = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{processor()}, {threads} threads"
    plains: Precision = "bf16" if precision == "bf16" else "fp32"
    peak = matrix_rate(place, precision)
    click.echo(f"{machine}; torch {torch.__version__}; {precision} against {against or plains}; ", nl=False)
    click.echo(f"batch {BATCH}; ", nl=False)
    click.echo(f"matrix products {peak / 1e9:,.0f} GFLOP/s; {repeats} pairs of {rounds} generator updates\n")
    click.echo("| networks | plain ms | ganbench ms | ratio (range) | overhead | GFLOP | of matrix rate |")
    click.echo("|---|---|---|---|---|---|---|")
    for case in CASES:
        if only not in case.name:
            continue
        found = measure(Job(case, device, threads, precision, rounds), against or plains, repeats)
        low, high = found["ratios"][0], found["ratios"][-1]
        middle = statistics.median(found["ratios"])
        overhead = f"{found['overhead']:.1%}" if place.type == "cpu" else "–"
        click.echo(
            f"| {case.name} | {found['plain']:.1f} | {found['ganbench']:.1f} | {middle:.2f} ({low:.2f} to {high:.2f}) "
            f"| {overhead} | {found['flops'] / 1e9:.1f} | {found['rate'] / peak:.0%} |"
        )


if __name__ == "__main__":
    main()
