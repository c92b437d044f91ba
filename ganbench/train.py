"""The training loop: it plays a game's rounds until the budget is spent. It knows players, never GANs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from ganbench.batches import Batches
from ganbench.game import Game
from ganbench.graphs import Recorder
from ganbench.seats import Average
from ganbench.table import Table

Precision = Literal["fp32", "tf32", "bf16"]
#: Everything that the rest of a training depends on: tensors, numbers, and texts in dicts and lists.
State = dict[str, Any]
_CHECK_EVERY = 500  # rounds between looks at whether all costs were finite: each look waits for the device
_WARM_UP = 3  # rounds before turns are recorded: libraries choose their kernels, optimisers make their state
_TELL_EVERY = 0.5  # seconds between calls of `tell`


@dataclass(frozen=True)
class Budget:
    """How long to play: `amount` of ``generator_updates``, ``epochs`` (passes over the train split), ``images`` (real
    images drawn) or ``minutes`` (of training, evaluation not counted).
    """

    unit: Literal["generator_updates", "epochs", "images", "minutes"]
    amount: float

    def spent(self, at: Moment) -> float:
        """The share of the budget that is spent, 1.0 at its end."""
        return {
            "generator_updates": at.generator_updates,
            "epochs": at.epochs,
            "images": at.images,
            "minutes": at.seconds / 60,
        }[self.unit] / self.amount


@dataclass
class Moment:
    """Where training is. `costs` are each player's mean since the last evaluation; `seconds` are of training only."""

    rounds: int = 0
    generator_updates: int = 0
    images: int = 0
    epochs: float = 0.0
    seconds: float = 0.0
    costs: dict[str, float] = field(default_factory=dict)


def play(
    game: Game,
    batches: Batches,
    budget: Budget,
    *,
    evaluations: int,
    evaluate: Callable[[Moment], None],
    precision: Precision = "fp32",
    tell: Callable[[Moment, float], None] = lambda moment, spent: None,
    checkpoint: Callable[[State], None] = lambda state: None,
    checkpoint_every: float = 60.0,
    resume: State | None = None,
    stop: Callable[[], bool] = lambda: False,
    recorder: Recorder | None = None,
) -> Moment:
    """Play `game` until `budget` is spent, calling `evaluate` at `evaluations` even points of it, the end included.

    `evaluate` sees the generator in evaluation mode with its averaged weights, where the game averages them. `tell` is
    called a few times a second with the moment and the share of the budget spent. `checkpoint` gets the state of the
    game after every evaluation and every `checkpoint_every` seconds; played on from it (`resume`), with the same game,
    batches and budget, training gives the same numbers as if it had never stopped. Once `stop` says so, a last
    checkpoint is made between two rounds and `KeyboardInterrupt` raised; `evaluate` may raise it at any time, and its
    evaluation is then the first thing done on the way from that checkpoint. With a `recorder`, turns are replayed from
    recordings after some rounds, where that gives the same costs.

    Raises `Diverged`, naming the player and its turn, when a cost or parameter is infinite or not a number, and
    `NotRecorded` when the device broke off a recording; the process is then of no more use for training.
    """
    device = batches.images.device
    # Tensor cores want channels last; plain float32 convolutions of cuDNN do not.
    channels_last = batches.channels_last = device.type == "cpu" or precision != "fp32"
    updates_per_round = game.generator_updates_per_round
    images_per_round = game.batches_per_round * game.batch_size
    moment, evaluated = Moment(), 0

    with recorder.playing() if recorder else nullcontext(), _arithmetic(precision, device) as autocast:
        table = Table(game, batches, autocast, channels_last=channels_last)
        if resume:
            table.restore(resume)
            moment, evaluated = Moment(**resume["moment"]), resume["evaluated"]
        for seat in table.seats:
            seat.schedule(budget.spent(moment))
        record_at = moment.rounds + _WARM_UP
        started = time.perf_counter() - moment.seconds
        told, kept = moment.seconds, time.monotonic()

        def planned() -> int:
            """How many evaluations there are to be by now."""
            spent = budget.spent(moment)
            return evaluations if spent >= 1 else min(int(spent * evaluations + 1e-9), evaluations - 1)

        def state() -> State:
            return {"moment": asdict(moment), "evaluated": evaluated, **table.state()}

        while True:
            # --- evaluation
            due = planned() > evaluated
            if due:
                try:
                    with evaluating(game, table.average):
                        evaluate(moment)
                except KeyboardInterrupt:
                    checkpoint(state())  # what goes on from here begins with this evaluation
                    raise
                evaluated = planned()

            # --- what a killed process goes on from
            stopping = stop()
            if due or stopping or time.monotonic() - kept > checkpoint_every:
                checkpoint(state())
                kept = time.monotonic()
                started = time.perf_counter() - moment.seconds  # neither this nor evaluation is training time
            if budget.spent(moment) >= 1:
                return moment
            if stopping:
                raise KeyboardInterrupt

            # --- one round
            if recorder and moment.rounds == record_at:
                recorder.reason = table.record(recorder)
            table.round()

            # --- the clock
            moment.rounds += 1
            moment.generator_updates = moment.rounds * updates_per_round
            moment.images = moment.rounds * images_per_round
            moment.epochs = moment.images / len(batches)
            moment.seconds = time.perf_counter() - started
            spent = budget.spent(moment)
            for seat in table.seats:
                seat.schedule(spent)
            if moment.seconds - told > _TELL_EVERY:
                told = moment.seconds
                tell(moment, spent)

            # --- divergence, and the costs that an evaluation reports
            due = planned() > evaluated
            if due or moment.rounds % _CHECK_EVERY == 0:
                table.check_finite(parameters=due)
            if due:
                moment.seconds = time.perf_counter() - started  # after the check, which waited for the device
                moment.costs = {seat.player.name: seat.mean_cost() for seat in table.seats}


@contextmanager
def evaluating(game: Game, average: Average | None = None) -> Iterator[None]:
    """The generator (and encoder) in evaluation mode, averaged, without gradients, in full precision; then back.

    The state of every random number generator is restored too, so that evaluating changes nothing in training.
    """
    device = next(game.generator.parameters()).device
    modes = {module: module.training for made_by in game.sampled_by for module in made_by.modules()}
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad(), _arithmetic("fp32", device) as exactly, exactly:
        if average:
            average.swap()
        for made_by in game.sampled_by:
            made_by.eval()
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training
            if average:
                average.swap()


@contextmanager
def _arithmetic(precision: Precision, device: torch.device) -> Iterator[torch.autocast]:
    """Set TF32 for the duration and yield the autocast context that turns run under."""
    # `fp32_precision`, as extractors set it too: torch refuses to read `allow_tf32` once both have been used.
    settings = [torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn]  # type: ignore[attr-defined]
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        yield torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)
    finally:
        for setting, kept in zip(settings, before, strict=True):
            setting.fp32_precision = kept
