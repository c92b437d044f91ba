"""Evaluation: one pass of samples through every extractor to every metric, in blocks of one size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ganbench.api import DataSpec, Features, Game
from ganbench.data import prepare
from ganbench.evaluate import Evaluator
from ganbench.plugins import installed
from ganbench.streams import BLOCK
from ganbench.train import evaluating


@pytest.fixture(scope="module")
def evaluator(data_root: Path) -> Evaluator:
    data = prepare("digits", installed().find("datasets", "digits").load()(), data_root)
    names = {"classifier": "classifier"}
    return Evaluator(
        data, ["cs", "fcd"], extractors=names, reference="train", device="cpu", root=data_root, say=lambda said: None
    )


@pytest.fixture
def game() -> Game:
    variant = installed().find("variants", "dcgan").load()()
    torch.manual_seed(0)
    made: Game = variant.game(DataSpec((1, 8, 8), 10), variant.Params.resolve({"width": 4}))
    return made


def test_an_image_is_generated_and_classified_once_for_all_metrics(evaluator: Evaluator, game: Game) -> None:
    calls: list[tuple[str, int]] = []

    def counted(name: str, function: Any) -> Any:
        def call(first: Any, *rest: Any) -> Any:
            calls.append((name, first if isinstance(first, int) else len(first)))
            return function(first, *rest)

        return call

    whole = evaluator.extractors
    game.sample = counted("sample", game.sample)
    evaluator.extractors = {name: counted(name, extractor) for name, extractor in whole.items()}
    try:
        with evaluating(game):
            values = evaluator.score_game(game, 2 * BLOCK + 10, 0)
    finally:
        evaluator.extractors = whole
    assert set(values) == {"cs", "fcd"}
    assert calls == [("sample", BLOCK), ("classifier", BLOCK)] * 2 + [("sample", BLOCK), ("classifier", 10)]


def test_values_are_those_of_all_the_features_at_once(evaluator: Evaluator, game: Game) -> None:
    with evaluating(game):
        values = evaluator.score_game(game, 2 * BLOCK + 10, 0)
        images = torch.cat([block.images for block in evaluator.generated_blocks(game, 2 * BLOCK + 10, 0)])
    seen = Features(images, None, *evaluator.extractors["classifier"](images))
    for name, metric in evaluator.metrics.items():
        stream = metric(len(images))
        stream.update(seen)
        assert stream.compute(evaluator.references.get(name, {})) == pytest.approx(values[name], rel=1e-10)


def test_the_first_samples_do_not_depend_on_how_many_follow(evaluator: Evaluator, game: Game) -> None:
    def images(count: int) -> Tensor:
        return torch.cat([block.images for block in evaluator.generated_blocks(game, count, seed=3)])

    with evaluating(game):
        many = images(3 * BLOCK)
        assert torch.equal(images(BLOCK + 7), many[: BLOCK + 7])
    assert not torch.equal(many[:BLOCK], many[BLOCK : 2 * BLOCK])
