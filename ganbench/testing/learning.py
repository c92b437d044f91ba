"""Whether a game learns: its FCD on digits, before and during a short training. Needs torch."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from ganbench.contracts import DataSpec
from ganbench.data import data_root, prepare
from ganbench.evaluate import Evaluator
from ganbench.plugins import installed
from ganbench.testing.playing import batches, build, shrunk
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
    evaluator, game = digits_evaluator(case.device), build(case, spec)
    scored, scores, updates = shrunk(game, spec), list[float](), 0

    def look(moment: Moment) -> None:
        nonlocal updates
        scores.append(evaluator.score_game(scored, _SAMPLES, seed=0)["fcd"])
        updates = moment.generator_updates
        if scores[-1] < ENOUGH * first:
            raise KeyboardInterrupt  # seen enough

    with evaluating(game):
        first = evaluator.score_game(scored, _SAMPLES, seed=0)["fcd"]
    with suppress(KeyboardInterrupt):
        play(game, batches(case, spec, game), Budget("generator_updates", UPDATES), evaluations=_LOOKS, evaluate=look)
    return first, min(scores), updates
