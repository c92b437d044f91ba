"""SelfExGAN, BiGAN and InfoGAN: the thesis's networks, who judges what, and metrics of the way there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.spatial.distance
import torch
from ganbench_data.published import MNIST
from ganbench_selfex.codes import CodeHead, Codes
from ganbench_selfex.metrics import LatentAgreement, ReconstructionAgreement, ReconstructionError
from ganbench_selfex.networks import Encoder, Generator, ImageDiscriminator, PairDiscriminator, judged
from ganbench_selfex.sphere import OnSphere, kl_to_standard_normal
from ganbench_selfex.tables import TABLES
from scipy import stats
from sklearn.metrics import accuracy_score, mean_squared_error
from torch import Tensor, nn

from ganbench.api import Batch, DataSpec, Features, Game, Split
from ganbench.config import read
from ganbench.data import prepare
from ganbench.evaluate import Evaluator
from ganbench.plan import resolve
from ganbench.plugins import installed
from ganbench.train import evaluating

STUDIES = Path(__file__).parents[1] / "studies" / "selfex"
SMALL = {"width": 4, "batch_size": 8}


def make(name: str, shape: tuple[int, ...] = (1, 8, 8), **params: object) -> Game:
    variant = installed().find("variants", name).load()()
    torch.manual_seed(0)
    game: Game = variant.game(DataSpec(shape, 10), variant.Params.resolve({**SMALL, **params}))
    return game


def batch(shape: tuple[int, ...] = (1, 8, 8)) -> Batch:
    return Batch(torch.rand(8, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def maps(network: nn.Module, *inputs: Tensor) -> list[tuple[int, ...]]:
    """Channels and size, or width, of what each layer with weights makes, but for normalisation."""
    found: list[tuple[int, ...]] = []
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    for layer in network.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(lambda layer, given, made: found.append(tuple(made.shape[1:])))
    network(*inputs)
    return found


# --- the tables


@pytest.mark.parametrize("table", [name for name, kind in TABLES.items() if not kind.leaky_generator])
def test_at_32_pixels_the_maps_are_those_of_tables_1_to_4(table: str) -> None:
    colours, dim = (1, 64) if table == "mnist" else (3, 128)
    shape = (colours, 32, 32)
    with torch.device("meta"):
        x, z = torch.empty(2, *shape), torch.empty(2, dim)
        assert maps(Generator(shape, dim, 64, table), z) == [(4096,), (128, 8, 8), (64, 16, 16), shape]
        assert maps(Encoder(shape, dim, 64, table), x) == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (dim,)]
        discriminator = maps(ImageDiscriminator(shape, 64, table), x)
        assert discriminator == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (256, 2, 2), (1,)]
        pairs = {
            "mnist": [256, 128, 64],
            "svhn": [512, 256, 128, 64],
            "cifar10": [256, 512, 256, 128, 64],
            "imagenet": [256, 512, 1024, 512, 256, 128, 64],
        }[table]
        found = maps(PairDiscriminator(shape, dim, 64, table), x, z)
    assert [width for (width,) in found] == [1024, 256, dim, *pairs, 1]


@pytest.mark.parametrize("table", [name for name, kind in TABLES.items() if kind.leaky_generator])
def test_at_64_pixels_the_maps_are_those_of_tables_5_to_7(table: str) -> None:
    shape, dim = (3, 64, 64), 64 if table == "celeba-crop" else 128
    with torch.device("meta"):
        x, z = torch.empty(2, *shape), torch.empty(2, dim)
        assert maps(Generator(shape, dim, 64, table), z) == [(4096,), (128, 8, 8), (64, 16, 16), (64, 32, 32), shape]
        encoder = maps(Encoder(shape, dim, 64, table), x)
        assert encoder == [(64, 64, 64), (64, 32, 32), (128, 16, 16), (256, 8, 8), (dim,)]
        discriminator = maps(ImageDiscriminator(shape, 64, table), x)
        assert discriminator == [(64, 32, 32), (64, 16, 16), (128, 8, 8), (256, 4, 4), (256, 2, 2), (1,)]
        found = maps(PairDiscriminator(shape, dim, 64, table), x, z)
    assert found == [(64, 32, 32), (64, 16, 16), (128, 8, 8), (dim,), (256,), (128,), (64,), (1,)]


def test_other_sizes_follow_the_same_rule_and_a_width_makes_all_of_it_narrow() -> None:
    with torch.device("meta"):
        z = torch.empty(2, 6)
        assert maps(Generator((1, 28, 28), 6, 8, "mnist"), z) == [(32 * 49,), (16, 14, 14), (1, 28, 28)]
        assert maps(Generator((1, 8, 8), 6, 8, "mnist"), z) == [(32 * 16,), (1, 8, 8)]
        found = maps(PairDiscriminator((1, 8, 8), 6, 8, "mnist"), torch.empty(2, 1, 8, 8), z)
    assert [width for (width,) in found] == [128, 32, 6, 32, 16, 8, 1]


def test_sizes_that_cannot_be_halved_far_enough_are_refused() -> None:
    variant = installed().find("variants", "selfex-gan").load()()
    refused = [size for size in range(4, 140, 2) if variant.refusal(DataSpec((1, size, size)), variant.Params())]
    suited = [8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128]
    assert sorted({*range(4, 140, 2)} - {*refused}) == suited


# --- SelfExGAN


def test_encoded_latents_lie_on_the_sphere_and_around_the_origin() -> None:
    outputs = torch.randn(400, 5, generator=torch.Generator().manual_seed(0))
    latents = OnSphere(nn.Identity())(outputs)
    torch.testing.assert_close(latents.norm(dim=1), torch.full((400,), 5**0.5))
    assert torch.equal(latents > 0, outputs > 0)  # a sigmoid of less than a half is on the other side


def test_the_kl_term_is_torchs_divergence_averaged_over_dimensions() -> None:
    latents = torch.randn(50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.3 + 1
    fitted = torch.distributions.Normal(latents.mean(0), latents.std(0, correction=0))
    expected = torch.distributions.kl_divergence(fitted, torch.distributions.Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(kl_to_standard_normal(latents), expected, rtol=1e-4, atol=1e-6)
    standard = (latents - latents.mean(0)) / latents.std(0, correction=0)
    assert kl_to_standard_normal(standard).abs() < 1e-5
    assert kl_to_standard_normal(torch.ones(9, 3)).isfinite()


def test_its_four_players_take_one_turn_each_in_the_order_of_the_design() -> None:
    players = make("selfex-gan").players
    assert [(player.name, player.turns) for player in players] == [
        ("d1", 1),
        ("d2", 1),
        ("encoder", 1),
        ("generator", 1),
    ]


def test_gaussian_latents_are_judged_as_images_and_never_as_pairs() -> None:
    game = make("selfex-gan")
    draws = {}
    for player in game.players:
        state = torch.get_rng_state()
        player.cost(batch())
        draws[player.name] = not torch.equal(state, torch.get_rng_state())
    assert draws == {"d1": True, "d2": False, "encoder": False, "generator": True}


def test_pairs_are_the_three_of_the_text() -> None:
    """Equation by equation, with networks that only name what they are given."""
    game = make("selfex-gan")
    d2, encoder, generator = game.players[1].networks, game.encoder, game.generator
    seen: list[tuple[Tensor, Tensor]] = []
    d2.register_forward_pre_hook(lambda module, given: seen.append(given))
    x = batch().images
    with torch.no_grad():
        game.players[1].cost(Batch(x))
        z = encoder(x)
        image = generator(z)
        wanted = {"real": (x, z), "generated": (image, z), "encoded again": (x, encoder(image))}
    ((images, latents),) = seen  # all at once
    for place, (image, z) in enumerate(wanted.values()):
        rows = slice(8 * place, 8 * place + 8)
        torch.testing.assert_close(images[rows], image)
        torch.testing.assert_close(latents[rows], z)


def test_batch_normalisation_does_not_hide_a_shift_between_real_and_fake_pairs() -> None:
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(1)

        def forward(self, images: Tensor, latents: Tensor) -> Tensor:
            return self.norm(latents).squeeze(1)

    discriminator = Normalised()
    real, fake = (torch.randn(50, 1, generator=torch.Generator().manual_seed(0)) + shift for shift in (0.0, 3.0))
    alone = discriminator(real, real).mean() - discriminator(fake, fake).mean()
    apart, together = judged(discriminator, (real, real), (fake, fake))
    assert alone.abs() < 1e-5
    assert (together - apart).mean() > 1


# --- BiGAN


def test_bigans_encoder_and_generator_pay_what_its_discriminator_gains() -> None:
    """Exchanged labels: softplus(-a) + softplus(b) of the one and softplus(a) + softplus(-b) of the other."""
    game = make("bigan")
    logits: list[Tensor] = []
    game.players[0].networks.register_forward_hook(lambda module, given, made: logits.append(made.detach()))
    costs = []
    for player in game.players:
        torch.manual_seed(1)
        costs.append(player.cost(batch()).item())
    (first, second), softplus = logits, torch.nn.functional.softplus
    assert torch.allclose(first, second)
    a, b = first.chunk(2)
    assert costs[0] == pytest.approx((softplus(-a).mean() + softplus(b).mean()).item())
    assert costs[1] == pytest.approx((softplus(a).mean() + softplus(-b).mean()).item())


# --- InfoGAN


def test_codes_of_normal_latents_are_uniform_categories_and_numbers() -> None:
    latents = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(0))
    coded = Codes(4, 2)(latents)
    assert torch.equal(coded[:, :4].sum(dim=1), torch.ones(20_000))
    assert stats.chisquare(coded[:, :4].sum(dim=0).numpy()).pvalue > 1e-3
    assert stats.kstest(coded[:, 4:6].flatten().numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert torch.equal(coded[:, 6:], latents[:, 6:])


def test_the_cost_of_reading_codes_is_their_negative_log_likelihood() -> None:
    codes, features = Codes(4, 2), torch.randn(30, 9, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    head, coded = CodeHead(codes, 9, 5), codes(torch.randn(30, 8))
    read = head(features)
    category = torch.distributions.Categorical(logits=read[:, :4]).log_prob(coded[:, :4].argmax(dim=1))
    numbers = torch.distributions.Normal(read[:, 4:], 1.0).log_prob(coded[:, 4:6]) + np.log(2 * np.pi) / 2
    expected = -(category + 0.1 * numbers.sum(dim=1)).mean()
    torch.testing.assert_close(head.cost(features, coded, 1.0, 0.1), expected)


# --- metrics


def rows(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (11, 3, 4, 4), generator=generator, dtype=torch.uint8)
    return images, torch.randn(11, 5, generator=generator)


def score(metric: type, features: Features) -> float:
    made = metric(11)
    for part in (slice(0, 4), slice(4, None)):
        made.update(Features(*(None if one is None else one[part] for one in features)))
    value: float = made.compute({})
    return value


def test_the_reconstruction_error_is_scikit_learns() -> None:
    (made, _), (wanted, _) = rows(0), rows(1)
    expected = mean_squared_error(wanted.flatten(1).numpy() / 255, made.flatten(1).numpy() / 255)
    assert score(ReconstructionError, Features(made, targets=wanted)) == pytest.approx(expected, rel=1e-12)


def test_the_reconstruction_agreement_is_scikit_learns_accuracy() -> None:
    images, logits = rows(0)
    labels = torch.arange(11) % 3
    expected = accuracy_score(labels.numpy(), logits.numpy().argmax(axis=1))
    assert 0 < expected < 1
    assert score(ReconstructionAgreement, Features(images, labels, logits=logits)) == pytest.approx(expected)


def test_the_latent_agreement_is_one_less_scipys_cosine_distance() -> None:
    (images, latents), (_, encoded) = rows(0), rows(1)
    distances = [scipy.spatial.distance.cosine(a, b) for a, b in zip(latents.numpy(), encoded.numpy(), strict=True)]
    features = Features(images, latents=latents, encoded=encoded)
    assert score(LatentAgreement, features) == pytest.approx(1 - np.mean(distances), abs=1e-6)


@pytest.mark.parametrize("metric", [ReconstructionError, ReconstructionAgreement, LatentAgreement])
def test_metrics_say_what_they_lack(metric: type) -> None:
    with pytest.raises(ValueError, match=f"{metric.__name__} needs"):
        metric(11).update(Features(rows(0)[0]))
    with pytest.raises(ValueError, match="none was seen"):
        metric(11).compute({})


@pytest.mark.parametrize("name", ["selfex-gan", "bigan", "infogan"])
def test_a_game_that_encodes_is_scored_by_them_and_infogan_says_why_not(name: str, data_root: Path) -> None:
    data = prepare("digits", installed().dataset("digits"), data_root)
    asked = ["reconstruction-error", "latent-agreement"]
    evaluator = Evaluator(
        data, asked, extractors={}, reference="train", device="cpu", root=data_root, say=lambda message: None
    )
    game = make(name)
    with evaluating(game):
        scores = evaluator.score_game(game, 300, seed=0)
    if name == "infogan":
        assert scores == {}
        assert evaluator.unavailable == dict.fromkeys(asked, "it needs an encoder, and this game has none")
    else:
        assert set(scores) == set(asked)
        assert 0 < scores["reconstruction-error"] < 1
        assert abs(scores["latent-agreement"]) < 0.5


# --- data and recipes


def test_mnist32_is_mnist_in_a_border(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(1, 256, (3, 1, 28, 28), dtype=np.uint8)
    monkeypatch.setattr(MNIST, "load", lambda self, root: {"train": Split(images, np.arange(3))})
    dataset = installed().dataset("mnist32")
    split = dataset.load(tmp_path)["train"]
    assert split.images.shape == (3, *dataset.spec().shape)
    assert np.array_equal(split.images[:, :, 2:30, 2:30], images)
    assert split.images.astype(int).sum() == images.astype(int).sum()
    assert list(split.labels) == [0, 1, 2]


def test_no_cell_of_the_recipes_is_skipped() -> None:
    files = sorted(STUDIES.glob("*.toml"))
    assert {"mnist32.toml", "small.toml"} <= {file.name for file in files}
    for file in files:
        plan = resolve(*read(file), installed())
        cells = plan.cells({})
        assert cells
        assert not [cell.skip for cell in cells if cell.skip]
