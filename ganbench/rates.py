"""How many rounds a second a game is played at, by one process or several at once. The main process needs no torch."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple

from ganbench.contracts import DataSpec, Split
from ganbench.errors import GanbenchError
from ganbench.executors import context, in_silence
from ganbench.plugins import Settled, installed

_IMAGES = 1000  # made up, for batches to be drawn from
_ROUNDS = 6  # at least so many are played before the clock starts: turns are recorded after three
_READY, _GO, _END = "ready", "go", "end"  # messages


class RateError(GanbenchError):
    """A game could not be played to measure it; the message says why."""


@dataclass(frozen=True)
class Play:
    """What is played: a game of a variant (its canonical id) on made-up images.

    `device` is ``cpu`` or ``cuda``, which is then the one GPU that `gpu` names as CUDA_VISIBLE_DEVICES does.
    """

    variant: str
    params: Mapping[str, Any]
    spec: DataSpec
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    device: str = "cpu"
    gpu: str = ""
    cuda_graphs: bool = True


class Rate(NamedTuple):
    """`rounds` per second of all processes together; `peak` device memory that torch held in one of them, and `free`
    memory on the device before they began, both in bytes (0 on a CPU).
    """

    rounds: float
    peak: int = 0
    free: int = 0


def made_up(spec: DataSpec) -> Split:
    """Data of the shapes that `spec` says, with nothing to see in it."""
    import numpy as np

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (_IMAGES, *spec.shape), dtype=np.uint8)
    labels = random.integers(0, spec.classes, _IMAGES) if spec.classes else None
    if spec.kind == "points":
        return Split(images.astype(np.float32) / 127.5 - 1, labels)
    sources = None if spec.source is None else random.integers(0, 256, (_IMAGES, *spec.source), dtype=np.uint8)
    return Split(images, labels, sources)


def rate(play: Play, processes: int, threads: int, *, seconds: float = 3.0, patience: float = 120.0) -> Rate:
    """Play in so many processes at once, all of which are warm and at work while each is measured for `seconds`.

    Raises `RateError` when one of them fails, dies, or takes longer than `patience` seconds.
    """
    forking = context()
    ours: list[Connection] = []
    started = []
    deadline = time.monotonic() + patience

    def answers() -> list[Any]:
        found = []
        for connection in ours:
            if not connection.poll(max(0.0, deadline - time.monotonic())):
                raise RateError(f"it took longer than {patience:g} s")
            answer = connection.recv()
            if isinstance(answer, RateError):
                raise answer
            found.append(answer)
        return found

    try:
        for _ in range(processes):
            mine, theirs = forking.Pipe()
            ours.append(mine)
            process = forking.Process(target=_play, args=(theirs, play, threads, seconds, Settled.here()), daemon=True)
            process.start()
            started.append(process)
            theirs.close()
        answers()
        for connection in ours:
            connection.send(_GO)
        rates: list[Rate] = answers()
        for connection in ours:
            connection.send(_END)
        for process in started:
            process.join(1.0)
    except (EOFError, OSError) as error:
        raise RateError("a process died of it") from error
    finally:
        for connection in ours:
            connection.close()
        for process in started:
            process.kill()
            process.join()
    return Rate(sum(one.rounds for one in rates), max(one.peak for one in rates), min(one.free for one in rates))


def _play(connection: Connection, play: Play, threads: int, seconds: float, plugins: Settled) -> None:
    """A process that plays, out of reach of the terminal: Ctrl-C is for the main process; without that it ends."""
    os.setsid()
    in_silence()
    plugins.settle()
    if play.gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = play.gpu
    try:
        _measured(connection, play, threads, seconds)
    except (EOFError, OSError, KeyboardInterrupt):
        pass
    except Exception as error:
        with suppress(OSError):
            first = str(error).strip().partition("\n")[0]
            connection.send(RateError(f"{type(error).__name__}: {first}"))


def _measured(connection: Connection, play: Play, threads: int, seconds: float) -> None:
    import torch

    from ganbench import randomness, train
    from ganbench.batches import Batches
    from ganbench.environment import set_up
    from ganbench.graphs import recorder_for

    set_up(threads)  # as workers do
    on_gpu = play.device == "cuda"
    free = torch.cuda.mem_get_info()[0] if on_gpu else 0
    variant = installed().find("variants", play.variant).load()()
    with torch.device(play.device):
        randomness.seed(0)
        game = variant.game(play.spec, variant.Params.resolve(play.params))
    batches = Batches(made_up(play.spec), game.batch_size, device=play.device, seed=0, paired=play.spec.paired)

    def wait() -> float:
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    def tell(rounds: float) -> None:
        connection.send(Rate(rounds, torch.cuda.max_memory_reserved() if on_gpu else 0, free))

    clock = _Clock(connection, seconds, wait, tell)
    endless = train.Budget("generator_updates", 10**12)
    train.play(
        game,
        batches,
        endless,
        evaluations=1,
        evaluate=lambda moment: None,
        precision=play.precision,
        stop=clock,
        recorder=recorder_for(batches.images.device) if play.cuda_graphs else None,
    )


@dataclass
class _Clock:
    """What `train.play` asks before every round whether to stop: so it sees the rounds go by."""

    connection: Connection
    seconds: float
    wait: Any
    tell: Any
    phase: Literal["warming", "ready", "measuring", "over"] = "warming"
    rounds: int = 0
    since: float = field(default_factory=time.perf_counter)

    def __call__(self) -> bool:
        now = time.perf_counter()
        if self.phase == "warming" and self.rounds >= _ROUNDS and now - self.since >= self.seconds / 3:
            self.phase = "ready"
            self.connection.send(_READY)
        elif self.phase == "ready" and self.connection.poll():
            self.connection.recv()
            self.phase, self.rounds, self.since = "measuring", 0, self.wait()
        elif self.phase == "measuring" and now - self.since >= self.seconds:
            self.tell(self.rounds / (self.wait() - self.since))
            self.phase = "over"
        elif self.phase == "over" and self.connection.poll():
            return True  # the others have been measured too
        self.rounds += 1
        return False
