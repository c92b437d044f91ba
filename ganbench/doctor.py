"""``ganbench doctor``: what works in this installation, what is missing, and what to do about it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from ganbench.contracts import DataSpec
from ganbench.data import data_root, lookup
from ganbench.environment import EMULATED, bf16, cores, processor
from ganbench.errors import GanbenchError, UserError
from ganbench.plugins import installed
from ganbench.rates import Play, RateError, rate


class Check(NamedTuple):
    """One finding: what was looked at, whether it is as it should be, and a sentence."""

    name: str
    good: bool
    message: str


def checks() -> Iterator[Check]:
    """Every finding, cheap ones first. Downloads nothing, and trains nothing but for some seconds to measure it."""
    yield Check("processor", True, f"{processor()}, {cores()} cores: that many cells train at once on the CPU")
    yield from _torch()
    yield from _plugins()
    yield from _data()
    yield from _extractors()
    yield from _processes()


def _torch() -> Iterator[Check]:
    try:
        import torch
        import torchvision
    except ImportError as error:
        yield Check("torch", False, f"cannot be imported ({error}); install torch and torchvision together")
        return
    yield Check("torch", True, f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(index).total_memory / 2**30
            yield Check(f"cuda:{index}", True, f"{torch.cuda.get_device_name(index)}, {memory:.0f} GiB")
    else:
        yield Check("cuda", False, 'no usable GPU; device = "auto" trains on the CPU')
    if (found := bf16()) is not None:
        has = f"the processor has {found}" if found else f"{EMULATED}: slower than fp32 there"
        yield Check("bf16", True, has)
    a = torch.randn(1024, 1024)
    torch.mm(a, a)
    started = time.perf_counter()
    for _ in range(5):
        torch.mm(a, a)
    rate = 5 * 2 * 1024**3 / (time.perf_counter() - started) / 1e9
    yield Check("speed", True, f"{rate:,.0f} GFLOP/s in float32 matrix products on {torch.get_num_threads()} threads")


def _processes() -> Iterator[Check]:
    """Whether small cells train faster one per core, or one after the other with all cores; takes some seconds."""
    count = cores()
    if count == 1:
        return
    try:
        variant = installed().find("variants", "dcgan").id
    except UserError:  # whoever has no variant of that name is told nothing
        return
    play = Play(variant, {"width": 32, "batch_size": 64}, DataSpec((1, 28, 28)))
    try:
        one = rate(play, 1, count, seconds=1.2, patience=20).rounds
        many = rate(play, count, 1, seconds=1.2, patience=20).rounds
    except RateError as error:
        yield Check("processes", False, f"a small DCGAN could not be played to measure them: {error}")
        return
    figures = f"{many:.3g} and {one:.3g} rounds a second of a DCGAN on 28×28, batch 64, width 32"
    compared = f"{count} processes of one thread train {many / one:.2f} times as fast as one of {count} threads"
    advice = "the default" if many >= one else "for cells like these --jobs 1 is faster"
    yield Check("processes", True, f"{compared} ({figures}): {advice}")


def _plugins() -> Iterator[Check]:
    for plugin in installed().plugins:
        if plugin.state in ("broken", "incompatible"):
            yield Check(f"plugin {plugin.name}", False, f"{plugin.source} is {plugin.state}: {plugin.reason}")
    working = [plugin.name for plugin in installed().plugins if plugin.state == "ok"]
    yield Check("plugins", True, ", ".join(working))


def _data() -> Iterator[Check]:
    root = data_root()
    origin = "from GANBENCH_DATA" if os.environ.get("GANBENCH_DATA") else "the default; GANBENCH_DATA changes it"
    nearest = next(folder for folder in (root, *root.parents) if folder.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        yield Check("data root", False, f"{root} ({origin}) cannot be written; set GANBENCH_DATA to a folder that can")
        return
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file()) if root.exists() else 0
    yield Check("data root", True, f"{root} ({origin}), {size / 2**20:,.0f} MiB used")
    for component in installed().components:
        if component.kind != "datasets":
            continue
        try:
            cls = component.load()
            if cls.takes_argument:
                continue
            prepared = lookup(component.name, cls(), root)
        except GanbenchError as error:
            yield Check(f"dataset {component.name}", False, str(error))
            continue
        todo = f"not prepared: the first run does it, or `ganbench data prepare {component.name}`"
        yield Check(f"dataset {component.name}", prepared is not None, str(prepared.folder) if prepared else todo)


def _extractors() -> Iterator[Check]:
    kept = sorted((data_root() / "extractors").glob("*.safetensors"))
    yield Check("classifiers", True, f"{len(kept)} trained and kept in {data_root() / 'extractors'}")
    for component in installed().components:
        if component.kind == "extractors":
            try:
                good, message = component.load().ready()
            except GanbenchError as error:
                good, message = False, str(error)
            if message:
                yield Check(f"extractor {component.name}", good, message)
