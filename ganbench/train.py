"""The training loop: it plays a game's rounds until the budget is spent. It knows players, never GANs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from ganbench import randomness
from ganbench.batches import Batches
from ganbench.errors import Diverged
from ganbench.game import Game
from ganbench.seats import Average, Seat

Precision = Literal["fp32", "tf32", "bf16"]
#: Everything that the rest of a training depends on: tensors, numbers, and texts in dicts and lists.
State = dict[str, Any]
_CHECK_EVERY = 500  # rounds between looks at whether all costs were finite: each look waits for the device
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
) -> Moment:
    """Play `game` until `budget` is spent, calling `evaluate` at `evaluations` even points of it, the end included.

    `evaluate` sees the generator in evaluation mode with its averaged weights, where the game averages them. `tell` is
    called a few times a second with the moment and the share of the budget spent. `checkpoint` gets the state of the
    game after every evaluation and every `checkpoint_every` seconds; played on from it (`resume`), with the same game,
    batches and budget, training gives the same numbers as if it had never stopped. Once `stop` says so, a last
    checkpoint is made between two rounds and `KeyboardInterrupt` raised; `evaluate` may raise it at any time, and its
    evaluation is then the first thing done on the way from that checkpoint.

    Raises `Diverged`, naming the player and its turn, when a cost or parameter is infinite or not a number.
    """
    device = batches.images.device
    seats = [Seat(player, device) for player in game.players]
    everyone = {parameter for seat in seats for parameter in seat.parameters}
    average = Average(game.generator, game.ema) if game.ema else None
    averaged_after = game.generator_players
    updates_per_round = game.generator_updates_per_round
    images_per_round = game.batches_per_round * game.batch_size
    table = Table(seats, average, batches)
    moment, evaluated = table.restore(resume) if resume else (Moment(), 0)
    started = time.perf_counter() - moment.seconds
    told, kept = moment.seconds, time.monotonic()

    def planned() -> int:
        """How many evaluations there are to be by now."""
        spent = budget.spent(moment)
        return evaluations if spent >= 1 else min(int(spent * evaluations + 1e-9), evaluations - 1)

    with _arithmetic(precision, device) as autocast:
        for seat in seats:
            seat.schedule(budget.spent(moment))
        while True:
            # --- evaluation
            due = planned() > evaluated
            if due:
                try:
                    with evaluating(game, average):
                        evaluate(moment)
                except KeyboardInterrupt:
                    checkpoint(table.state(moment, evaluated))  # what goes on from here begins with this evaluation
                    raise
                evaluated = planned()

            # --- what a killed process goes on from
            stopping = stop()
            if due or stopping or time.monotonic() - kept > checkpoint_every:
                checkpoint(table.state(moment, evaluated))
                kept = time.monotonic()
                started = time.perf_counter() - moment.seconds  # neither this nor evaluation is training time
            if budget.spent(moment) >= 1:
                return moment
            if stopping:
                raise KeyboardInterrupt

            # --- one round: every player takes its turns, and only its own parameters get gradients
            batch = batches.next()
            for seat in seats:
                for parameter in everyone:
                    parameter.requires_grad_(parameter in seat.own)
                for turn in range(seat.player.turns):
                    if turn > 0:
                        batch = batches.next()
                    seat.take_turn(batch, autocast)
                    if average and seat.player in averaged_after:
                        average.update()

            # --- the clock
            moment.rounds += 1
            moment.generator_updates = moment.rounds * updates_per_round
            moment.images = moment.rounds * images_per_round
            moment.epochs = moment.images / len(batches)
            moment.seconds = time.perf_counter() - started
            spent = budget.spent(moment)
            for seat in seats:
                seat.schedule(spent)
            if moment.seconds - told > _TELL_EVERY:
                told = moment.seconds
                tell(moment, spent)

            # --- divergence, and the costs that an evaluation reports
            due = planned() > evaluated
            if due or moment.rounds % _CHECK_EVERY == 0:
                _check_finite(seats, parameters=due)
            if due:
                moment.seconds = time.perf_counter() - started  # after the check, which waited for the device
                moment.costs = {seat.player.name: seat.mean_cost() for seat in seats}


class Table:
    """All that a game in play consists of, to be written down and set up again."""

    def __init__(self, seats: list[Seat], average: Average | None, batches: Batches) -> None:
        self.seats, self.average, self.batches = seats, average, batches

    def state(self, moment: Moment, evaluated: int) -> State:
        return {
            "moment": asdict(moment),
            "evaluated": evaluated,
            "seats": [seat.state() for seat in self.seats],
            "average": self.average.mean if self.average else [],
            "batches": self.batches.state(),
            "randomness": randomness.state(self.batches.images.device),
        }

    def restore(self, state: State) -> tuple[Moment, int]:
        """Set everything as it was; where training was, and how many evaluations there had been."""
        for seat, kept in zip(self.seats, state["seats"], strict=True):
            seat.restore(kept)
        if self.average:
            for mean, kept in zip(self.average.mean, state["average"], strict=True):
                mean.copy_(kept)
        self.batches.restore(state["batches"])
        randomness.restore(state["randomness"])
        return Moment(**state["moment"]), state["evaluated"]


@contextmanager
def evaluating(game: Game, average: Average | None = None) -> Iterator[None]:
    """The generator in evaluation mode, with its averaged weights, without gradients, in full precision; then back.

    The state of every random number generator is restored too, so that evaluating changes nothing in training.
    """
    device = next(game.generator.parameters()).device
    modes = {module: module.training for module in game.generator.modules()}
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad(), torch.autocast(device.type, enabled=False):
        if average:
            average.swap()
        game.generator.eval()
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


def _check_finite(seats: list[Seat], *, parameters: bool) -> None:
    """Raise `Diverged` when a cost so far, or (if asked) a parameter, is not finite."""
    for seat in seats:
        good = int(seat.finite_turns.item())
        if good < seat.turns:
            raise Diverged(f"the cost of the {seat.player.name} is not finite at its turn {good + 1}")
    if parameters:
        for seat in seats:
            finite = torch.stack([parameter.isfinite().all() for parameter in seat.parameters])
            if not finite.all():
                raise Diverged(f"a parameter of the {seat.player.name} is not finite after its turn {seat.turns}")
