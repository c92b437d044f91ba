"""What the kit cannot know: the papers' costs and networks."""

from __future__ import annotations

import pytest
import torch
from ganbench.api import Batch, DataSpec, Game
from torch import Tensor, nn

from ganbench_sngan.lsgan import LSGAN
from ganbench_sngan.sizes import halvings
from ganbench_sngan.sngan import SNGAN

COLOUR = DataSpec((3, 32, 32))


def made(variant: type[SNGAN] | type[LSGAN], data: DataSpec = COLOUR, **params: object) -> Game:
    return variant().game(data, variant.Params.resolve(params))


def shapes(network: nn.Module, inputs: Tensor) -> list[tuple[int, ...]]:
    """Shapes of what comes out of the layers that have weights (C×H×W), normalisation left out."""
    seen = []
    for layer in network:
        inputs = layer(inputs)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            seen.append(tuple(inputs.shape[1:]))
    return seen


def test_sngans_networks_are_those_of_table_3() -> None:
    game = made(SNGAN)
    assert shapes(game.generator, torch.zeros(2, 128)) == [
        (8192,),
        (256, 8, 8),
        (128, 16, 16),
        (64, 32, 32),
        (3, 32, 32),
    ]
    assert shapes(game.players[0].networks, torch.zeros(2, 3, 32, 32)) == [
        (64, 32, 32),
        (64, 16, 16),
        (128, 16, 16),
        (128, 8, 8),
        (256, 8, 8),
        (256, 4, 4),
        (512, 4, 4),
        (1,),
    ]


def test_lsgans_discriminator_at_112_pixels_is_that_of_the_papers_figure() -> None:
    game = made(LSGAN, DataSpec((3, 112, 112)), latent_dim=1024)
    assert shapes(game.players[0].networks, torch.zeros(2, 3, 112, 112)) == [
        (64, 56, 56),
        (128, 28, 28),
        (256, 14, 14),
        (512, 7, 7),
        (1,),
    ]


@pytest.mark.parametrize(
    ("size", "most", "times"), [(8, 3, 2), (28, 3, 2), (32, 3, 3), (48, 3, 3), (32, 4, 4), (15, 3, 0)]
)
def test_images_are_halved_down_to_two_pixels_at_least(size: int, most: int, times: int) -> None:
    assert halvings(size, most) == times


@pytest.mark.parametrize("variant", [SNGAN, LSGAN])
def test_sizes_that_cannot_be_halved_twice_are_planned_skips(variant: type[SNGAN] | type[LSGAN]) -> None:
    reason = variant().unsuitable(DataSpec((1, 30, 30)), variant.Params())
    assert reason
    assert "multiple of 4" in reason
    assert variant().unsuitable(DataSpec((1, 28, 28)), variant.Params()) is None


def scored(game: Game, real: float, fake: float) -> tuple[float, float]:
    """Both costs where the discriminator says `real` of the batch and `fake` of all else."""
    discriminator = game.players[0].networks
    images = torch.full((4, *COLOUR.shape), 0.5)
    discriminator.forward = lambda x: torch.full((len(x), 1), real if torch.equal(x, images) else fake)
    return tuple(float(player.cost(Batch(images))) for player in game.players)


def test_the_hinge_cost() -> None:
    game = made(SNGAN, width=4)
    assert scored(game, real=0.25, fake=-0.5) == (0.75 + 0.5, 0.5)  # equations 16 and 17
    assert scored(game, real=2.0, fake=-3.0) == (0.0, 3.0)


@pytest.mark.parametrize(
    ("coding", "discriminator", "generator"), [("binary", 0.125 + 2.0, 0.5), ("pearson", 0.125 + 4.5, 2.0)]
)
def test_the_least_squares_costs(coding: str, discriminator: float, generator: float) -> None:
    game = made(LSGAN, width=4, coding=coding)
    assert scored(game, real=0.5, fake=2.0) == (discriminator, generator)  # equations 9 and 8
