"""What a done cell keeps for people to look at, and that no number of its records depends on it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ganbench import keepsakes
from ganbench.api import DataSpec, Latent
from ganbench.cli import main
from ganbench.plugins import installed
from ganbench.records import check_manifest
from ganbench.store import Store
from ganbench.train import evaluating

Toml = Callable[..., Path]
SHIPPED = [c.id for c in installed().components if c.kind == "variants" and c.plugin in ("gans", "hoeckler")]


def game(name: str, **params: object):
    variant = installed().find("variants", name).load()()
    torch.manual_seed(0)
    narrow = {"width": 0.05 if name.startswith("hoeckler") else 8}
    return variant.game(DataSpec((1, 28, 28), 10), variant.Params.resolve({**narrow, **params}))


# --- given latents ----------------------------------------------------------------------------------------------------


def test_given_vectors_are_returned_in_order_and_draws_go_on_after_them():
    latent = Latent(2)
    vectors = torch.arange(6.0).reshape(3, 2)
    with latent.given(vectors):
        assert latent(1).tolist() == [[0, 1]]
        assert latent(2).tolist() == [[2, 3], [4, 5]]
    torch.manual_seed(0)
    drawn = latent(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.randn(3, 2))


def test_more_or_fewer_than_the_given_vectors_are_an_error_and_leave_nothing_given():
    latent = Latent(2)
    with (
        pytest.raises(ValueError, match="3 latent vectors were asked for, of 2 that are given"),
        latent.given(torch.zeros(2, 2)),
    ):
        latent(3)
    with (
        pytest.raises(ValueError, match="1 of 2 given latent vectors were not asked for"),
        latent.given(torch.zeros(2, 2)),
    ):
        latent(1)
    assert latent(5).shape == (5, 2)


@pytest.mark.parametrize("kind", ["normal", "sphere", "uniform"])
def test_the_way_between_two_vectors_begins_and_ends_at_them(kind):
    latent = Latent(64, kind)
    a, b = latent(4), latent(4)
    way = latent.between(a, b, 7)
    assert way.shape == (4, 7, 64)
    assert torch.allclose(way[:, 0], a, atol=1e-5)
    assert torch.allclose(way[:, -1], b, atol=1e-5)
    if kind == "sphere":  # the way does not leave it
        assert torch.allclose(way.norm(dim=-1), torch.tensor(8.0), atol=1e-4)
    if kind == "uniform":
        assert torch.allclose(way[:, 3], (a + b) / 2, atol=1e-6)


def test_the_way_between_equal_or_opposite_vectors_is_finite():
    a = torch.ones(2, 8)
    assert Latent(8).between(a, torch.stack([a[0], -a[1]]), 5).isfinite().all()


# --- nearest neighbours -----------------------------------------------------------------------------------------------


def test_nearest_neighbours_are_those_of_a_search_image_by_image(monkeypatch):
    rng = np.random.default_rng(0)
    images = torch.tensor(rng.integers(0, 256, (301, 3, 5, 5), dtype=np.uint8))
    samples = torch.tensor(rng.integers(0, 256, (16, 3, 5, 5), dtype=np.uint8))
    samples[3] = images[300]
    difference = samples[:, None].double() - images[None].double()
    expected = difference.square().flatten(2).sum(2).argmin(1)
    monkeypatch.setattr(keepsakes, "_BLOCK", 75 * 40)  # blocks of 40 images, the last one smaller
    assert torch.equal(keepsakes.nearest(samples, images), expected)
    assert expected[3] == 300


# --- the pictures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_variant_has_neighbours_and_interpolations(name, tmp_path):
    played = game(name)
    images = torch.zeros(20, 1, 28, 28, dtype=torch.uint8)
    with evaluating(played):
        keepsakes.write(tmp_path, played, images, 10, seed=0)
    sizes = {path.name: Image.open(path).size for path in tmp_path.iterdir()}
    assert sizes == {"neighbours.png": (16 * 30 + 2, 2 * 30 + 2), "interpolation.png": (10 * 30 + 2, 8 * 30 + 2)}


def test_a_conditional_row_of_interpolations_is_of_one_class(tmp_path):
    played = game("gans/cgan")
    asked = []
    sample = played.sample

    def watched(n, labels):
        asked.append(labels)
        return sample(n, labels)

    played.sample = watched
    with evaluating(played):
        keepsakes.write(tmp_path, played, torch.zeros(20, 1, 28, 28, dtype=torch.uint8), 10, seed=0)
    assert asked[1].reshape(8, 10).tolist() == [[row] * 10 for row in range(8)]


def test_a_game_that_does_not_say_what_it_draws_from_has_no_interpolation(tmp_path):
    played = game("gans/mlp-gan")
    played.latent = None
    (tmp_path / "interpolation.png").write_bytes(b"of an earlier attempt")
    with evaluating(played):
        keepsakes.write(tmp_path, played, torch.zeros(20, 1, 28, 28, dtype=torch.uint8), 10, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["neighbours.png"]


def test_what_cannot_be_drawn_is_left_out_and_the_rest_is_there(tmp_path, capsys):
    played = game("gans/mlp-gan")
    played.latent = Latent(7)  # not the one that it samples from
    with evaluating(played):
        keepsakes.write(tmp_path, played, torch.zeros(20, 1, 28, 28, dtype=torch.uint8), 10, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["neighbours.png"]
    assert "interpolation.png is left out" in capsys.readouterr().err


# --- classes ----------------------------------------------------------------------------------------------------------


def test_classes_are_shares_of_what_the_classifier_says():
    counts = keepsakes.ClassCounts(torch.tensor([30, 10]))
    for logits in ([[2.0, 1.0], [0.0, 1.0]], [[0.0, 3.0], [0.0, 9.0]]):
        counts({"classifier": SimpleNamespace(logits=torch.tensor(logits))})
    assert counts.facts == {"samples": [0.25, 0.75], "train": [0.75, 0.25]}


def test_nothing_is_counted_without_labels_or_without_a_classifier():
    logits = SimpleNamespace(logits=torch.zeros(2, 3))
    for frequencies, seen in (
        (None, {"classifier": logits}),
        (torch.ones(3), {}),
        (torch.ones(2), {"classifier": logits}),
    ):
        counts = keepsakes.ClassCounts(frequencies)
        counts(seen)
        assert counts.facts == {}


@pytest.mark.parametrize("classes", [{"samples": [0.5, 0.5], "train": [1.0]}, {"samples": [2.0], "train": [1.0]}])
def test_a_manifest_with_impossible_classes_is_damaged(classes):
    assert "classes" in check_manifest({"status": "planned", "classes": classes}, "cell")


# --- records ----------------------------------------------------------------------------------------------------------


def _ran(toml: Path, results: Path) -> Path:
    arguments = ["run", str(toml), "--results", str(results), "--executor", "inline"]
    outcome = CliRunner().invoke(main, arguments)
    assert outcome.exit_code == 0, outcome.output
    (cell,) = Store(results / "mini").cells()
    return cell.directory


def test_records_are_the_same_with_and_without_what_is_kept(toml: Toml, tmp_path: Path, monkeypatch):
    file = toml()
    kept = _ran(file, tmp_path / "with")
    assert {"neighbours.png", "interpolation.png"} <= {path.name for path in kept.iterdir()}
    with monkeypatch.context() as without:
        without.setattr(keepsakes, "write", lambda *arguments, **more: None)
        without.setattr(keepsakes.ClassCounts, "__call__", lambda self, seen: None)
        plain = _ran(file, tmp_path / "without")
    assert "neighbours.png" not in {path.name for path in plain.iterdir()}
    assert kept.name == plain.name  # which has the key

    def numbers(folder: Path):
        manifest = json.loads((folder / "manifest.json").read_text())
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        scores = [(event["metrics"], event["costs"]) for event in (*events, manifest["best"], manifest["last"])]
        sheets = {path.name: path.read_bytes() for path in sorted((folder / "samples").iterdir())}
        return scores, manifest["files"], sheets

    assert numbers(kept) == numbers(plain)
    classes = json.loads((kept / "manifest.json").read_text())["classes"]
    assert [len(classes[what]) for what in ("samples", "train")] == [10, 10]
    assert sum(classes["samples"]) == pytest.approx(1, abs=1e-5)
    Image.open(io.BytesIO((kept / "neighbours.png").read_bytes())).verify()


def test_a_failure_in_what_is_kept_fails_no_cell(toml: Toml, tmp_path: Path, monkeypatch):
    def fail(*arguments: object) -> None:
        raise RuntimeError("no memory for this")

    monkeypatch.setattr(keepsakes, "nearest", fail)
    folder = _ran(toml(), tmp_path / "results")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "done"
    assert not (folder / "neighbours.png").exists()
    assert (folder / "interpolation.png").exists()
