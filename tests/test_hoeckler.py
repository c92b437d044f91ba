"""The thesis's GANs: their sizes, their costs and quirks, and its 99 configurations in ``studies/thesis``."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from ganbench_hoeckler.costs import discriminator_cost, generator_cost, gradient_penalty
from torch import nn

from ganbench.api import Batch, DataSpec
from ganbench.batches import Batches
from ganbench.config import read
from ganbench.contracts import Split
from ganbench.plan import distinctions, resolve
from ganbench.plugins import installed
from ganbench.train import Budget, play

STUDIES = Path(__file__).parents[1] / "studies"
GREY, COLOUR, FACES = DataSpec((1, 28, 28), 10), DataSpec((3, 32, 32), 10), DataSpec((3, 48, 48))


def game(name, data, **params):
    variant = installed().find("variants", f"hoeckler-{name}").load()()
    return variant.game(data, variant.Params.resolve(params))


def parameters(name, data, **params):
    return {player.name: sum(p.numel() for p in player.parameters()) for player in game(name, data, **params).players}


@pytest.mark.parametrize("upsample", ["TrpConv", "Nearest", "Bilinear"])
@pytest.mark.parametrize(("latent_dim", "size"), [(100, 2_318_209), (12, 1_214_337), (24, 1_364_865), (32, 1_465_217)])
def test_dcgan_generators_at_28_pixels_have_the_thesis_number_of_parameters(upsample, latent_dim, size):
    assert parameters("dcgan", GREY, latent_dim=latent_dim, upsample=upsample)["generator"] == size


@pytest.mark.parametrize(("upsample", "size"), [("TrpConv", 1_318_659), ("Nearest", 859_907), ("Bilinear", 859_907)])
def test_dcgan_generators_at_32_pixels_have_the_thesis_number_of_parameters(upsample, size):
    sizes = parameters("dcgan", COLOUR, latent_dim=64, upsample=upsample)
    assert sizes == {"generator": size, "discriminator": 522_497}


def test_simple_gan_has_the_thesis_number_of_parameters():
    assert parameters("gan", GREY, latent_dim=10) == {"generator": 624_064, "discriminator": 212_865}


@pytest.mark.parametrize("name", ["dcgan", "wgan", "wgan-gp"])
def test_discriminators_and_critics_at_28_pixels_have_the_thesis_number_of_parameters(name):
    assert 212_865 in parameters(name, GREY).values()


def test_the_mnist_wgan_critic_has_two_normalisations_more():
    assert parameters("wgan", GREY, critic_batch_norm=True)["critic"] == 212_865 + 2 * 64 + 2 * 128


def test_cgan_takes_one_channel_for_the_label_and_embeds_it_in_36_dimensions():
    plain, told = parameters("dcgan", GREY, latent_dim=24), parameters("cgan", GREY, latent_dim=24)
    embedding = 10 * 36 + 36 * 49 + 49
    latent = 49 * (24 + 1)  # the dense weights of the channel that the label replaces
    norm = 2 * 12_544 - 2 * 256  # normalised as 256 maps instead of 12,544 units
    assert told["generator"] == plain["generator"] + embedding - latent - norm
    assert told["discriminator"] == plain["discriminator"] + 10 * 36 + 36 * 784 + 784 + 25 * 64


def test_48_pixel_networks_have_the_sizes_that_their_layers_add_up_to():
    dense, stages = 256 * 18_432 + 18_432, (9 * 512 + 1) * 256 + (9 * 256 + 1) * 128 + (9 * 128 + 1) * 64 + (64 + 1) * 3
    body = (3 + 1) * 64 + (9 * 64 + 1) * 128 + (9 * 128 + 1) * 256 + (9 * 256 + 1) * 512 + (36 * 512 + 1) * 512
    sizes = parameters("wgan-gp", FACES, latent_dim=256, upsample="Nearest", batch_norm=False, logit_map=True)
    assert sizes == {"generator": dense + stages, "critic": body + 513}
    flat = parameters("dcgan", FACES, latent_dim=256, upsample="Nearest", batch_norm=False)
    assert flat == {"generator": dense + stages, "discriminator": body + 9 * 512 + 1}


@pytest.mark.parametrize("name", ["gan", "dcgan", "cgan", "wgan", "wgan-gp"])
@pytest.mark.parametrize("data", [GREY, COLOUR, DataSpec((3, 48, 48), 10)], ids=["28", "32", "48"])
def test_every_variant_plays_a_round_at_every_size_and_samples_images_in_range(name, data):
    torch.manual_seed(0)
    played = game(name, data, batch_size=4, width=0.1)
    images = np.random.default_rng(0).integers(0, 256, (8, *data.shape), np.uint8)
    batches = Batches(Split(images, np.arange(8) % 10), 4, device="cpu", seed=0)
    before = [p.detach().clone() for player in played.players for p in player.parameters()]
    play(played, batches, Budget("generator_updates", 2), evaluations=1, evaluate=lambda moment: None)
    after = [p for player in played.players for p in player.parameters()]
    assert all(p.isfinite().all() for p in after)
    assert sum(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) > len(after) / 2
    samples = played.sample(3, torch.tensor([0, 1, 2]) if played.conditional else None)
    assert samples.shape == (3, *data.shape)
    assert samples.abs().max() <= 1


def test_discriminator_cost_is_half_the_sum_of_two_cross_entropies():
    real, fake = torch.randn(7), torch.randn(7)
    entropy = nn.BCEWithLogitsLoss()
    for target in (1.0, 0.9):
        expected = 0.5 * (entropy(real, torch.full((7,), target)) + entropy(fake, torch.zeros(7)))
        assert torch.allclose(discriminator_cost(real, fake, target), expected)
    assert torch.allclose(generator_cost(fake), entropy(fake, torch.ones(7)))


class Linear(nn.Module):
    """A critic whose gradient is known: its weights."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images):
        return self.dropout(images * self.weight).sum((1, 2, 3))


def test_gradient_penalty_of_a_linear_critic_by_image_and_by_column():
    weight = torch.randn(1, 5, 5)
    critic, real, fake = Linear(weight), torch.randn(4, 1, 5, 5), torch.randn(4, 1, 5, 5)
    by_image = gradient_penalty(critic, real, fake, "sample", dropout=False)
    assert torch.allclose(by_image, (weight.square().sum().sqrt() - 1) ** 2)
    by_column = gradient_penalty(critic, real, fake, "column", dropout=False)
    assert torch.allclose(by_column, ((weight.square().sum(1).sqrt() - 1) ** 2).mean())


def test_dropout_is_on_in_the_penalty_only_when_asked_and_always_on_afterwards():
    critic, images = Linear(torch.ones(1, 5, 5)), torch.randn(4, 1, 5, 5)
    values = {gradient_penalty(critic, images, images, "sample", dropout=False).item() for _ in range(3)}
    assert values == {16.0}
    assert critic.dropout.training
    assert len({gradient_penalty(critic, images, images, "sample", dropout=True).item() for _ in range(3)}) > 1


@pytest.mark.parametrize("clip_batch_norm", [True, False])
def test_wgan_clips_all_weights_but_those_of_the_normalisation_where_the_thesis_does_not(clip_batch_norm):
    made = game("wgan", GREY, width=0.1, critic_batch_norm=True, clip=0.01, clip_batch_norm=clip_batch_norm)
    critic = made.players[0]
    with torch.no_grad():
        critic.after_turn()
    for module in critic.networks.modules():
        free = isinstance(module, nn.BatchNorm2d) and not clip_batch_norm
        for weight in module.parameters(recurse=False):
            assert (weight.abs().max() <= 0.01) != (free and weight is module.weight)


def test_sgd_generator_of_the_thesis_plays_against_an_adam_discriminator():
    kinds = [p.optimizer.kind for p in game("gan", GREY, optimizer="SGD", discriminator_optimizer="Adam").players]
    assert kinds == ["adam", "sgd"]
    assert [p.optimizer.kind for p in game("gan", GREY, optimizer="SGD").players] == ["sgd", "sgd"]


def test_labels_of_fakes_are_those_of_the_real_batch():
    seen = []
    made = game("cgan", GREY, width=0.1)
    made.generator.register_forward_hook(lambda module, arguments, result: seen.append(arguments[1]))
    labels = torch.tensor([3, 1, 4, 1])
    for player in made.players:
        player.cost(Batch(torch.zeros(4, 1, 28, 28), labels))
    assert all(torch.equal(given, labels) for given in seen)
    assert len(seen) == 2


def planned(folder):
    plugins, found = installed(), []
    for path in sorted((STUDIES / folder).glob("*.toml")):
        plan = resolve(*read(path), plugins)
        found += [(plan, cell, text) for cell, text in _cells(plan)]
    return found


def _cells(plan):
    cells = plan.cells({})
    texts = distinctions(cells)
    return [(cell, texts[cell.directory]) for cell in cells]


def test_the_recipes_are_the_99_configurations_of_the_thesis_with_its_legends_and_epochs():
    with (STUDIES / "thesis" / "configurations.csv").open() as file:
        wanted = {
            (row["architecture"], row["dataset"], row["configuration"], float(row["epochs"]))
            for row in csv.DictReader(file)
        }
    names = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
    found = set()
    for _, cell, text in planned("thesis"):
        if cell.dataset in names:
            plain = text.replace("η", "eta").replace("β1", "beta1").replace("λ", "lambda")
            architecture = cell.variant.removeprefix("hoeckler-").upper()
            found.add((architecture, names[cell.dataset], plain, cell.task["budget"]["amount"]))
    assert len(wanted) == 99
    assert found == wanted


def test_no_cell_of_the_recipes_is_skipped_and_each_has_the_thesis_protocol():
    for plan, cell, _ in planned("thesis"):
        assert not cell.skip
        assert cell.task["budget"]["unit"] == "epochs"
        assert cell.task["evaluate"]["times"] == cell.task["budget"]["amount"]
        assert (plan.benchmark.train_on, plan.benchmark.reference) == ("train+test", "train+test")
        if cell.dataset in ("mnist", "fashion-mnist", "cifar10"):
            assert cell.task["evaluate"]["samples"] == (25_600 if cell.dataset == "cifar10" else 51_200)
            assert cell.task["extractors"]["classifier"].startswith("hoeckler/hoeckler-")
        if cell.variant == "hoeckler-wgan-gp":
            assert (cell.params["gp_norm"], cell.params["gp_dropout"]) == ("column", False)


def test_defaults_of_the_quirks_are_the_papers():
    fields = {
        name: installed().find("variants", f"hoeckler-{name}").load().Params() for name in ("gan", "wgan", "wgan-gp")
    }
    assert fields["wgan-gp"].gp_norm == "sample"
    assert fields["wgan"].clip_batch_norm is True
    assert fields["gan"].discriminator_optimizer == "same"


def test_the_small_study_asks_every_question_with_three_seeds():
    swept = {}
    for plan, cell, text in planned("thesis-small"):
        assert plan.benchmark.seed_list == [0, 1, 2]
        assert not cell.skip
        asked = swept.setdefault((cell.variant.removeprefix("hoeckler-"), cell.dataset), set())
        asked.update(part.split("=")[0] for part in text.split())
    assert swept == {
        ("gan", "mnist"): {"BS", "OPT"},
        ("dcgan", "mnist"): {"BS", "UP", "LDIM", "β1"},
        ("dcgan", "fashion-mnist"): {"BS", "UP"},
        ("dcgan", "cifar10"): {"UP", "SMOOTH"},
        ("dcgan", "flowers48"): {"UP"},
        ("dcgan", "celeba48"): set(),
        ("cgan", "mnist"): {"BS", "SMOOTH"},
        ("cgan", "fashion-mnist"): {"BS", "SMOOTH"},
        ("cgan", "cifar10"): {"β1", "UP", "SMOOTH"},
        ("wgan", "mnist"): {"NCRIT", "CLIP", "η", "BN"},
        ("wgan", "fashion-mnist"): {"NCRIT", "CLIP"},
        ("wgan-gp", "mnist"): {"NCRIT", "λ", "GPNORM"},
        ("wgan-gp", "fashion-mnist"): {"NCRIT", "λ"},
        ("wgan-gp", "cifar10"): {"NCRIT", "β1", "UP"},
        ("wgan-gp", "celeba48"): {"GPNORM"},
    }
