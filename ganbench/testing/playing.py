"""Games built and played for the checks of variants. Needs torch."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ganbench import randomness
from ganbench.batches import Batches, scale
from ganbench.contracts import DataSpec
from ganbench.game import Game
from ganbench.table import Table
from ganbench.testing.images import digits
from ganbench.testing.outcomes import Violation
from ganbench.train import Budget, State, play

if TYPE_CHECKING:
    from ganbench.testing.variants import VariantCase


class Played(NamedTuple):
    """A game after some rounds, and each turn's cost by player."""

    game: Game
    table: Table
    costs: dict[str, list[float]]


def build(case: VariantCase, spec: DataSpec, seed: int = 0, **params: Any) -> Game:
    """The game for images of `spec`, made as a worker makes it."""
    chosen = case.cls.Params.resolve({**case.values, **params}) if params else case.params
    with torch.device(case.device):
        randomness.seed(seed)
        game = case.cls().game(spec, chosen)
    if not isinstance(game, Game):
        raise Violation(
            f"`game` returned {type(game).__name__}", wanted="a ganbench.api.Game", do="return Game(players=..., ...)"
        )
    return game


def batches(case: VariantCase, spec: DataSpec, game: Game, seed: int = 0) -> Batches:
    """Minibatches of real images for `game`."""
    return Batches(digits(spec), game.batch_size, device=case.device, seed=seed, paired=spec.paired)


def sit_down(case: VariantCase, spec: DataSpec, game: Game) -> Table:
    """The players at the table, as the training loop seats them."""
    autocast = torch.autocast(torch.device(case.device).type, enabled=False)
    return Table(game, batches(case, spec, game), autocast, channels_last=case.device == "cpu")


def played(case: VariantCase, spec: DataSpec, seed: int = 0, rounds: int = 2) -> Played:
    """A game made from `seed` and played for some rounds; the real images are the same for all seeds."""
    game = build(case, spec, seed)
    costs: dict[str, list[Tensor]] = {player.name: [] for player in game.players}
    for player in game.players:

        def cost(batch: Any, original: Any = player.cost, kept: list[Tensor] = costs[player.name]) -> Tensor:
            value: Tensor = original(batch)
            kept.append(value.detach().clone())
            return value

        player.cost = cost
    table = sit_down(case, spec, game)
    for _ in range(rounds):
        table.round()
    return Played(game, table, {name: [float(cost) for cost in kept] for name, kept in costs.items()})


def asked_for(case: VariantCase, game: Game, spec: DataSpec, n: int) -> Tensor | None:
    """What n samples are asked for by: labels in turn, sources where the game translates, or None."""
    if game.translates:
        sources = digits(spec).sources
        if sources is None:
            raise Violation(
                f"the game translates, and {spec.kind} data has no sources",
                wanted="a game that translates for paired or unpaired data only",
                do="name in `takes` the kinds of data that it is made for",
            )
        return scale(torch.tensor(sources[:n], device=case.device))
    return torch.arange(n, device=case.device) % max(1, spec.classes) if game.conditional else None


def sampled(case: VariantCase, game: Game, spec: DataSpec, n: int, seed: int = 0) -> Tensor:
    """N samples of `game` in evaluation mode, which it is left in."""
    for made_by in game.sampled_by:
        made_by.eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        return game.sample(n, asked_for(case, game, spec, n))


def checkpoints(case: VariantCase, spec: DataSpec, resume: State | None = None) -> tuple[State, State]:
    """A game's checkpoints after three and after six rounds; with `resume` a new game goes on from the first."""
    game = build(case, spec, seed=1 if resume else 0)  # what is made anew for going on must not matter
    kept: dict[int, State] = {}
    play(
        game,
        batches(case, spec, game),
        Budget("generator_updates", 6 * game.generator_updates_per_round),
        evaluations=1,
        evaluate=lambda moment: None,
        checkpoint=lambda state: kept.update({state["moment"]["rounds"]: _through_a_file(state, case.device)}),
        checkpoint_every=-1.0,  # after every round
        resume=resume,
    )
    return kept[3], kept[6]


def _through_a_file(state: State, device: str) -> State:
    """What is left of a state that was written to disk, as checkpoints are."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    loaded: State = torch.load(buffer, map_location=device, weights_only=True)
    return loaded


def difference(one: Any, other: Any, where: str = "it", *, exactly: bool = True) -> str:
    """Where two states differ, as a path of names that begins with `where`; empty if they do not."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            return where
        if exactly or not one.is_floating_point():
            return "" if bool(((one == other) | (one.isnan() & other.isnan())).all()) else where
        return "" if torch.allclose(one, other, rtol=1e-3, atol=1e-4, equal_nan=True) else where
    parts: Iterable[tuple[str, Any, Any]]
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return where
        parts = ((f"{where}.{name}", one[name], other[name]) for name in one)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return where
        parts = ((f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(one, other, strict=True)))
    elif isinstance(one, float) and not exactly:
        return "" if math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-4) else where
    else:
        return "" if one == other or (one != one and other != other) else where
    return next((found for path, a, b in parts if (found := difference(a, b, path, exactly=exactly))), "")


def shrunk(game: Game, spec: DataSpec) -> Game:
    """`game` with samples as the digits' classifier takes them, 1×8×8: areas and channels are averaged."""

    def sample(n: int, labels: Tensor | None) -> Tensor:
        images = game.sample(n, labels).float().mean(1, keepdim=True)
        return torch.nn.functional.interpolate(images, size=(8, 8), mode="area") if spec.size != 8 else images

    return replace(game, sample=sample)
