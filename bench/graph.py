"""Time and memory of the graph GANs on images of CIFAR-10's size, per generator and number of neighbours k.

    python bench/graph.py --threads 1

prints per case: the seconds of a critic turn and of a generator turn (medians), of a generator update (five critic
turns and one of the generator), the FLOPs counted in one, and the most memory that training took beyond what the
process had before its first turn. On a CPU seconds are the process's processor time, so that other work on the machine
disturbs them little; on a GPU they are wall time. Each case has a process of its own; the images are noise.
"""

from __future__ import annotations

import multiprocessing
import re
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch

from ganbench.api import DataSpec, Game, Split
from ganbench.batches import Batches
from ganbench.counters import flops
from ganbench.environment import processor, set_up
from ganbench.plugins import installed
from ganbench.train import Budget, play

SPEC = DataSpec((3, 32, 32))
CRITIC_TURNS = 5
CASES: list[tuple[str, dict[str, int]]] = [
    ("graph-baseline", {}),
    ("graph-attention", {}),
    *[(name, {"k": k}) for name in ("graph-edgeconv", "graph-ecc", "graph-ecc-light") for k in (8, 16, 32)],
]


class Job(NamedTuple):
    """What one process measures."""

    variant: str
    params: dict[str, int]
    device: str
    threads: int
    batch: int
    rounds: int
    size: int


class Found(NamedTuple):
    """Seconds of a turn, FLOPs of a generator update, bytes, and parameters of the generator."""

    critic: float
    generator: float
    flops: int
    memory: int
    parameters: int

    @property
    def update(self) -> float:
        return CRITIC_TURNS * self.critic + self.generator


def game_of(job: Job, n_critic: int) -> Game:
    """The case's game on torch's default device. `size` other than 32 is for a quick try."""
    variant = installed().find("variants", job.variant).load()()
    values = {"batch_size": job.batch, "n_critic": n_critic, **job.params}
    return variant.game(_spec(job), variant.Params.resolve(values))


def _spec(job: Job) -> DataSpec:
    return DataSpec((SPEC.channels, job.size, job.size))


def measure(job: Job) -> Found:
    """Play rounds of one turn each, after one to warm up, in a process of its own: memory is the process's."""
    set_up(job.threads)
    torch.manual_seed(0)
    with torch.device("meta"):
        counted = flops(game_of(job, CRITIC_TURNS), _spec(job))
    device = torch.device(job.device)
    with device:
        game = game_of(job, n_critic=1)
    drawn = np.random.default_rng(0).integers(0, 256, (4 * job.batch, *_spec(job).shape), dtype=np.uint8)
    batches = Batches(Split(drawn), job.batch, device=job.device, seed=0)
    ends: dict[str, list[float]] = {player.name: [] for player in game.players}

    def mark(name: str) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            ends[name].append(time.perf_counter())
        else:
            ends[name].append(time.process_time())

    for player in game.players:
        player.after_turn = lambda name=player.name: mark(name)  # type: ignore[misc]
    before = _memory("VmRSS")
    budget = Budget("generator_updates", job.rounds + 1)
    play(game, batches, budget, evaluations=1, evaluate=lambda moment: None)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _memory("VmHWM") - before
    critic, generator = ends["critic"], ends["generator"]
    return Found(
        critic=statistics.median(end - begin for begin, end in zip(generator[:-1], critic[1:], strict=True)),
        generator=statistics.median(end - begin for begin, end in zip(critic[1:], generator[1:], strict=True)),
        flops=counted.round,
        memory=peak,
        parameters=sum(p.numel() for p in game.generator.parameters()),
    )


def _memory(what: str) -> int:
    """A figure of this process in bytes: ``VmRSS``, its memory now, or ``VmHWM``, the most that it had."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if not found:
        raise SystemExit("memory is only known on Linux")
    return int(found[1]) * 1024


def alone(job: Job) -> Any:
    """`measure` in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (job,))


@click.command()
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("--batch", default=32, show_default=True, help="Images per minibatch.")
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True, help="Turns of each player measured.")
@click.option("--size", default=32, show_default=True, help="Pixels; 8 is for a quick try.")
@click.option("--only", multiple=True, help="This variant (repeatable).")
@click.option("--k", multiple=True, type=int, help="This number of neighbours (repeatable).")
def main(
    device: str, threads: int, batch: int, rounds: int, size: int, only: tuple[str, ...], k: tuple[int, ...]
) -> None:
    """Measure all cases and print a table in Markdown."""
    machine = torch.cuda.get_device_name(device) if device.startswith("cuda") else f"{processor()}, {threads} threads"
    click.echo(f"{machine}; torch {torch.__version__}; fp32; batch {batch}; {size}×{size}×{SPEC.channels}; ", nl=False)
    click.echo(f"medians of {rounds}\n")
    click.echo(
        "| variant | k | generator's parameters | critic turn s | generator turn s | update s | GFLOP | peak MiB |"
    )
    click.echo("|---|---|---|---|---|---|---|---|")
    for variant, params in CASES:
        if (only and variant not in only) or (k and params.get("k") not in k):
            continue
        found: Found = alone(Job(variant, params, device, threads, batch, rounds, size))
        click.echo(
            f"| {variant} | {params.get('k', '–')} | {found.parameters:,} | {found.critic:.2f} | {found.generator:.2f} "
            f"| {found.update:.1f} | {found.flops / 1e9:,.0f} | {found.memory / 2**20:,.0f} |"
        )


if __name__ == "__main__":
    main()
