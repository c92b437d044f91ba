"""The estimate of the spectral norm against the singular values, and what becomes of it in a game."""

from __future__ import annotations

import pytest
import torch
from ganbench.api import Batch, DataSpec
from torch import nn

from ganbench_sngan.sngan import SNGAN
from ganbench_sngan.spectral import power_iteration, spectral_norm

GREY = DataSpec((1, 8, 8))


def norms(network: nn.Module) -> list[float]:
    """The exact spectral norm of every weight in use."""
    weights = [layer.weight for layer in network.modules() if hasattr(layer, "parametrizations")]
    return [float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2)) for weight in weights]


def game(**params: object):
    torch.manual_seed(0)
    return SNGAN().game(GREY, SNGAN.Params.resolve({"width": 8, **params}))


def play(game, turns: int) -> None:
    """Turns of the discriminator alone, as the training loop takes them."""
    player = game.players[0]
    optimizer = torch.optim.Adam(player.parameters(), lr=1e-3)
    for _ in range(turns):
        optimizer.zero_grad()
        player.cost(Batch(torch.rand(16, *GREY.shape) * 2 - 1)).backward()
        optimizer.step()
        player.after_turn()


@pytest.mark.parametrize("layer", [nn.Linear(12, 7), nn.Conv2d(3, 5, 4), nn.Linear(6, 1)], ids=["dense", "conv", "row"])
def test_the_estimate_converges_to_the_largest_singular_value(layer: nn.Module) -> None:
    torch.manual_seed(1)
    spectral_norm(layer)
    power_iteration(layer, 300)
    assert norms(layer) == [pytest.approx(1, rel=1e-5)]


def test_the_gradient_is_the_one_of_equation_11() -> None:
    torch.manual_seed(2)
    layer = spectral_norm(nn.Linear(6, 4, bias=False))
    power_iteration(layer, 300)
    original, outwards = layer.parametrizations.weight.original, torch.randn(4, 6)
    (gradient,) = torch.autograd.grad((layer.weight * outwards).sum(), original)
    left, values, right = torch.linalg.svd(original.detach())
    normalised = original.detach() / values[0]
    expected = (outwards - (outwards * normalised).sum() * torch.outer(left[:, 0], right[0])) / values[0]
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)


def test_every_weight_of_the_discriminator_and_none_of_the_generator_is_normalised() -> None:
    made = game()
    discriminator = made.players[0].networks
    weighted = [layer for layer in discriminator.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(weighted) == len(norms(discriminator)) == 6
    assert norms(made.generator) == []


def test_norms_stay_near_one_while_the_discriminator_learns_and_not_without_power_iterations() -> None:
    made = game()
    play(made, 20)
    assert norms(made.players[0].networks) == [pytest.approx(1, abs=0.15)] * 6

    other = game()
    other.players[0].after_turn = lambda: None
    play(other, 20)
    assert max(norms(other.players[0].networks)) > 1.3


def test_only_turns_of_the_discriminator_change_it_and_evaluation_mode_makes_no_difference() -> None:
    made = game()
    play(made, 2)
    discriminator = made.players[0].networks
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    images = torch.rand(4, *GREY.shape)
    scores = discriminator(images)
    made.players[1].cost(Batch(images)).backward()
    torch.testing.assert_close(dict(discriminator.state_dict()), before, rtol=0, atol=0)
    torch.testing.assert_close(discriminator.eval()(images), scores, rtol=0, atol=0)


def test_a_checkpoint_holds_the_estimates() -> None:
    made, other = game(), game()
    play(made, 5)
    discriminator, fresh = made.players[0].networks, other.players[0].networks
    fresh.load_state_dict(discriminator.state_dict())
    images = torch.rand(4, *GREY.shape)
    torch.testing.assert_close(fresh(images), discriminator(images), rtol=0, atol=0)


def test_the_estimate_is_exact_under_autocast() -> None:
    layer = spectral_norm(nn.Linear(64, 64))
    exactly = layer.weight
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer.weight, exactly, rtol=0, atol=0)
