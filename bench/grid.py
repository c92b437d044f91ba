"""A grid of small cells, one single-threaded process per core, against one cell after another with all threads.

    python bench/grid.py --pairs 5

runs `ganbench run` with its default and with ``--jobs 1``, in turn, each in a fresh results folder; which of the two
is first changes from pair to pair. Datasets, classifiers and references are prepared beforehand, for both, and not
counted; all else is, from the start of the command to its end. Pairs are kept in ``--folder``; later calls add to them.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from ganbench.environment import cores, processor
from ganbench.store import Store

BENCHMARK = """
name = "grid"
seeds = {seeds}
budget = {{ generator_updates = {updates} }}
evaluate = {{ times = {times}, samples = 1_000 }}
metrics = ["cs", "fcd"]
device = "cpu"
"""
GRID = """
[[grid]]
variants = ["{variant}"]
datasets = ["{dataset}"]
params = {params}
budget = {{ generator_updates = {updates} }}
"""
#: Variant, dataset, parameters, and the share of the updates that makes its cells about as long as the others.
CELLS = (
    ("dcgan", "digits", "{ width = 32, batch_size = 32 }", 1.0),
    ("wgan-gp", "digits", "{ width = 32, batch_size = 32, n_critic = 2 }", 0.4),
    ("dcgan", "mnist", "{ width = 16 }", 0.25),
    ("wgan-gp", "mnist", "{ width = 16, n_critic = 2 }", 0.1),
)
SEEDS = 4
ARMS = {"one process per core": [], "one process": ["--jobs", "1"]}


def write(path: Path, *, seeds: int, updates: int, times: int) -> Path:
    """The benchmark file: every configuration with so many seeds."""
    text = BENCHMARK.format(seeds=seeds, updates=updates, times=times)
    for variant, dataset, params, share in CELLS:
        text += GRID.format(variant=variant, dataset=dataset, params=params, updates=max(times, round(updates * share)))
    path.write_text(text)
    return path


def run(toml: Path, results: Path, *options: str) -> float:
    """The seconds that `ganbench run` takes."""
    command = [sys.executable, "-m", "ganbench.cli", "run", str(toml), "--results", str(results), *options]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"`ganbench run` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def measured(toml: Path, prepared: Path, results: Path, *options: str) -> dict[str, Any]:
    """One run in a fresh folder: its seconds, and what its cells say of theirs."""
    shutil.rmtree(results, ignore_errors=True)
    (results / "grid").mkdir(parents=True)
    shutil.copytree(prepared / "references", results / "grid" / "references")
    seconds = run(toml, results, *options)
    manifests = [unit.manifest for unit in Store(results / "grid").cells()]
    parts = {name: sum(made["seconds"][name] for made in manifests) for name in ("total", "train", "evaluate")}
    return {"wall": seconds, "cells": len(manifests), "threads": manifests[0]["environment"]["threads"], **parts}


def row(name: str, pair: dict[str, Any]) -> str:
    many, one = (pair[arm] for arm in ARMS)
    figures = (many["wall"], one["wall"], many["total"] / many["cells"], one["total"] / one["cells"])
    idle = 1 - many["total"] / (cores() * many["wall"])
    return f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + f" | {idle:.0%} | {ratio(pair):.3f} |"


def ratio(pair: dict[str, Any]) -> float:
    many, one = (pair[arm]["wall"] for arm in ARMS)
    return many / one


@click.command()
@click.option("--pairs", default=5, show_default=True, help="Pairs of runs to make now; 0 only prepares.")
@click.option("--updates", default=600, show_default=True, help="Generator updates of dcgan on digits.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where pairs are kept, or found [default: nowhere].")
def main(pairs: int, updates: int, folder: Path | None) -> None:
    """Measure and print a table in Markdown."""
    with tempfile.TemporaryDirectory() as temporary:
        here = folder or Path(temporary)
        here.mkdir(parents=True, exist_ok=True)
        kept = here / f"pairs-{updates}.jsonl"
        prepared = here / "prepared" / "grid"
        run(write(here / "prepare.toml", seeds=1, updates=10, times=1), here / "prepared")
        toml = write(here / "grid.toml", seeds=SEEDS, updates=updates, times=3)
        known = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
        click.echo(f"{processor()}, {cores()} cores; seconds; {SEEDS * len(CELLS)} cells\n")
        click.echo(
            "| pair | " + " | ".join(ARMS) + " | of a cell | of a cell | idle | ratio |\n|---|---|---|---|---|---|---|"
        )
        for number, pair in enumerate(known, 1):
            click.echo(row(str(number), pair))
        for number in range(len(known) + 1, len(known) + pairs + 1):
            order = list(ARMS) if number % 2 else list(reversed(ARMS))
            pair = {name: measured(toml, prepared, here / "results", *ARMS[name]) for name in order}
            known.append(pair)
            with kept.open("a") as file:
                file.write(json.dumps(pair) + "\n")
            click.echo(row(str(number), pair))
        if ratios := sorted(map(ratio, known)):
            click.echo(f"\nratio: median {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")


if __name__ == "__main__":
    main()
