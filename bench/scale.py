"""What large studies cost: `ganbench plan`, `report` and `run` with nothing to do, over made-up records of true form.

    python bench/scale.py 1000 10000 100000

prints the seconds and the peak memory of each command in a fresh process. Records are kept in ``--folder`` and used
again, so that the second run is quicker; 100,000 cells take 2 GB of disk and two minutes to make.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from PIL import Image

PLUGIN = '''
"""Twenty variants and ten datasets in name, to plan many cells with."""

import numpy as np

from ganbench.api import Dataset, DataSpec, Split, hookimpl
from ganbench_gans.mlp_gan import MLPGAN


class Gan(MLPGAN):
    """A variant."""


class Images(Dataset):
    """Ten images."""

    def spec(self):
        return DataSpec((1, 8, 8), 10)

    def load(self, root):
        images, labels = np.arange(640, dtype=np.uint8).reshape(10, 1, 8, 8), np.arange(10)
        return {split: Split(images, labels) for split in ("train", "test")}


@hookimpl
def register_variants(register):
    for number in range(20):
        register(f"gan{number:02}", "ganbench_scale:Gan", summary="a variant")


@hookimpl
def register_datasets(register):
    for number in range(10):
        register(f"data{number}", "ganbench_scale:Images", summary="ten images")
'''
BENCHMARK = """
name = "scale"
seeds = {shape.seeds}
budget = {{ epochs = 10 }}
evaluate = {{ times = {times}, samples = 10_000 }}
metrics = ["cs", "fcd"]
device = "cpu"

[[grid]]
variants = {variants}
datasets = {datasets}
params.batch_size = {sizes}
params.width = {widths}
params.lr = {rates}
"""
TIMES = 10  # evaluations of a cell


class Shape(NamedTuple):
    """How many of each there are; a configuration is a choice of batch size, width and step size."""

    variants: int
    datasets: int
    sizes: int
    widths: int
    rates: int
    seeds: int = 5

    @property
    def cells(self) -> int:
        return int(np.prod(self))

    @property
    def toml(self) -> str:
        return BENCHMARK.format(
            shape=self,
            times=TIMES,
            variants=json.dumps([f"gan{number:02}" for number in range(self.variants)]),
            datasets=json.dumps([f"data{number}" for number in range(self.datasets)]),
            sizes=[16 * 2**number for number in range(self.sizes)],
            widths=[64 * 2**number for number in range(self.widths)],
            rates=[round(1e-4 * (1 + number), 6) for number in range(self.rates)],
        )


SHAPES = {
    shape.cells: shape
    for shape in (Shape(2, 2, 5, 1, 1), Shape(4, 5, 5, 2, 1), Shape(10, 10, 5, 2, 2), Shape(20, 10, 5, 2, 10))
}


def install(folder: Path) -> dict[str, str]:
    """Put the plugin into `folder`; the environment of a process in which it is installed, with its own data root."""
    site = folder / "site"
    info = site / "ganbench_scale-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ganbench-scale\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ganbench]\nscale = ganbench_scale\n")
    (site / "ganbench_scale.py").write_text(PLUGIN)
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "GANBENCH_DATA": str(folder / "data"), "OMP_NUM_THREADS": "1"}


def make(folder: Path, shape: Shape) -> None:
    """Write the benchmark file of `shape` into `folder`, and the records of its finished run below ``results``.

    Runs in the environment that `install` gives.
    """
    from ganbench import code
    from ganbench.config import read
    from ganbench.data import data_root, prepare
    from ganbench.plan import resolve
    from ganbench.plugins import installed
    from ganbench.run import fingerprints
    from ganbench.store import Store

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.toml").write_text(shape.toml)
    plan = resolve(*read(folder / "bench.toml"), installed())
    store = Store(folder / "results" / plan.benchmark.name)
    store.make()
    for name, chosen in plan.datasets.items():
        prepared = prepare(name, chosen.dataset, data_root())
        unit = store.reference(name)
        unit.directory.mkdir(exist_ok=True)
        _write(unit.directory / "task.json", plan.reference_task(chosen, "cpu"))
        _write(unit.directory / "manifest.json", reference(prepared.fingerprint))
        _sheet(unit.directory / "real.png", 90)
    cells = plan.cells(fingerprints(plan))
    outline = {
        "name": plan.benchmark.name,
        "rank": plan.rank,
        "metrics": {name: {"direction": cls.direction} for name, cls in plan.metric_classes.items()},
        "budget": {"unit": "epochs", "amount": 10.0},
        "evaluate": plan.benchmark.evaluate.model_dump(),
        "seeds": plan.benchmark.seed_list,
        "train_on": plan.benchmark.train_on,
        "reference": plan.benchmark.reference,
        "extractors": {},
    }
    store.plan({**outline, "cells": {cell.directory: cell.outline() for cell in cells}}, shape.toml)
    random = np.random.default_rng(0)
    best: dict[tuple[str, str], tuple[float, Path]] = {}
    for cell in cells:
        directory = store.cell(cell.directory).directory
        directory.mkdir(exist_ok=True)
        events = evaluations(random, cell.params["batch_size"])
        chosen = min(events, key=lambda event: event["metrics"]["fcd"])
        again = {**chosen, "metrics": {name: value * 1.01 for name, value in chosen["metrics"].items()}}
        component = installed().find("variants", cell.variant_id)
        made = manifest(events[-1], again, random.uniform(100, 400), code.fingerprint(component, installed()))
        _write(directory / "cell.json", cell.task)
        _write(directory / "manifest.json", made)
        lines = [json.dumps({"event": "evaluation", **event}) for event in events]
        (directory / "events.jsonl").write_text("\n".join(lines) + "\n")
        place, score = (cell.variant, cell.dataset), again["metrics"]["fcd"]
        best[place] = min(best.get(place, (score, directory)), (score, directory))
    for _, directory in best.values():  # no other sheets are looked at
        (directory / "samples").mkdir(exist_ok=True)
        for line in (directory / "events.jsonl").read_text().splitlines():
            updates = json.loads(line)["generator_updates"]
            _sheet(directory / "samples" / f"{updates:08d}.png", updates % 256)


def made(folder: Path, shape: Shape, environment: Mapping[str, str]) -> Path:
    """`folder`, with what `make` writes there in a process of its own, unless that was done before."""
    if not (folder / "made").exists():
        code = "import sys; sys.path.insert(0, sys.argv[1]); import scale, pathlib; "
        code += "scale.make(pathlib.Path(sys.argv[2]), scale.Shape(*map(int, sys.argv[3:])))"
        command = [sys.executable, "-c", code, str(Path(__file__).parent), str(folder), *map(str, shape)]
        subprocess.run(command, check=True, env=dict(environment))
        (folder / "made").touch()
    return folder


def evaluations(random: np.random.Generator, batch: int) -> list[dict[str, Any]]:
    """The evaluations of a cell, the scores of which get better and are noisy."""
    ends, noise = float(np.exp(random.normal(1, 0.5))), random.normal(0, 0.05, TIMES).tolist()
    found = []
    for number in range(1, TIMES + 1):
        updates = number * 60_000 // batch
        fcd = (ends + 20 / number) * float(np.exp(noise[number - 1]))
        found.append(
            {
                "rounds": updates,
                "generator_updates": updates,
                "images": updates * batch,
                "epochs": updates * batch / 60_000,
                "seconds": updates * 0.011 + random.random(),
                "costs": {"discriminator": 1.0 + noise[number - 1], "generator": 1.0 - noise[number - 1]},
                "metrics": {"cs": 10 / (1 + fcd / 10), "fcd": fcd},
                "evaluate_seconds": 3.5 + noise[number - 1],
            }
        )
    return found


def manifest(last: dict[str, Any], best: dict[str, Any], host: float, code: Mapping[str, str]) -> dict[str, Any]:
    """The manifest of a cell that is done; `host` is its peak of memory in MiB."""
    seconds = {"train": last["seconds"], "evaluate": 35.0, "checkpoint": 0.5, "data": 0.25}
    total = sum(seconds.values()) + 0.25
    flops = 2_000_000 * (last["images"] // last["rounds"])
    return {
        "format": 1,
        "status": "done",
        "attempt": 1,
        "reason": "",
        "cause": "",
        "started": "2026-11-20T20:07:09+00:00",
        "pid": 10559,
        "host": "bench",
        "code": dict(code),
        **{name: last[name] for name in ("generator_updates", "rounds", "images", "epochs")},
        "conditional": False,
        "parameters": {"discriminator": 66457, "generator": 236862},
        "best": {**best, "selected_at": best["metrics"]},
        "last": last,
        "metric_versions": {"cs": "1", "fcd": "1"},
        "unavailable": {},
        "extractors": {"classifier": "3" * 64},
        "files": {"generator-best.safetensors": "a" * 64, "generator-last.safetensors": "b" * 64},
        "environment": {
            "python": "3.11.7",
            "system": "Linux-6.18.44-x86_64-with-glibc2.36",
            "processor": "Intel(R) Xeon(R) Processor @ 2.50GHz",
            "cores": 2,
            "threads": 1,
            "device": "cpu",
            "packages": {"ganbench": "0.1.0", "torch": "2.15.0", "torchvision": "0.29.2", "numpy": "2.4.6"},
            "git": "9c0d934efd24",
        },
        "finished": "2026-11-20T20:15:42+00:00",
        "seconds": {**seconds, "total": total},
        "speed": {
            "machine": "Intel(R) Xeon(R) Processor @ 2.50GHz, threads: 1",
            "images_per_second": last["images"] / last["seconds"],
            "updates_per_second": last["generator_updates"] / last["seconds"],
            "flops_per_turn": {"discriminator": flops * 3 // 4, "generator": flops // 4},
            "flops_per_round": flops,
            "flops_per_image": 474_000.0,
            "flops_per_second": flops * last["rounds"] / last["seconds"],
            **{f"{name}_share": spent / total for name, spent in seconds.items()},
            "rest_share": 0.25 / total,
            "host_bytes": int(host * 2**20),
            "device_bytes": None,
        },
    }


def reference(fingerprint: str) -> dict[str, Any]:
    """The manifest of a dataset that is ready."""
    return {
        "format": 1,
        "status": "done",
        "attempt": 1,
        "reason": "",
        "shape": [1, 8, 8],
        "classes": 10,
        "train": 10,
        "test": 10,
        "fingerprint": fingerprint,
        "extractors": {"classifier": {"test_accuracy": 0.99, "seed": 0, "hash": "3" * 64}},
        "real": {"cs": {"value": 9.4, "samples": 10_000}, "fcd": {"value": 0.02, "samples": 10_000}},
        "unavailable": {},
        "seconds": {"total": 10.0},
    }


def _write(path: Path, record: Mapping[str, Any]) -> None:
    """As `ganbench.store.write_json` does, but for the wait for the disk."""
    path.write_text(json.dumps(record, indent=1) + "\n")


def _sheet(path: Path, grey: int) -> None:
    Image.new("L", (102, 102), grey).save(path)


class Cost(NamedTuple):
    seconds: float
    megabytes: float
    output: str


def measure(environment: Mapping[str, str], *arguments: object) -> Cost:
    """Of `ganbench` with `arguments` in a fresh process; memory is the peak of what is resident."""
    with tempfile.TemporaryFile("w+") as said:
        began = time.perf_counter()
        command = [sys.executable, "-m", "ganbench.cli", *map(str, arguments)]
        process = subprocess.Popen(command, env=dict(environment), stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        said.seek(0)
        output = said.read()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"ganbench {' '.join(map(str, arguments))} ended with {process.returncode}:\n{output}")
    return Cost(seconds, usage.ru_maxrss / 1024, output)


@click.command()
@click.argument("sizes", nargs=-1, required=True, type=click.Choice([str(size) for size in SHAPES]))
@click.option("--folder", type=click.Path(path_type=Path), help="Where records are kept, or found [default: nowhere].")
def main(sizes: tuple[str, ...], folder: Path | None) -> None:
    """Measure each of SIZES, in cells."""
    with tempfile.TemporaryDirectory() as temporary:
        here = folder or Path(temporary)
        environment = install(here)
        click.echo(f"{'cells':>7}  {'command':<34} {'seconds':>8} {'MB':>7}")
        for size in sizes:
            root = made(here / size, SHAPES[int(size)], environment)
            toml, results = root / "bench.toml", root / "results"
            for name, arguments in {
                "plan, all new": ("plan", toml, "--results", root / "none"),
                "plan, all done": ("plan", toml, "--results", results),
                "report": ("report", results / "scale"),
                "run, nothing to do": ("run", toml, "--results", results),
            }.items():
                cost = measure(environment, *arguments)
                (root / f"{arguments[0]}.log").write_text(cost.output)
                click.echo(f"{int(size):>7,}  {name:<34} {cost.seconds:>8.1f} {cost.megabytes:>7.0f}")


if __name__ == "__main__":
    main()
