"""How many cells share one GPU (``slots_per_gpu = "auto"``): measured once, before the first cell. No torch here."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import NamedTuple

from ganbench.contracts import DataSpec
from ganbench.environment import cores, gpus
from ganbench.executors import apart, gpu_ids
from ganbench.plan import Plan, Row
from ganbench.rates import Play, Rate, RateError, rate
from ganbench.store import Store

_GAIN = 1.10  # twice the processes have to play so many times the rounds to be worth it
_MOST = 64
_CONTEXT = 600 * 2**20  # bytes that CUDA takes for a process beside what torch counts
_LEFT = 0.5  # of the free memory, for evaluations and for configurations larger than the typical one
_LOOKED_AT = 32  # configurations among which the typical one is found: to count one takes a quarter of a second


class Choice(NamedTuple):
    """How many cells share a GPU, and why."""

    slots: int
    why: str


def choose(measure: Callable[[int], Rate], most: int, data: int = 0) -> Choice:
    """Double the processes while that pays and the device's memory has room; at most `most`.

    `measure` plays in so many processes and raises `RateError` where that fails: what is left then is what went well,
    and where that is nothing, the error. `data` is the bytes that each process needs for its data set.
    """
    slots, tried = 1, []
    best = room = 0.0
    number, why = 1, f"more than {most} are not tried"
    while number <= most:
        try:
            found = measure(number)
        except RateError as error:
            if number == 1:
                raise
            why = f"with {number} it failed: {error}"
            break
        if number == 1:
            room = _LEFT * found.free / (found.peak + data + _CONTEXT) if found.free else most
        tried.append(f"{found.rounds:.3g} with {number}")
        if number > 1 and found.rounds < _GAIN * best:
            why = f"{number} gain less than {_GAIN - 1:.0%}"
            break
        slots, best = number, found.rounds
        number *= 2
        if number > room and number <= most:
            why = f"half of the GPU's memory has room for {max(1, int(room))}"
            break
    return Choice(slots, f"rounds per second: {', '.join(tried)}; {why}")


def per_gpu(plan: Plan, store: Store, device: str, note: Callable[[str], None]) -> int:
    """How many cells share a GPU: what the file says or, where that is ``auto``, what is measured or kept in `store`.

    What goes wrong with measuring is noted, and means one.
    """
    wanted = plan.benchmark.slots_per_gpu
    if wanted != "auto":
        return wanted
    if device == "cpu":
        return 1
    rows = configurations(plan)
    key = _key(plan, rows)
    if known := kept(plan, store):
        note(f"{known} cells share a GPU, as measured before (slots.json)")
        return known
    try:
        ids = gpu_ids(device)
        row = typical(rows)
        assert row.data.spec
        settings = plan.benchmark.precision, "cuda", ids[0], plan.benchmark.cuda_graphs
        play = Play(row.component.id, row.values, row.data.spec, *settings)
        images = store.reference(row.data.name).manifest.get("train", 0)
        data = images * math.prod(row.data.spec.shape)
        note(f"measuring how many cells can share a GPU, with {row.name} on {row.data.name}")
        choice = choose(lambda number: rate(play, number, 1), max(1, min(_MOST, cores() // len(ids))), data)
        played = f"{row.name} on {row.data.name}"
    except Exception as error:
        note(f"slots_per_gpu: 1, since it cannot be measured ({type(error).__name__}: {error})")
        return 1
    store.keep_slots({"key": key, "slots_per_gpu": choice.slots, "why": choice.why, "played": played})
    note(f"slots_per_gpu: {choice.slots} ({choice.why})")
    return choice.slots


def expected(plan: Plan, store: Store) -> tuple[str, int]:
    """The device that cells would be trained on, as ``cpu`` or ``cuda``, and how many at a time."""
    wanted, names, share = plan.benchmark.device, gpus(), plan.benchmark.slots_per_gpu
    if wanted == "cpu" or (wanted == "auto" and not names):
        return "cpu", cores()
    if share == "auto":
        share = kept(plan, store) or 1
    return "cuda", (1 if ":" in wanted else max(1, len(names))) * share


def kept(plan: Plan, store: Store) -> int:
    """What was measured before for this plan on this machine; 0 where nothing was."""
    record = store.slots()
    slots = record.get("slots_per_gpu")
    if record.get("key") != _key(plan, configurations(plan)) or not isinstance(slots, int):
        return 0
    return max(0, slots)


def configurations(plan: Plan) -> list[Row]:
    """The rows that can be trained, one for each game that differs."""
    found: dict[tuple[str, object, DataSpec], Row] = {}
    for row in plan.rows:
        if row.data.spec and not row.skip:
            found.setdefault((row.component.id, row.params, row.data.spec), row)
    return list(found.values())


def typical(rows: Sequence[Row]) -> Row:
    """The one whose round takes the median arithmetic, among those looked at."""
    some = rows[:: -(-len(rows) // _LOOKED_AT)]
    asked = [(row.component.id, json.dumps(row.values), row.data.spec) for row in some]
    counts = apart(_counted, asked, patience=60.0) or []
    known = sorted((count, number) for number, count in enumerate(counts) if count)
    return some[known[(len(known) - 1) // 2][1]] if known else some[len(some) // 2]


def _counted(asked: Sequence[tuple[str, str, DataSpec]]) -> list[int]:
    """The floating-point operations of a round of each, 0 where they cannot be counted."""
    from ganbench.counters import flops_of

    found = (flops_of(*one) for one in asked)
    return [one.round if one else 0 for one in found]


def _key(plan: Plan, rows: Sequence[Row]) -> str:
    """Of all that is measured: the configurations, the precision and the GPUs."""
    played = sorted(
        json.dumps([row.component.id, row.variant.version, row.values, asdict(row.data.spec)])
        for row in rows
        if row.data.spec
    )
    found = [played, plan.benchmark.precision, plan.benchmark.cuda_graphs, gpus(), cores()]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()
