"""What a cell costs: how fast it trains, how much arithmetic that is, where its time goes, how much memory it takes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from ganbench import randomness
from ganbench.contracts import DataSpec
from ganbench.environment import machine
from ganbench.game import Batch, Game
from ganbench.plugins import installed
from ganbench.train import Moment

#: What a cell has taken before its first attempt.
NOTHING: dict[str, float] = {"total": 0.0, "data": 0.0, "host": 0, "device": 0}


class Flops(NamedTuple):
    """What torch's counter sees of a game as it is played, forward and backward: matrix products and convolutions.

    `turn`: of one turn of each player, by name; `round`: of all turns of a round; `image`: of sampling one image.
    """

    turn: dict[str, int]
    round: int
    image: float


def flops(game: Game, data: DataSpec) -> Flops:
    """Count a `game` that was made on the device ``meta``: it has shapes and no numbers, so that nothing is computed.

    Raises whatever a cost or `Game.sample` raises that needs numbers.
    """
    n = game.batch_size
    labels = torch.zeros(n, dtype=torch.int64, device="meta")
    sources = None if data.source is None else torch.empty(n, *data.source, device="meta")
    batch = Batch(torch.empty(n, *data.shape, device="meta"), labels if data.classes else None, sources)
    everyone = {parameter for player in game.players for parameter in player.parameters()}
    turn = {}
    for player in game.players:
        own = set(player.parameters())
        for parameter in everyone:
            parameter.requires_grad_(parameter in own)
        with _counter() as counter:
            player.cost(batch).backward()  # type: ignore[no-untyped-call]
        turn[player.name] = counter.get_total_flops()
    game.generator.eval()
    with torch.no_grad(), _counter() as counter:
        game.sample(n, sources if game.translates else labels if game.conditional else None)
    whole = sum(turn[player.name] * player.turns for player in game.players)
    return Flops(turn, whole, counter.get_total_flops() / n)


class _NoModules(nullcontext[None]):
    """In the place of a counter's tracker of modules, which fails at the `autograd.grad` of a gradient penalty."""

    parents = ("Global",)


def _counter() -> FlopCounterMode:
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    return counter


@cache
def flops_of(variant: str, params: str, data: DataSpec) -> Flops | None:
    """`flops` of the game of a variant with these parameters (JSON), made anew; None where it cannot be counted.

    The game that a cell plays is not touched, and what the making of this one draws at random is undone.
    """
    kept = randomness.state(torch.device("cpu"))
    try:
        made = installed().find("variants", variant).load()()
        with torch.device("meta"):
            return flops(made.game(data, made.Params.resolve(json.loads(params))), data)
    except Exception:
        return None
    finally:
        randomness.restore(kept)


class Counters:
    """The time and memory that one cell takes, over all its attempts but for what a killed one had not yet kept."""

    def __init__(self, device: str, started: float) -> None:
        """Begin an attempt that started at `started` (of `time.perf_counter`); peaks of memory count from here."""
        self.device, self.started = device, started
        self.data = 0.0
        #: What attempts before this one took; None where a checkpoint of an older version does not say so.
        self.earlier: Mapping[str, Any] | None = NOTHING
        if device.startswith("cuda") and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.reset_peak_memory_stats(device)
        try:
            Path("/proc/self/clear_refs").write_text("5")  # a worker has taken other cells: VmHWM begins anew
            self.host_is_known = True
        except OSError:
            self.host_is_known = False

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Count the time inside as that of opening the data."""
        began = time.perf_counter()
        yield
        self.data += time.perf_counter() - began

    def so_far(self) -> dict[str, Any] | None:
        """The seconds and bytes of this attempt and those before it, for a checkpoint."""
        if self.earlier is None:
            return None
        host = _host_peak() if self.host_is_known else None
        device = torch.cuda.max_memory_allocated(self.device) if self.device.startswith("cuda") else None
        return {
            "total": self.earlier["total"] + time.perf_counter() - self.started,
            "data": self.earlier["data"] + self.data,
            "host": _larger(host, self.earlier["host"]),
            "device": _larger(device, self.earlier["device"]),
        }

    def facts(self, counted: Flops | None, last: Moment, seconds: Mapping[str, float]) -> dict[str, Any]:
        """The manifest's ``seconds`` and ``speed`` at the end of training; `seconds` are those known besides."""
        speed: dict[str, Any] = {
            "machine": _machine(self.device),
            "images_per_second": last.images / last.seconds,
            "updates_per_second": last.generator_updates / last.seconds,
        }
        if counted:
            speed |= {
                "flops_per_turn": counted.turn,
                "flops_per_round": counted.round,
                "flops_per_image": counted.image,
                "flops_per_second": counted.round * last.rounds / last.seconds,
            }
        if taken := self.so_far():
            seconds = {**seconds, "data": taken["data"]}
            shares = {name: spent / taken["total"] for name, spent in seconds.items()}
            speed |= {f"{name}_share": share for name, share in shares.items()}
            speed |= {"rest_share": max(0.0, 1 - sum(shares.values()))}
            speed |= {"host_bytes": taken["host"], "device_bytes": taken["device"]}
            seconds["total"] = taken["total"]
        return {"seconds": seconds, "speed": speed}


def _larger(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


def _machine(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return machine(torch.get_num_threads())


def _host_peak() -> int | None:
    """The most physical memory that this process had since that was last asked to begin anew, in bytes."""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None
