"""All players at the table: their rounds, turn by turn or replayed from recordings, and the state of the whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ganbench import randomness
from ganbench.batches import Batches
from ganbench.errors import Diverged
from ganbench.game import Batch, Game
from ganbench.graphs import Recorder
from ganbench.seats import Average, Seat

_TRIAL = 2  # rounds that are played both ways before recordings are trusted


class Table:
    """A game in play."""

    def __init__(self, game: Game, batches: Batches, autocast: torch.autocast, *, channels_last: bool) -> None:
        self.game, self.batches, self.autocast = game, batches, autocast
        self.device = batches.images.device
        self.seats = [Seat(player, self.device, channels_last=channels_last) for player in game.players]
        self.average = Average(game.generator, game.ema) if game.ema else None
        self._averaged_after = game.generator_players
        self._everyone = {parameter for seat in self.seats for parameter in seat.parameters}
        #: What recorded turns look up: the places in the data of the minibatch that they are to use.
        self._chosen = torch.zeros(batches.chosen_shape, dtype=torch.int64, device=self.device)
        self._replays: list[Callable[[], None]] = []

    def round(self) -> None:
        """Every player takes its turns. The batch drawn last is the next turn's, and each repeated turn draws one."""
        if self._replays:
            self._replayed_round()
            return
        batch = self.batches.next()
        for seat in self.seats:
            self._give_gradients_to(seat)
            for turn in range(seat.player.turns):
                if turn > 0:
                    batch = self.batches.next()
                self._take_turn(seat, batch)
                seat.turns += 1

    def _replayed_round(self) -> None:
        self._chosen.copy_(self.batches.choose())
        for seat, replay in zip(self.seats, self._replays, strict=True):
            for turn in range(seat.player.turns):
                if turn > 0:
                    self._chosen.copy_(self.batches.choose())
                replay()
                seat.turns += 1

    def _give_gradients_to(self, seat: Seat) -> None:
        """Only a player's own parameters get gradients in its turn."""
        for parameter in self._everyone:
            parameter.requires_grad_(parameter in seat.own)

    def _take_turn(self, seat: Seat, batch: Batch) -> None:
        seat.take_turn(batch, self.autocast)
        if self.average and seat.player in self._averaged_after:
            self.average.update()

    # --- recording

    def record(self, recorder: Recorder) -> str:
        """Replay turns from now on, if that gives the costs that playing them gives; else, the reason why not.

        The optimisers' state must be there: some rounds have to be played before. Nothing that later turns depend on
        is changed by it. Raises `NotRecorded`.
        """
        if not self.game.capturable:
            return "the variant asks for it (capturable=False)"
        for seat in self.seats:
            if not seat.capturable:
                return f"the optimiser of the {seat.player.name} is not capturable"
        before, drawn = _copied(self.state()), randomness.host(self.device)
        expected = self._tried()
        draws = randomness.host(self.device) != drawn
        self._put_back(before)
        if draws:
            return "its costs draw from a generator of random numbers on the host"
        replays = []
        for seat in self.seats:
            self._give_gradients_to(seat)
            replays.append(recorder.record(partial(self._take_chosen_turn, seat)))
        self._replays = replays
        found = self._tried()
        self._put_back(before)
        for seat, one, other in zip(self.seats, expected, found, strict=True):
            # Kernels that add up in any order, and bfloat16, differ by less; frozen noise or a frozen branch by more.
            if not math.isclose(one, other, rel_tol=0.02, abs_tol=1e-3):
                self._replays = []
                return f"the captured costs of the {seat.player.name} are {other:g} in the place of {one:g}"
        return ""

    def _take_chosen_turn(self, seat: Seat) -> None:
        """The turn that is recorded. Its only input is which images are chosen, in the same memory every time."""
        self._take_turn(seat, self.batches.gather(self._chosen))

    def _tried(self) -> list[float]:
        """Each player's costs of some rounds, added up."""
        before = [seat.total.item() for seat in self.seats]
        for _ in range(_TRIAL):
            self.round()
        return [seat.total.item() - cost for seat, cost in zip(self.seats, before, strict=True)]

    def _put_back(self, before: dict[str, Any]) -> None:
        """Set what a round changes as it was, in place: recordings refer to this very memory."""
        now = self.state()
        for name in ("seats", "average"):
            for live, kept in zip(_tensors(now[name]), _tensors(before[name]), strict=True):
                live.copy_(kept)
        for seat, state in zip(self.seats, before["seats"], strict=True):
            seat.turns = state["turns"]
        self.batches.restore(before["batches"])
        randomness.restore(before["randomness"])

    # --- divergence

    def check_finite(self, *, parameters: bool) -> None:
        """Raise `Diverged` when a cost so far, or (if asked) a parameter, is not finite. It waits for the device."""
        for seat in self.seats:
            good = int(seat.finite_turns.item())
            if good < seat.turns:
                raise Diverged(f"the cost of the {seat.player.name} is not finite at its turn {good + 1}")
        if parameters:
            for seat in self.seats:
                finite = torch.stack([parameter.isfinite().all() for parameter in seat.parameters])
                if not finite.all():
                    raise Diverged(f"a parameter of the {seat.player.name} is not finite after its turn {seat.turns}")

    # --- checkpoints

    def state(self) -> dict[str, Any]:
        """All that later rounds depend on: tensors (the ones in use, no copies), numbers and texts."""
        return {
            "seats": [seat.state() for seat in self.seats],
            "average": self.average.mean if self.average else [],
            "batches": self.batches.state(),
            "randomness": randomness.state(self.device),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Set everything as it was, before the first round."""
        for seat, kept in zip(self.seats, state["seats"], strict=True):
            seat.restore(kept)
        if self.average:
            for mean, kept in zip(self.average.mean, state["average"], strict=True):
                mean.copy_(kept)
        self.batches.restore(state["batches"])
        randomness.restore(state["randomness"])


def _copied(state: Any) -> Any:
    """A state with tensors of its own."""
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {name: _copied(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return [_copied(value) for value in state]
    return state


def _tensors(state: Any) -> Iterator[Tensor]:
    """The tensors of a state in their order."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict | list | tuple):
        for value in state.values() if isinstance(state, dict) else state:
            yield from _tensors(value)
