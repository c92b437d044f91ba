"""Whether a game learns: FCD on digits (of points energy distance) before and during a short training. Needs torch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganbench.contracts import DataSpec
from ganbench.data import data_root, prepare
from ganbench.evaluate import Evaluator
from ganbench.game import Game
from ganbench.plugins import installed
from ganbench.testing.images import digits
from ganbench.testing.playing import batches, build, sampled, shrunk
from ganbench.train import Budget, Moment, evaluating, play

if TYPE_CHECKING:
    from ganbench.testing.variants import VariantCase

UPDATES, _LOOKS, _SAMPLES = 600, 24, 500
#: Of the FCD it began with. Two dense layers come to 0.15 in 400 updates, and with the sign of a cost reversed to 0.77.
ENOUGH = 0.7


@cache
def digits_evaluator(device: str) -> Evaluator:
    """What scores FCD on digits. Their classifier is trained once, in seconds, and kept below the data root."""
    data = prepare("digits", installed().dataset("digits"), data_root())
    return Evaluator(
        data,
        ["fcd"],
        extractors={"classifier": "classifier"},
        reference="train",
        device=device,
        root=data_root(),
        say=lambda message: None,
    )


def fell(case: VariantCase, spec: DataSpec) -> tuple[float, float, int]:
    """The FCD it began with, the best one, and the generator updates after which that was seen or all were spent."""
    evaluator = digits_evaluator(case.device)
    return _fell(case, spec, lambda game: evaluator.score_game(shrunk(game, spec), _SAMPLES, seed=0)["fcd"])


def came_nearer(case: VariantCase, spec: DataSpec) -> tuple[float, float, int]:
    """The same of points, with their energy distance (Székely & Rizzo 2013) from the real ones in the place of FCD."""
    real = torch.tensor(digits(spec).images[:_SAMPLES], device=case.device)
    return _fell(case, spec, lambda game: energy(real, sampled(case, game, spec, _SAMPLES)))


def energy(real: Tensor, generated: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of points N×d; 0 for the same ones."""
    between = 2 * torch.cdist(real, generated).mean()
    return float(between - torch.cdist(real, real).mean() - torch.cdist(generated, generated).mean())


def _fell(case: VariantCase, spec: DataSpec, score: Callable[[Game], float]) -> tuple[float, float, int]:
    game, scores, updates = build(case, spec), list[float](), 0

    def look(moment: Moment) -> None:
        nonlocal updates
        scores.append(score(game))
        updates = moment.generator_updates
        if scores[-1] < ENOUGH * first:
            raise KeyboardInterrupt  # seen enough

    with evaluating(game):
        first = score(game)
    with suppress(KeyboardInterrupt):
        play(game, batches(case, spec, game), Budget("generator_updates", UPDATES), evaluations=_LOOKS, evaluate=look)
    return first, min(scores), updates
