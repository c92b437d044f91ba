"""Data of all kinds and games that translate or encode: planned, trained, scored, pictured, resumed and reported."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ganbench
from kinds import Collections, Encoding, Pairs, Points, Translator
from PIL import Image

from ganbench.api import DataSpec, Game, Latent, Params, Player, Split
from ganbench.batches import Batches, scale
from ganbench.data import prepare
from ganbench.errors import DatasetError
from ganbench.evaluate import load_snapshot, save_snapshot
from ganbench.store import Store, Unit
from ganbench.streams import held_out
from ganbench.testing import check_dataset, check_variant
from ganbench.train import evaluating

FILE = """
name = "kinds"
plugins = [{plugin}]
seeds = 1
budget = {{ generator_updates = 4 }}
evaluate = {{ times = 2, samples = 400 }}
metrics = ["fcd", "spread", "error", "reconstruction", "agreement"]
rank = {{ metric = "reconstruction", at = "best" }}

[[grid]]
variants = ["line-gan", "translator", "encoding"]
datasets = ["three-points", "pairs", "collections", "digits"]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    """The results of three kinds of games on four kinds of data."""
    folder = tmp_path_factory.mktemp("kinds")
    file = folder / "kinds.toml"
    file.write_text(FILE.format(plugin=json.dumps(str(Path(__file__).with_name("kinds.py")))))
    environment = {**os.environ, "GANBENCH_DATA": str(data_root)}
    done = ganbench(environment, "run", file, "--results", folder / "results")
    assert done.returncode == 0, done.stderr
    again = ganbench(environment, "run", file, "--results", folder / "results")
    assert again.returncode == 0, again.stderr
    (folder / "again.txt").write_text(again.stdout + again.stderr)
    return folder


def _cells(run: Path) -> dict[tuple[str, str], Unit]:
    cells = Store(run / "results" / "kinds").cells()
    return {(cell.task["variant"], cell.task["dataset"]): cell for cell in cells}


def test_games_are_trained_on_the_kinds_of_data_that_they_take_and_skipped_on_others(run: Path) -> None:
    done = {name for name, cell in _cells(run).items() if cell.status == "done"}
    assert done == {
        ("line-gan", "three-points"),
        ("translator", "pairs"),
        ("translator", "collections"),
        ("encoding", "digits"),
    }
    outlines = json.loads((run / "results" / "kinds" / "run.json").read_text())["cells"]
    reasons = {(one["variant"], one["dataset"]): one["skip"] for one in outlines.values()}
    assert reasons["encoding", "three-points"] == "it is made for labelled or unlabelled data, and this is points"
    assert reasons["translator", "digits"] == "it is made for paired or unpaired data, and this is labelled"


def test_metrics_see_the_stream_that_they_ask_for(run: Path) -> None:
    scores = {name: cell.manifest["best"]["metrics"] for name, cell in _cells(run).items() if cell.status == "done"}
    assert scores["line-gan", "three-points"] == {"spread": 400.0}
    # Half of the 30 held-out pairs choose the snapshot; the other 15 (asserted by the metric) score it.
    assert set(scores["translator", "pairs"]) == {"error", "reconstruction"}
    assert set(scores["translator", "collections"]) == {"reconstruction"}
    assert set(scores["encoding", "digits"]) == {"fcd", "reconstruction", "agreement"}


def test_what_a_game_cannot_be_scored_with_has_its_reason_and_is_not_tried_again(run: Path) -> None:
    cells = _cells(run)
    translator = cells["translator", "pairs"].manifest
    assert translator["unavailable"]["agreement"] == "it scores labelled or unlabelled data, and pairs is paired"
    assert "fcd" in translator["unavailable"]  # no labels, so no classifier
    assert set(translator["inapplicable"]) == {"spread", "agreement"}
    assert cells["line-gan", "three-points"].manifest["attempt"] == 1
    assert "0 trained now; records" in (run / "again.txt").read_text()


def test_sheets_show_points_translations_and_samples(run: Path) -> None:
    cells = _cells(run)
    sizes = {name: Image.open(cell.sample_sheet(4)).size for name, cell in cells.items() if cell.status == "done"}
    assert sizes["line-gan", "three-points"] == (2 * 194 + 2, 194 + 2)  # real and generated density
    # 15 sources, their translations, targets and the way back: two bands of four rows. Unpaired ones have no targets.
    assert sizes["translator", "pairs"] == (102, 82)
    assert sizes["translator", "collections"] == (102, 92)
    assert sizes["encoding", "digits"] == (102, 102)


def test_the_run_is_reported(run: Path) -> None:
    done = ganbench(dict(os.environ), "report", run / "results" / "kinds", "--pictures", "datasets")
    assert done.returncode == 0, done.stderr
    assert (run / "results" / "kinds" / "report" / "index.html").exists()


def test_translations_can_be_drawn_as_many_as_there_are_test_sources(run: Path) -> None:
    results, plugin = run / "results" / "kinds", Path(__file__).with_name("kinds.py")
    there = run / "translated.npz"
    command = ("sample", results, "translator-pairs", "--plugin", plugin, "--to", there)
    done = ganbench(dict(os.environ), *command, "-n", 30)
    assert done.returncode == 0, done.stderr
    assert np.load(there)["x_train"].shape == (30, 1, 8, 8)
    there.unlink()
    refused = ganbench(dict(os.environ), *command, "-n", 31)
    assert refused.returncode == 2
    assert "pairs has 30 test sources: ask for -n 30 at most" in refused.stderr.replace("\n", " ")


@pytest.mark.parametrize("variant", [Translator])
def test_the_conformance_kit_knows_such_games(variant: type) -> None:
    report = check_variant(variant)
    # They are in one file, which imports torch, and need not be good GANs.
    assert {outcome.check for outcome in report.failed} <= {"imports_no_torch", "learns"}, report.summary()
    assert len(report.passed) > 15


@pytest.mark.parametrize("dataset", [Points, Collections])
def test_the_conformance_kit_knows_such_data(dataset: type) -> None:
    report = check_dataset(dataset)
    assert {outcome.check for outcome in report.failed} == {"imports_no_torch"}, report.summary()


def test_paired_sources_stay_with_their_images_and_unpaired_ones_are_shuffled_by_themselves() -> None:
    images = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    paired = Batches(Split(images, None, 255 - images), 5, device="cpu", seed=0)
    for _ in range(8):
        batch = paired.next()
        assert torch.allclose(batch.images, -batch.sources)
    apart = Batches(Split(images, None, images[:12]), 5, device="cpu", seed=0, paired=False)
    drawn = [apart.next() for _ in range(12)]
    assert not all(torch.equal(batch.images, batch.sources) for batch in drawn)
    seen = torch.cat([batch.sources[:, 0, 0, 0] for batch in drawn])
    assert torch.equal(seen[:12].sort().values, scale(torch.tensor(images[:12]))[:, 0, 0, 0])  # one pass is all of them


def test_a_stream_of_unpaired_batches_goes_on_from_its_state() -> None:
    images = np.random.default_rng(0).integers(0, 256, (11, 1, 2, 2), dtype=np.uint8)
    one, other = (Batches(Split(images, None, images[:7]), 4, device="cpu", seed=1, paired=False) for _ in range(2))
    for _ in range(3):
        one.next()
    other.restore(one.state())
    for _ in range(5):
        a, b = one.next(), other.next()
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.sources, b.sources)


def test_an_encoder_is_saved_with_its_generator_and_put_in_evaluation_mode(tmp_path: Path) -> None:
    spec = DataSpec((1, 4, 4))
    one, other = (Encoding().game(spec, Params()) for _ in range(2))
    with torch.no_grad():
        one.encoder[1].weight.normal_()
    save_snapshot(one, tmp_path / "best.safetensors")
    load_snapshot(other, tmp_path / "best.safetensors")
    images = torch.randn(3, 1, 4, 4)
    with evaluating(one), evaluating(other):
        assert torch.equal(one.encoder(images), other.encoder(images))
    assert one.encoder.training


def test_those_that_choose_and_those_that_score_are_different_held_out_images() -> None:
    test = Split(np.arange(7), np.arange(7), np.arange(5), np.arange(5))
    chosen, scored = held_out(test, 0), held_out(test, 1)
    assert [list(part) for part in chosen] == [[0, 2, 4, 6], [0, 2, 4, 6], [0, 2, 4], [0, 2, 4]]
    assert [list(part) for part in scored] == [[1, 3, 5], [1, 3, 5], [1, 3], [1, 3]]


@pytest.mark.parametrize(
    ("split", "spec", "sentence"),
    [
        (Split(np.zeros((4, 2))), DataSpec((2,)), "its train points are float64 of shape (4, 2), not float32 N×2"),
        (Split(np.full((4, 2), np.nan, np.float32)), DataSpec((2,)), "its train points are not all finite"),
        (Split(np.zeros((4, 1, 2, 2), np.uint8)), Pairs.spec_of, "its train images are uint8 of shape (4, 1, 2, 2)"),
        (
            Split(np.zeros((4, 1, 8, 8), np.uint8)),
            Pairs.spec_of,
            "its train split has no sources, and its spec says (1, 8, 8) of them",
        ),
        (
            Split(np.zeros((4, 1, 8, 8), np.uint8), None, np.zeros((5, 1, 8, 8), np.uint8)),
            Pairs.spec_of,
            "its train split has 5 sources for 4 images",
        ),
    ],
)
def test_data_that_is_not_what_its_spec_says_is_refused(split: Split, spec: DataSpec, sentence: str, tmp_path) -> None:
    class Wrong(Points):
        def spec(self):
            return spec

        def load(self, root):
            return {"train": split}

    with pytest.raises(DatasetError, match="does not keep its contract") as error:
        prepare("wrong", Wrong(), tmp_path)
    assert sentence in str(error.value)


def test_held_out_pairs_stay_pairs(tmp_path: Path) -> None:
    class One(Pairs):
        def load(self, root):
            return {"train": super().load(root)["train"]}

    prepared = prepare("one", One(), tmp_path)
    assert prepared.counts == {"train": 36, "test": 4}
    for split in prepared.splits.values():
        assert np.array_equal(split.images, 255 - split.sources)


def test_games_that_contradict_themselves_are_refused() -> None:
    networks = torch.nn.Linear(1, 1)
    players = [Player("one", networks, lambda batch: torch.zeros(()))]

    def sample(n, given):
        return torch.zeros(n, 1)

    with pytest.raises(ValueError, match="names the `latent`"):
        Game(players, sample, networks, encoder=networks)
    with pytest.raises(ValueError, match="by their sources"):
        Game(players, sample, networks, translates=True, conditional=True, latent=Latent(1))
