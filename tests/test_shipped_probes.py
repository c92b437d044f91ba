"""What the probes that ship find of games of which the answer is known."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ganbench.api import DataSpec, Game, Latent, Player, Probed, Split, TrainedGame, UserError
from ganbench.batches import quantise
from ganbench.evaluate import load_snapshot, save_snapshot
from ganbench.plugins import installed

SPEC = DataSpec((1, 8, 8), classes=4)
_BASIS = torch.linalg.qr(torch.randn(64, 4, generator=torch.Generator().manual_seed(0)))[0]  # orthonormal, 64×4


class Linear(nn.Module):
    """Latent vectors to images in a space of four dimensions, in which no pixel is beyond its range."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(_BASIS.clone())

    def forward(self, z: Tensor) -> Tensor:
        return (z @ self.weight.T).view(-1, 1, 8, 8)


class Back(nn.Module):
    """The inverse of `Linear`, times `gain`."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ _BASIS * self.gain


class Strongest:
    """Classifies by the largest of the four coordinates."""

    def __init__(self, splits: Any = None) -> None:
        self.splits = splits

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        coordinates = (images.flatten(1).float() / 127.5 - 1) @ _BASIS
        return coordinates, coordinates * 10


def latents(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))


def subject(make: Callable[..., Any] = Strongest, **of_game: Any) -> TrainedGame:
    """A game whose images are those of the data, and the data."""
    generator, latent = Linear(), Latent(4)
    of_game.setdefault("sample", lambda n, labels: generator(latent(n)))
    players = [Player("generator", generator, lambda batch: generator(batch.images).mean())]
    game = Game(players, generator=generator, latent=latent, **of_game)
    generator.requires_grad_(False)
    splits = {}
    for name, seed in (("train", 1), ("test", 2)):
        images = quantise(generator(latents(200, seed))).numpy()
        splits[name] = Split(images, Strongest()(torch.tensor(images))[1].argmax(1).numpy())
    return TrainedGame(game, SPEC, splits, "cpu", 0, lambda name, of=None: make(of))


def probe(name: str, trained: TrainedGame, **values: Any) -> Probed:
    cls = installed().find("probes", name).load()
    assert cls().refusal(trained.game, SPEC) is None
    torch.manual_seed(0)
    with torch.no_grad():
        return cls().run(trained, cls.Params.resolve(values))


def test_inpaint_finds_what_the_known_part_determines() -> None:
    found = probe("inpaint", subject(), images=4, starts=8, steps=300).numbers
    assert found["error-inside"] < 1.5  # grey levels: images are rounded
    assert found["error-around"] < 1.5
    assert found["error-inside-random"] > 5 * found["error-inside"]
    assert found["error-inside-mean"] > 5 * found["error-inside"]


def test_without_a_step_inpaint_takes_the_best_of_its_starts() -> None:
    found = probe("inpaint", subject(), images=4, starts=8, steps=0).numbers
    assert found["error-inside"] == found["error-inside-random"]


def test_the_perceptual_cost_of_inpaint_draws_towards_what_the_discriminator_takes_for_real() -> None:
    class Bright(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1).sum(1)

    def brightness(weight: float) -> float:
        trained = subject(discriminator=Bright())
        found = probe("inpaint", trained, images=2, starts=4, steps=100, weight=weight, hole=0.9)
        assert "without the perceptual cost" not in found.note
        with Image.open(io.BytesIO(found.pictures["inpainted"])) as sheet:
            pixels = np.asarray(sheet.convert("L"), dtype=float)
        return float(pixels[:, 3 * 10 + 2 : 3 * 10 + 10].mean())  # the fourth column: the samples that were found

    assert brightness(100.0) > brightness(0.0) + 5
    assert "without the perceptual cost" in probe("inpaint", subject(), images=1, starts=2, steps=1).note


class Means:
    """The nearest of the class means of the train split that it is made of; the data's own where it is given none."""

    def __init__(self, splits: Any) -> None:
        images, labels, *_ = (splits or subject().splits)["train"]
        flat = torch.tensor(images).flatten(1).float()
        self.means = torch.stack([flat[torch.tensor(labels) == label].mean(0) for label in range(4)])
        self.seen = len(images)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, -torch.cdist(images.flatten(1).float(), self.means)


def test_a_classifier_learns_from_what_is_generated_by_class_and_nothing_from_what_is_not() -> None:
    made: list[Means] = []

    def make(splits: Any) -> Means:
        made.append(Means(splits))
        return made[-1]

    generator = Linear()

    def by_class(n: int, labels: Tensor) -> Tensor:
        return generator(2 * nn.functional.one_hot(labels, 4).float() + 0.3 * torch.randn(n, 4)).clamp(-1, 1)

    def by_nothing(n: int, labels: Tensor) -> Tensor:
        return generator(torch.randn(n, 4)).clamp(-1, 1)

    good = probe("train-on-synthetic", subject(make, conditional=True, sample=by_class)).numbers
    assert [each.seen for each in made] == [200, 200]  # the dataset's own, and that of as many generated images
    poor = probe("train-on-synthetic", subject(make, conditional=True, sample=by_nothing), images=120).numbers
    assert [each.seen for each in made[2:]] == [200, 120, 120]
    assert good["accuracy-synthetic"] > 0.9
    assert good["agreement"] > 0.9
    assert good["accuracy-real"] == poor["accuracy-real"] > 0.9
    assert poor["accuracy-synthetic"] < 0.6
    assert 0.1 < poor["agreement"] < 0.4
    assert poor["accuracy-real-as-many"] > 0.85


def test_the_straight_way_is_even_and_shorter_in_its_middle() -> None:
    found = probe("interpolate", subject(), rows=64, columns=9)
    assert found.numbers["jump-linear"] == pytest.approx(1.0, abs=1e-5)
    assert 1.0 < found.numbers["jump-spherical"] < 1.5  # in four dimensions the ends are of quite different lengths
    assert 0.6 < found.numbers["middle-norm-linear"] < 0.8
    assert set(found.pictures) == {"spherical", "linear"}


def test_sums_of_latents_are_in_the_class_that_they_add_up_to() -> None:
    found = probe("latent-arithmetic", subject(), a=2, b=1, c=2, examples=5, samples=400).numbers
    assert found["result-class"] == 2
    assert found["result-share"] > 0.9
    assert min(found[f"confidence-{name}"] for name in "abc") > 0.9
    with pytest.raises(UserError, match="a of latent-arithmetic = 4 is no class of this data: they are 0 to 3"):
        probe("latent-arithmetic", subject(), a=4, b=1, c=2)


def test_classes_lie_together_on_the_map_of_latents_that_they_depend_on() -> None:
    found = probe("latent-map", subject(encoder=Back()), samples=120).numbers
    assert found["same-class"] > found["same-class-chance"] + 0.2
    assert found["same-class-encoded"] > found["same-class-encoded-chance"] + 0.2


def test_reconstructions_by_the_inverse_are_the_originals() -> None:
    found = probe("reconstruct", subject(encoder=Back())).numbers
    assert found["error"] < 1
    assert found["error-mean-image"] > 20
    assert found["own-class"] == pytest.approx(found["own-class-real"], abs=0.02)
    away = probe("reconstruct", subject(encoder=Back(-1.0))).numbers
    assert away["error"] > found["error-mean-image"]
    assert away["own-class"] < 0.2


def test_outputs_are_fed_back() -> None:
    shrinking = probe("iterate", subject(encoder=Back(0.5)), images=8, steps=4).numbers
    assert shrinking["last-step"] == pytest.approx(shrinking["first-step"] / 8, rel=0.2)
    assert shrinking["own-class-1"] == 1
    turning = probe("iterate", subject(encoder=Back(-1.0)), images=8, steps=4).numbers
    assert turning["last-step"] == pytest.approx(turning["first-step"], rel=0.05)
    assert turning["own-class-4"] == 1  # there and back, twice
    assert turning["own-class-1"] < 0.5


def test_more_noise_goes_farther_and_encoded_images_of_a_class_are_alike() -> None:
    found = probe("neighbourhood", subject(encoder=Back()), images=10).numbers
    assert found["spread-small"] < found["spread-middle"] < found["spread-large"]
    assert found["own-class-small"] > found["own-class-large"]
    assert found["similarity-same"] > 0.3 > found["similarity-other"]


def test_the_discriminator_is_in_the_snapshot_and_one_that_is_not_is_not_taken_for_trained(tmp_path) -> None:
    one, other = (subject(discriminator=nn.Linear(64, 1)).game for _ in range(2))
    save_snapshot(one, tmp_path / "with.safetensors")
    load_snapshot(other, tmp_path / "with.safetensors")
    assert torch.equal(one.discriminator.weight, other.discriminator.weight)
    save_snapshot(subject().game, tmp_path / "without.safetensors")
    load_snapshot(other, tmp_path / "without.safetensors")
    assert other.discriminator is None
