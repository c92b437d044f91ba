"""How long cells will take, told from what those that are done took. No torch."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from statistics import median
from typing import Any, Literal, NamedTuple

from ganbench.contracts import DataSpec
from ganbench.errors import UserError
from ganbench.plan import Cell
from ganbench.store import Record, Store
from ganbench.view import duration

#: What an estimate is based on: cells of the same configuration; of the variant on the dataset with other parameters,
#: whose images per second it is given; cells of whatever kind, whose arithmetic per second it is given.
Basis = Literal["configuration", "variant", "flops"]
_BASES: dict[Basis, str] = {
    "configuration": "done cells of the same configuration",
    "variant": "the variant's images per second on the dataset",
    "flops": "FLOPs",
}
_FORMER = 8  # records that are read of a variant on a dataset besides those of the plan


class Estimate(NamedTuple):
    """Seconds of one cell, evaluation included."""

    seconds: float
    basis: Basis


class Round(NamedTuple):
    """What a round of a game is: floating-point operations, generator updates, real images drawn."""

    flops: float
    updates: float
    images: float


class Wanted(NamedTuple):
    """A cell to be estimated: what is trained, on what, for how long (`unit`, `amount`), evaluated how."""

    variant: str
    dataset: str
    params: Mapping[str, Any]
    spec: DataSpec | None
    unit: str
    amount: float
    times: int
    samples: int

    @classmethod
    def of(cls, cell: Cell) -> Wanted:
        row = cell.row
        until, evaluate = (row.budget.unit, row.budget.amount), (row.evaluate.times, row.evaluate.samples)
        return cls(cell.variant_id, cell.dataset, row.values, row.data.spec, *until, *evaluate)


class Past(NamedTuple):
    """Of a cell that is done; `play`, `score`, `rest`: seconds of a round, of scoring a sample, and of all the rest."""

    machine: str
    round: Round
    batch: float
    epoch: float  # images in a pass over the data
    play: float
    score: float
    rest: float


class _Pool(NamedTuple):
    """Medians over cells that are done, as of `Past`; `image`: seconds of a round per real image that it draws;
    `batches`: real batches drawn in a round; `rate`: floating-point operations per second, None where none are counted.
    """

    play: float
    image: float
    batches: float
    updates: float
    epoch: float
    score: float
    rest: float
    rate: float | None

    @classmethod
    def of(cls, cells: Sequence[Past]) -> _Pool:
        rates = [cell.round.flops / cell.play for cell in cells if cell.round.flops]
        return cls(
            median(cell.play for cell in cells),
            median(cell.play / cell.round.images for cell in cells),
            median(cell.round.images / cell.batch for cell in cells),
            median(cell.round.updates for cell in cells),
            median(cell.epoch for cell in cells),
            median(cell.score for cell in cells),
            median(cell.rest for cell in cells),
            median(rates) if rates else None,
        )


_Key = tuple[Any, ...]


class Estimates:
    """What is known of the time that cells take on a `device` (``cpu`` or ``cuda``).

    Where there are records of this `machine` (as manifests name it) those of others are left aside.
    """

    def __init__(self, device: str, machine: str = "") -> None:
        self.device, self.machine = device, machine
        self.count = 0
        self._cells: dict[_Key, list[Past]] = {}
        self._pools: dict[_Key, _Pool] = {}
        self._rounds: dict[_Key, Round] = {}
        self._found: dict[int, Estimate | None] = {}

    def add(
        self, variant: str, dataset: str, params: Mapping[str, Any], evaluate: Mapping[str, int], manifest: Record
    ) -> None:
        """Learn from the manifest of a cell that is done; a damaged one, or one of another device, says nothing."""
        try:
            if str(manifest["environment"]["device"]).partition(":")[0] != self.device:
                return
            past = _past(params, evaluate, manifest)
            keys: tuple[_Key, ...] = (_configuration(variant, dataset, params), (variant, dataset), ())
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
            return
        self.count += 1
        for key in keys:
            self._cells.setdefault(key, []).append(past)
            self._pools.pop(key, None)
        self._found.clear()

    def add_cell(self, cell: Cell, manifest: Record) -> None:
        """Learn from a cell of the plan that is done."""
        row, before = cell.row, self.count
        evaluate = {"times": row.evaluate.times, "samples": row.evaluate.samples}
        self.add(cell.variant_id, cell.dataset, row.values, evaluate, manifest)
        if self.count > before and row.data.spec and (latest := self._cells[()][-1].round).flops:
            self.know(cell.variant_id, row.values, row.data.spec, latest)

    def add_former(self, store: Store, cells: Iterable[Cell]) -> None:
        """Learn from a few cells in the results folder that are not among `cells`: an earlier plan's."""
        read: Counter[str] = Counter()
        for name in sorted(store.made() - {cell.directory for cell in cells}):
            start = re.sub(r"-s\d+-[0-9a-f]+$", "", name)
            if read[start] == _FORMER:
                continue
            read[start] += 1
            with suppress(UserError, KeyError):  # what is no cell, or not all that one should be
                unit = store.cell(name)
                manifest = unit.manifest
                if manifest["status"] == "done":
                    task = unit.task
                    self.add(task["variant_id"], task["dataset"], task["params"], task["evaluate"], manifest)

    def know(self, variant: str, params: Mapping[str, Any], spec: DataSpec, found: Round) -> None:
        """Note what a round of a variant with these parameters is on images of a shape."""
        self._rounds[_game(variant, params, spec)] = found
        self._found.clear()

    def of(self, cell: Cell) -> Estimate | None:
        """How long a cell will take; None where nothing is known that tells."""
        row = cell.row
        if id(row) not in self._found:
            self._found[id(row)] = self.of_wanted(Wanted.of(cell))
        return self._found[id(row)]

    def order(self, cell: Cell) -> float:
        """The seconds of a cell for longest first; what is not known comes before all, so that something is known."""
        found = self.of(cell)
        return found.seconds if found else float("inf")

    def of_wanted(self, cell: Wanted) -> Estimate | None:
        """The same of a cell that there is no plan of."""
        params, batch = cell.params, _batch(cell.params)
        if pool := self._pool(_configuration(cell.variant, cell.dataset, params)):
            return Estimate(_seconds(cell, pool, pool.play, pool.updates, pool.batches * batch), "configuration")
        if pool := self._pool((cell.variant, cell.dataset)):
            images = pool.batches * batch
            return Estimate(_seconds(cell, pool, pool.image * images, pool.updates, images), "variant")
        known = self._rounds.get(_game(cell.variant, params, cell.spec)) if cell.spec else None
        if known and (pool := self._pool(())) and pool.rate and cell.unit != "epochs":
            return Estimate(_seconds(cell, pool, known.flops / pool.rate, known.updates, known.images), "flops")
        return None

    def _pool(self, key: _Key) -> _Pool | None:
        if key not in self._cells:
            return None
        if key not in self._pools:
            cells = self._cells[key]
            self._pools[key] = _Pool.of([cell for cell in cells if cell.machine == self.machine] or cells)
        return self._pools[key]


def _past(params: Mapping[str, Any], evaluate: Mapping[str, int], manifest: Record) -> Past:
    seconds, speed = manifest["seconds"], manifest.get("speed", {})
    rounds, images = manifest["rounds"], manifest["images"]
    found = Past(
        str(speed.get("machine", "")),
        Round(float(speed.get("flops_per_round", 0)), manifest["generator_updates"] / rounds, images / rounds),
        _batch(params),
        images / manifest["epochs"],
        seconds["train"] / rounds,
        # The chosen snapshot is scored once more.
        seconds["evaluate"] / ((evaluate["times"] + 1) * evaluate["samples"]),
        max(0.0, seconds["total"] - seconds["train"] - seconds["evaluate"]),
    )
    positive = (found.play, found.round.updates, found.round.images, found.epoch, found.batch)
    if not all(map(isfinite, (*found[2:], *found.round))) or min(positive) <= 0 or found.score < 0:
        raise ValueError
    return found


def _seconds(cell: Wanted, pool: _Pool, play: float, updates: float, images: float) -> float:
    """Of a cell whose rounds take `play` seconds, of so many generator updates and images each."""
    scoring = (cell.times + 1) * cell.samples * pool.score + pool.rest
    if cell.unit == "minutes":
        return cell.amount * 60 + scoring
    of_round = {"generator_updates": updates, "images": images, "epochs": images / pool.epoch}[cell.unit]
    return max(1.0, cell.amount / of_round) * play + scoring


def _configuration(variant: str, dataset: str, params: Mapping[str, Any]) -> _Key:
    return variant, dataset, frozenset(params.items())


def _game(variant: str, params: Mapping[str, Any], spec: DataSpec) -> _Key:
    return variant, frozenset(params.items()), spec.shape, spec.classes


def _batch(params: Mapping[str, Any]) -> float:
    """The usual name of the number of images in a batch; where a variant calls it otherwise, it counts as unchanged."""
    return float(params.get("batch_size", 1))


def ends_after(seconds: Iterable[float], slots: int, busy: Sequence[float] = ()) -> float:
    """Seconds until the last of these cells has ended, each begun, in this order, in the slot that is free first.

    `busy` says how long slots have still to do with what they are at.
    """
    free = sorted([*busy, *[0.0] * (slots - len(busy))])
    heapq.heapify(free)
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)


def sentence(cells: Sequence[Cell], estimates: Estimates, slots: int) -> str:
    """How long these cells will take in so many slots, longest first, and what that is based on."""
    found = [estimates.of(cell) for cell in cells]
    known = sorted((one.seconds for one in found if one), reverse=True)
    if not known:
        return "no estimate of how long that takes: no cell like these is done yet"
    bases = Counter(one.basis for one in found if one)
    said = ", ".join(f"{words} ({bases[basis]})" for basis, words in _BASES.items() if bases[basis])
    unknown = len(found) - len(known)
    at_a_time = f"{slots} at a time" if slots > 1 else "one at a time"
    time = f"{'at least' if unknown else 'about'} {duration(ends_after(known, slots))} left, {at_a_time}"
    return f"{time}; based on {said}" + (f"; no estimate for {unknown}" if unknown else "")
