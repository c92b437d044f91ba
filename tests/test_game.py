"""The training loop: players, turns, budgets, averages, divergence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ganbench_gans import layers
from torch import nn

from ganbench.api import Batch, DataSpec, Diverged, Game, Latent, Optimizer, Player, Split
from ganbench.batches import Batches, quantise, scale
from ganbench.plugins import installed
from ganbench.train import Budget, Moment, evaluating, play

VARIANTS = ["mlp-gan", "dcgan", "cgan", "wgan", "wgan-gp"]


def batches(size: int = 8, channels: int = 1, n: int = 40, batch_size: int = 8, seed: int = 0) -> Batches:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, channels, size, size), dtype=np.uint8)
    return Batches(Split(images, np.arange(n) % 10), batch_size, device="cpu", seed=seed)


def make(name: str, size: int = 8, channels: int = 1, **params: object) -> Game:
    variant = installed().find("variants", name).load()()
    torch.manual_seed(0)
    resolved = variant.Params.resolve({"batch_size": 8, "width": 4, "latent_dim": 6, **params})
    game: Game = variant.game(DataSpec((channels, size, size), 10), resolved)
    return game


def run(game: Game, amount: float = 4, unit: str = "generator_updates", times: int = 2, **more: object) -> list[Moment]:
    seen: list[Moment] = []
    budget = Budget(unit, amount)  # type: ignore[arg-type]
    play(game, batches(), budget, evaluations=times, evaluate=lambda m: seen.append(Moment(**vars(m))), **more)  # type: ignore[arg-type]
    return seen


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 32, 48, 64])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_plays_at_every_size(name: str, size: int, channels: int) -> None:
    game = make(name, size, channels)
    data = batches(size, channels)
    moments: list[Moment] = []
    play(game, data, Budget("generator_updates", 1), evaluations=1, evaluate=lambda m: moments.append(m))
    assert all(math.isfinite(cost) for cost in moments[0].costs.values())
    with evaluating(game):
        images = game.sample(3, torch.tensor([1, 2, 3]) if game.conditional else None)
    assert images.shape == (3, channels, size, size)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1


@pytest.mark.parametrize("upsample", ["transposed", "nearest", "bilinear"])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_every_way_of_upsampling_and_normalising_plays(upsample: str, batch_norm: bool) -> None:
    for name in ("dcgan", "cgan", "wgan", "wgan-gp"):
        assert run(make(name, upsample=upsample, batch_norm=batch_norm), amount=1, times=1)


def upsampled(kernel: int, outputs: int, bias: bool) -> tuple[nn.Module, nn.Module]:
    convolution = nn.Conv2d(3, outputs, kernel, padding=kernel // 2, bias=bias)
    quick = layers.UpsampledConv2d(3, outputs, kernel, padding=kernel // 2, bias=bias)
    quick.load_state_dict(convolution.state_dict())
    return quick, nn.Sequential(nn.Upsample(scale_factor=2), convolution)


def convolution(kernel: int, outputs: int, bias: bool) -> tuple[nn.Module, nn.Module]:
    torchs = nn.Conv2d(3, outputs, kernel, padding=kernel // 2, bias=bias)
    quick = layers.Conv2d(3, outputs, kernel, padding=kernel // 2, bias=bias)
    quick.load_state_dict(torchs.state_dict())
    return quick, torchs


def transposed(kernel: int, outputs: int, bias: bool) -> tuple[nn.Module, nn.Module]:
    torchs = nn.ConvTranspose2d(3, outputs, kernel + 1, stride=2, padding=kernel // 2, bias=bias)
    quick = layers.ConvTranspose2d(3, outputs, kernel + 1, stride=2, padding=kernel // 2, bias=bias)
    quick.load_state_dict(torchs.state_dict())
    return quick, torchs


def test_a_leaky_relu_has_torchs_derivatives_and_a_second_one_of_no_tensor() -> None:
    values, gradient = torch.randn(50, requires_grad=True), torch.randn(50, requires_grad=True)
    found, expected = [], []
    for layer, into in ((layers.LeakyReLU(0.3), found), (nn.LeakyReLU(0.3), expected)):
        output = layer(values)
        (first,) = torch.autograd.grad(output, values, gradient, create_graph=True)
        into += [output, first, *torch.autograd.grad(first.square().sum(), (gradient, values), allow_unused=True)]
    assert found.pop() is None
    assert not expected.pop().any()
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("make", [upsampled, convolution, transposed])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("outputs", "bias"), [(1, True), (3, False), (5, True)])
def test_quick_layers_compute_what_torchs_do(make: Callable[..., Any], kernel: int, outputs: int, bias: bool) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 6, 7).double()
    found = []
    for layer in make(kernel, outputs, bias):
        input = images.clone().requires_grad_()
        output = layer.double()(input)
        direction = torch.linspace(-1, 1, output.numel()).double().view(output.shape)
        (output * direction).sum().backward()
        found.append((output, input.grad, *(parameter.grad for parameter in layer.parameters())))
    torch.testing.assert_close(*found)


def test_a_dense_layer_of_maps_is_that_of_the_flat_ones_in_any_memory_format() -> None:
    layer, maps = nn.Linear(5 * 4 * 3, 2), torch.randn(6, 5, 4, 3)
    for form in (torch.contiguous_format, torch.channels_last):
        input = maps.contiguous(memory_format=form).requires_grad_()
        output = layers.linear_of_maps(layer, input)
        torch.testing.assert_close(output, layer(maps.flatten(1)))
        (gradient,) = torch.autograd.grad(output.square().sum(), input)
        assert gradient.is_contiguous(memory_format=form)


@pytest.mark.parametrize("kind", ["sgd", "adam", "rmsprop"])
def test_every_optimiser_moves_the_parameters(kind: str) -> None:
    game = make("dcgan", optimizer=kind, momentum=0.5)
    before = [parameter.clone() for parameter in game.generator.parameters()]
    run(game)
    assert all(not torch.equal(a, b) for a, b in zip(before, game.generator.parameters(), strict=True))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_turn_changes_the_players_own_parameters_only(name: str) -> None:
    game = make(name)
    for chosen in game.players:
        fresh = make(name)
        # All the other players still take their turns, but with a step size of zero.
        for player in fresh.players:
            if player.name != chosen.name:
                player.optimizer, player.after_turn = Optimizer("sgd", lr=0.0), None
        before = {p.name: [w.clone() for w in p.parameters()] for p in fresh.players}
        run(fresh, amount=1, times=1)
        for player in fresh.players:
            moved = any(not torch.equal(a, b) for a, b in zip(before[player.name], player.parameters(), strict=True))
            assert moved == (player.name == chosen.name)


def test_no_parameter_gets_a_gradient_in_anothers_turn() -> None:
    game = make("wgan-gp")
    generator, critic = game.generator, game.players[0]
    original = critic.cost

    def watched(batch: Batch) -> torch.Tensor:
        assert not any(parameter.requires_grad for parameter in generator.parameters())
        assert all(parameter.requires_grad for parameter in critic.parameters())
        return original(batch)

    critic.cost = watched
    run(game, amount=1, times=1)


def test_a_round_is_every_players_turns_and_each_repeated_turn_draws_a_batch() -> None:
    game = make("wgan", n_critic=3)
    turns: list[tuple[str, int]] = []
    for player in game.players:

        def cost(batch: Batch, player: Player = player, original: object = player.cost) -> torch.Tensor:
            turns.append((player.name, int(batch.images.sum() * 1e4)))
            return original(batch)  # type: ignore[operator, no-any-return]

        player.cost = cost
    (moment,) = run(game, amount=2, times=1)
    assert [name for name, _ in turns] == ["critic", "critic", "critic", "generator"] * 2
    first_round = [batch for _, batch in turns[:4]]
    assert len(set(first_round[:3])) == 3
    assert first_round[3] == first_round[2]
    assert (moment.rounds, moment.generator_updates, moment.images) == (2, 2, 2 * 3 * 8)


@pytest.mark.parametrize(
    ("unit", "amount", "updates"),
    [("generator_updates", 10, 10), ("images", 80, 10), ("epochs", 2, 10), ("images", 81, 11)],
)
def test_a_budget_is_spent_and_evaluated_at_even_points(unit: str, amount: float, updates: int) -> None:
    moments = run(make("dcgan"), amount, unit, times=5)  # 40 images in batches of 8
    assert moments[-1].generator_updates == updates
    assert len(moments) == 5
    assert moments[-1].epochs == pytest.approx(moments[-1].images / 40)


def test_a_budget_of_minutes_ends() -> None:
    moments = run(make("dcgan"), 0.005, "minutes", times=3)
    assert 2 <= len(moments) <= 3  # one round may take longer than a third of the budget
    assert moments[-1].seconds >= 0.3


def test_more_evaluations_than_rounds_evaluates_every_round_once() -> None:
    assert [m.generator_updates for m in run(make("dcgan"), 3, times=100)] == [1, 2, 3]


def test_evaluating_changes_nothing_in_training() -> None:
    def weights(times: int) -> list[torch.Tensor]:
        game = make("dcgan")

        def disturb(moment: Moment) -> None:
            torch.manual_seed(1)
            game.sample(50, None)

        play(game, batches(), Budget("generator_updates", 6), evaluations=times, evaluate=disturb)
        return list(game.generator.parameters())

    for a, b in zip(weights(1), weights(6), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_same_seed_gives_the_same_costs(name: str) -> None:
    assert run(make(name))[-1].costs == run(make(name))[-1].costs


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_plays_in_bf16(name: str) -> None:
    game = make(name)
    assert all(math.isfinite(cost) for cost in run(game, precision="bf16")[-1].costs.values())
    assert all(parameter.dtype == torch.float32 for parameter in game.generator.parameters())


def test_tf32_is_for_training_and_samples_and_extractors_are_exact() -> None:
    from ganbench_metrics.blocks import exact_float32

    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before, seen = (matmul.fp32_precision, conv.fp32_precision), []

    def evaluate(moment: Moment) -> None:
        with exact_float32(torch.device("cpu")):
            seen.append((matmul.fp32_precision, conv.fp32_precision))
        seen.append((matmul.fp32_precision, conv.fp32_precision))

    with exact_float32(torch.device("cpu")):
        pass
    game, trained = make("dcgan"), set()
    cost = game.players[0].cost

    def watched(batch: Batch) -> torch.Tensor:
        trained.add((matmul.fp32_precision, conv.fp32_precision))
        return cost(batch)

    game.players[0].cost = watched
    play(game, batches(), Budget("generator_updates", 2), evaluations=1, evaluate=evaluate, precision="tf32")
    assert seen == [("ieee", "ieee"), ("ieee", "ieee")]
    assert trained == {("tf32", "tf32")}
    assert (matmul.fp32_precision, conv.fp32_precision) == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_plays_on_a_gpu(name: str, precision: str) -> None:
    with torch.device("cuda"):
        game = make(name)
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8), np.arange(40) % 10)
    seen: list[Moment] = []
    play(
        game,
        Batches(split, 8, device="cuda", seed=0),
        Budget("generator_updates", 4),
        evaluations=1,
        evaluate=lambda m: seen.append(m),
        precision=precision,  # type: ignore[arg-type]
    )
    assert all(math.isfinite(cost) for cost in seen[0].costs.values())
    with evaluating(game):
        assert game.sample(3, torch.arange(3, device="cuda") if game.conditional else None).is_cuda


def test_weights_are_clipped_after_every_critic_turn() -> None:
    game = make("wgan", clip=0.02)
    run(game)
    assert max(float(weight.detach().abs().max()) for weight in game.players[0].parameters()) <= 0.02


def test_the_gradient_penalty_is_on_each_samples_norm_over_all_dimensions() -> None:
    from ganbench_gans.networks import gradient_norms

    weight = torch.randn(3, 4, 4)

    class Linear(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return (images * weight).sum(dim=(1, 2, 3))

    norms = gradient_norms(Linear(), torch.randn(5, 3, 4, 4))
    assert torch.allclose(norms, weight.norm().expand(5))


def test_costs_are_the_papers() -> None:
    from ganbench_gans.networks import fake_cost, real_cost

    logits = torch.randn(1000)
    bce = nn.functional.binary_cross_entropy_with_logits
    assert torch.allclose(real_cost(logits), bce(logits, torch.ones(1000)))
    assert torch.allclose(real_cost(logits, 0.1), bce(logits, torch.full((1000,), 0.9)))
    assert torch.allclose(fake_cost(logits), bce(logits, torch.zeros(1000)))


def test_saturating_and_non_saturating_costs_differ() -> None:
    costs = {saturating: run(make("mlp-gan", saturating=saturating))[0].costs for saturating in (True, False)}
    assert costs[True]["generator"] < 0 < costs[False]["generator"]


def test_a_cost_that_is_not_finite_ends_as_diverged_at_its_turn() -> None:
    game = make("wgan", n_critic=2)
    critic = game.players[0]
    original, turns = critic.cost, [0]

    def cost(batch: Batch) -> torch.Tensor:
        turns[0] += 1
        return original(batch) * (float("nan") if turns[0] >= 5 else 1.0)

    critic.cost = cost
    with pytest.raises(Diverged, match="cost of the critic is not finite at its turn 5"):
        run(game, amount=10, times=2)


def test_a_parameter_that_is_not_finite_ends_as_diverged() -> None:
    game = make("dcgan")

    def spoil() -> None:
        next(iter(game.generator.parameters())).fill_(float("inf"))

    game.players[1].after_turn = spoil
    with pytest.raises(Diverged):
        run(game, amount=1, times=1)


def test_a_linear_schedule_decays_the_step_size_to_zero() -> None:
    game = make("dcgan", optimizer="sgd", lr=1.0, lr_schedule="linear")
    weight = next(iter(game.generator.parameters()))
    steps = []

    def remember() -> None:
        assert weight.grad is not None
        steps.append(weight.grad.clone())

    game.players[1].after_turn = remember
    start = weight.detach().clone()
    run(game, amount=4, times=1)
    expected = start - sum(rate * step for rate, step in zip((1.0, 0.75, 0.5, 0.25), steps, strict=True))
    assert torch.allclose(weight, expected, atol=1e-6)


def test_the_averaged_generator_is_sampled_and_the_live_one_trained_on() -> None:
    game = make("dcgan", ema=0.5, optimizer="sgd", lr=0.1)
    weight = next(iter(game.generator.parameters()))
    live, seen = [weight.detach().clone()], []
    game.players[1].after_turn = lambda: live.append(weight.detach().clone())
    play(
        game,
        batches(),
        Budget("generator_updates", 3),
        evaluations=3,
        evaluate=lambda m: seen.append(weight.detach().clone()),
    )
    mean = live[0]
    for value, shown in zip(live[1:], seen, strict=True):
        mean = torch.lerp(mean, value, 0.5)
        assert torch.allclose(shown, mean, atol=1e-7)
    assert torch.equal(weight, live[-1])


def test_batches_visit_every_image_once_a_pass_and_never_change_shape() -> None:
    data = batches(n=20, batch_size=8)
    drawn = torch.cat([quantise(data.next().images) for _ in range(5)])  # two passes in five batches
    assert drawn.shape == (40, 1, 8, 8)
    counts = {bytes(image.numpy().tobytes()): 0 for image in drawn}
    for image in drawn:
        counts[image.numpy().tobytes()] += 1
    assert set(counts.values()) == {2}


def test_scaling_and_quantising_are_inverse() -> None:
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert scale(values).min() == -1
    assert scale(values).max() == 1
    assert torch.equal(quantise(scale(values)), values)
    assert quantise(torch.tensor([-9.0, 9.0, 0.0])).tolist() == [0, 255, 128]


@pytest.mark.parametrize("kind", ["normal", "uniform", "sphere"])
def test_latents_have_the_distribution_they_are_named_after(kind: str) -> None:
    torch.manual_seed(0)
    draws = Latent(16, kind)(20_000)
    assert draws.shape == (20_000, 16)
    variance = {"normal": 1.0, "uniform": 1 / 3, "sphere": 1.0}[kind]
    assert torch.allclose(draws.var(dim=0), torch.full((16,), variance), atol=0.05)
    if kind == "uniform":
        assert draws.abs().max() <= 1
    if kind == "sphere":
        assert torch.allclose(draws.norm(dim=1), torch.tensor(4.0))


def test_a_game_without_a_player_of_its_generator_is_refused() -> None:
    net = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="no player controls"):
        Game([Player("a", net, lambda b: b.images.sum())], lambda n, labels: torch.zeros(n), nn.Linear(1, 1))
