"""The training loop: it plays a game's rounds until the budget is spent. It knows players, never GANs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from ganbench.batches import Batches
from ganbench.errors import Diverged
from ganbench.game import Batch, Game, Optimizer, Player

Precision = Literal["fp32", "tf32", "bf16"]
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
) -> Moment:
    """Play `game` until `budget` is spent, calling `evaluate` at `evaluations` even points of it, the end included.

    `evaluate` sees the generator in evaluation mode with its averaged weights, where the game averages them. `tell` is
    called a few times a second with the moment and the share of the budget spent.

    Raises `Diverged`, naming the player and its turn, when a cost or parameter is infinite or not a number.
    """
    device = batches.images.device
    seats = [Seat(player, device) for player in game.players]
    everyone = {parameter for seat in seats for parameter in seat.parameters}
    average = Average(game.generator, game.ema) if game.ema else None
    averaged_after = game.generator_players
    updates_per_round = game.generator_updates_per_round
    images_per_round = game.batches_per_round * game.batch_size
    moment, evaluated, told = Moment(), 0, 0.0
    started = time.perf_counter()

    with _arithmetic(precision, device) as autocast:
        for moment.rounds in itertools.count(1):
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

            # --- divergence and evaluation
            due = spent >= 1 or int(spent * evaluations + 1e-9) > evaluated
            if due or moment.rounds % _CHECK_EVERY == 0:
                _check_finite(seats, parameters=due)
            if due:
                moment.seconds = time.perf_counter() - started  # after the check, which waited for the device
                moment.costs = {seat.player.name: seat.mean_cost() for seat in seats}
                with evaluating(game, average):
                    evaluate(moment)
                evaluated = int(spent * evaluations + 1e-9)
                started = time.perf_counter() - moment.seconds  # evaluation is not training time
            if spent >= 1:
                return moment
    raise AssertionError("unreachable")


class Seat:
    """A player at the table: its optimiser, and its costs added up on the device so that no turn waits for them."""

    def __init__(self, player: Player, device: torch.device) -> None:
        self.player = player
        self.parameters = list(player.parameters())
        self.own = set(self.parameters)
        for module in player.modules():
            module.train()
            module.to(memory_format=torch.channels_last)
        self.optimizer = _build(player.optimizer, self.parameters, device)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.decays = isinstance(player.optimizer, Optimizer) and player.optimizer.schedule == "linear"
        self.total = torch.zeros((), device=device)
        self.finite_turns = torch.zeros((), dtype=torch.int64, device=device)
        self.turns = 0
        self.turns_at_last_mean = 0

    def take_turn(self, batch: Batch, autocast: torch.autocast) -> None:
        """One update of the player's parameters."""
        self.optimizer.zero_grad()
        with autocast:
            cost = self.player.cost(batch)
        cost.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.player.after_turn:
            with torch.no_grad():
                self.player.after_turn()
        # A sum that is once not finite stays so: counting the turns before that finds the first bad one, at no wait.
        self.total += cost.detach()
        self.finite_turns += self.total.isfinite()
        self.turns += 1

    def schedule(self, spent: float) -> None:
        """Set the step size for the next round."""
        if self.decays:
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * max(0.0, 1.0 - spent)

    def mean_cost(self) -> float:
        """The mean cost since the last call."""
        mean = self.total.item() / max(1, self.turns - self.turns_at_last_mean)
        self.total.zero_()
        self.turns_at_last_mean = self.turns
        return mean


class Average:
    """Exponential moving average of a generator's parameters (buffers are taken as they are)."""

    def __init__(self, generator: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = list(generator.parameters())
        self.mean = [parameter.detach().clone() for parameter in self.live]

    @torch.no_grad()
    def update(self) -> None:
        torch._foreach_lerp_(self.mean, [parameter.detach() for parameter in self.live], 1 - self.decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the averaged and the live values."""
        for live, mean in zip(self.live, self.mean, strict=True):
            kept = live.detach().clone()
            live.copy_(mean)
            mean.copy_(kept)


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


def _build(wanted: object, parameters: list[nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    """The optimiser as the player describes it, in the implementation that is fastest on the device."""
    if not isinstance(wanted, Optimizer):
        assert callable(wanted)
        made: torch.optim.Optimizer = wanted(parameters)
        return made
    if wanted.kind == "adam":
        betas = (wanted.beta1, wanted.beta2)
        return torch.optim.Adam(parameters, lr=wanted.lr, betas=betas, eps=wanted.eps, fused=True)
    if wanted.kind == "sgd":
        return torch.optim.SGD(parameters, lr=wanted.lr, momentum=wanted.momentum, fused=True)
    return torch.optim.RMSprop(
        parameters,
        lr=wanted.lr,
        alpha=wanted.beta2,
        eps=wanted.eps,
        momentum=wanted.momentum,
        foreach=device.type == "cuda",
    )


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
