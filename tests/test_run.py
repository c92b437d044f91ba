"""`ganbench run` from end to end, on real digits: what is recorded, what is repeated, what happens when cells fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from conftest import MINI, ganbench, install
from PIL import Image

from ganbench.cli import main
from ganbench.store import Store, Unit

Toml = Callable[..., Path]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run(path: Path, results: Path, *options: str) -> Result:
    return invoke("run", path, "--results", results, *options)


def manifests(results: Path, name: str = "mini") -> dict[str, Any]:
    return {unit.directory.name: unit.manifest for unit in Store(results / name).cells()}


def numbers(results: Path, name: str = "mini") -> dict[str, Any]:
    """Everything in the records that must not depend on when and where a cell ran."""
    found = {}
    for unit in Store(results / name).cells():
        events = [{key: e[key] for key in ("generator_updates", "costs", "metrics")} for e in unit.events()]
        found[unit.directory.name] = (events, unit.manifest["best"]["metrics"], unit.manifest["last"]["metrics"])
    return found


def test_a_run_records_everything_and_a_second_one_trains_nothing(toml: Toml, results: Path) -> None:
    path = toml()
    first = run(path, results)
    assert first.exit_code == 0, first.output
    assert "real test images" in first.output
    assert "1 done; 1 trained now" in first.output

    store = Store(results / "mini")
    (unit,) = store.cells()
    manifest = unit.manifest
    assert manifest["status"] == "done"
    assert set(manifest["best"]["metrics"]) == {"cs", "fcd"}
    assert manifest["environment"]["packages"]["torch"]
    assert {"total", "train", "evaluate"} <= set(manifest["seconds"])
    assert [event["generator_updates"] for event in unit.events()] == [2, 4]
    assert sorted(file.name for file in (unit.directory / "samples").iterdir()) == ["00000002.png", "00000004.png"]
    assert Image.open(unit.sample_sheet(4)).size == (10 * 10 + 2, 10 * 10 + 2)
    assert unit.snapshot("best").exists()
    assert unit.snapshot("last").exists()
    assert not (unit.directory / "progress.json").exists()
    reference = store.reference("digits").manifest
    assert reference["extractors"]["classifier"]["test_accuracy"] >= 0.97
    assert set(reference["real"]) == {"cs", "fcd"}
    assert (store.root / "leaderboard.csv").exists()
    assert (store.root / "leaderboard.md").exists()
    assert len(pd.read_parquet(store.root / "results.parquet")) == 2 * 2 + 2 * 2

    before = {file: file.stat().st_mtime_ns for file in unit.directory.rglob("*") if file.is_file()}
    second = run(path, results)
    assert second.exit_code == 0
    assert "0 trained now" in second.output
    assert before == {file: file.stat().st_mtime_ns for file in unit.directory.rglob("*") if file.is_file()}

    report = invoke("report", results / "mini")
    assert report.exit_code == 0, report.output
    for file in ("curves-digits-fcd.png", "curves-digits-fcd.svg", "comparison-digits.png", "samples-digits.png"):
        assert (store.root / "report" / file).stat().st_size > 1000


def test_the_same_seed_twice_gives_bit_identical_numbers(toml: Toml, tmp_path: Path) -> None:
    path = toml(MINI, ('["mlp-gan"]', '["mlp-gan", "dcgan", "cgan", "wgan", "wgan-gp"]'))
    for folder in ("one", "two"):
        assert run(path, tmp_path / folder).exit_code == 0
    one, two = numbers(tmp_path / "one"), numbers(tmp_path / "two")
    assert len(one) == 5
    assert one == two


def test_another_seed_gives_other_numbers(toml: Toml, results: Path) -> None:
    assert run(toml(MINI, ("seeds = 1", "seeds = [3, 4]")), results).exit_code == 0
    a, b = numbers(results).values()
    assert a[0] != b[0]


def test_a_metric_added_later_scores_the_saved_generators_and_trains_nothing(toml: Toml, results: Path) -> None:
    assert run(toml(MINI, ('["cs", "fcd"]', '["fcd"]')), results).exit_code == 0
    (before,) = manifests(results).values()
    assert set(before["last"]["metrics"]) == {"fcd"}
    outcome = run(toml(), results)
    assert outcome.exit_code == 0, outcome.output
    assert "0 trained now" in outcome.output
    (after,) = manifests(results).values()
    assert set(after["last"]["metrics"]) == set(after["best"]["metrics"]) == {"cs", "fcd"}
    assert after["last"]["metrics"]["fcd"] == before["last"]["metrics"]["fcd"]
    assert after["finished"] == before["finished"]

    # Scored again is scored the same: as if it had been measured from the start.
    fresh = results.parent / "fresh"
    assert run(toml(), fresh).exit_code == 0
    (straight,) = manifests(fresh).values()
    assert straight["best"]["metrics"] == after["best"]["metrics"]
    assert straight["last"]["metrics"] == after["last"]["metrics"]


def test_metrics_without_their_weights_are_unavailable_and_the_rest_goes_on(
    toml: Toml, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(toml(MINI, ('["cs", "fcd"]', '["cs", "fcd", "is", "fid"]')), results)
    assert outcome.exit_code == 0, outcome.output
    assert "fid is unavailable on digits" in outcome.output
    (manifest,) = manifests(results).values()
    assert set(manifest["unavailable"]) == {"is", "fid"}
    assert "pt_inception" in manifest["unavailable"]["fid"] or "weights-inception" in manifest["unavailable"]["fid"]
    assert set(manifest["last"]["metrics"]) == {"cs", "fcd"}


def test_unlabelled_images_are_trained_on_and_what_needs_labels_is_unavailable(
    toml: Toml, results: Path, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "plain.npz", x_train=images)
    outcome = run(toml(MINI, ('"digits"', f'"npz:{tmp_path}/plain.npz"')), results)
    assert outcome.exit_code == 0, outcome.output
    (manifest,) = manifests(results).values()
    assert manifest["status"] == "done"
    assert set(manifest["unavailable"]) == {"cs", "fcd"}
    # Without the ranked metric nothing can be chosen by it: the last snapshot stands for the best.
    assert manifest["best"]["generator_updates"] == manifest["last"]["generator_updates"] == 4
    assert invoke("report", results / "mini").exit_code == 0


def test_a_missing_dataset_fails_its_cells_and_no_others(toml: Toml, results: Path) -> None:
    outcome = run(toml(MINI, ('["digits"]', '["digits", "npz:/no/such/file.npz"]')), results)
    assert outcome.exit_code == 1
    statuses = sorted(manifest["status"] for manifest in manifests(results).values())
    assert statuses == ["done", "failed"]
    assert "npz:/no/such/file.npz cannot be used: " in outcome.output
    assert "1 done, 1 failed" in outcome.output


def test_only_trains_what_it_names_and_refuses_what_matches_nothing(toml: Toml, results: Path) -> None:
    path = toml(MINI, ('["mlp-gan"]', '["mlp-gan", "dcgan"]'))
    nothing = run(path, results, "--only", "wgan*")
    assert nothing.exit_code == 2
    assert "matches no cell; variants and datasets here: dcgan, digits, mlp-gan" in nothing.stderr
    assert not results.exists()
    assert run(path, results, "--only", "dc*").exit_code == 0
    assert [unit.task["variant"] for unit in Store(results / "mini").cells()] == ["dcgan"]
    planned = invoke("plan", path, "--results", results)
    assert "2 cells, 1 to train (1 done)" in planned.output


def test_a_results_folder_that_cannot_be_written_is_one_sentence(toml: Toml, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = run(toml(), tmp_path / "file")
    assert outcome.exit_code == 2
    assert "cannot be written" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_device_that_is_not_there_is_one_sentence(toml: Toml, results: Path) -> None:
    outcome = run(toml(), results, "--device", "cuda:7")
    assert outcome.exit_code == 2
    assert "device 'cuda:7' is not there" in outcome.stderr
    assert not results.exists()


def test_a_cell_can_be_run_by_hand_from_its_directory(toml: Toml, results: Path, tmp_path: Path) -> None:
    assert run(toml(), results).exit_code == 0
    (unit,) = Store(results / "mini").cells()
    before = numbers(results)
    unit.update(status="interrupted")
    command = [sys.executable, "-m", "ganbench.worker", str(unit.directory)]
    outcome = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert outcome.returncode == 0, outcome.stderr
    assert unit.manifest["attempt"] == 2
    assert unit.manifest["last"]["metrics"] == pytest.approx(next(iter(before.values()))[2])
    wrong = subprocess.run([*command[:-1], str(tmp_path)], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "it is not the directory of a cell" in wrong.stderr


def test_a_torn_last_line_of_events_is_not_read(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    unit.append({"event": "evaluation", "metrics": {"fcd": 1.0}})
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"event": "evaluation", "metr')
    assert len(unit.events()) == 1


PIXELS = """
from ganbench.api import Extractor, hookimpl


class Pixels(Extractor):
    \"\"\"Pixels as features, and the first ten of them as logits.\"\"\"

    def __init__(self, data):
        self.hash, self.info = "p" * 64, {}

    def __call__(self, images):
        flat = images.flatten(1).double()
        return flat, flat[:, :10]


@hookimpl
def register_extractors(register):
    register("pixels", "ganbench_pixels:Pixels")
"""


def test_train_and_test_images_together_and_another_extractor(tmp_path: Path, toml: Toml, results: Path) -> None:
    environment = install(tmp_path / "site", "pixels", PIXELS)
    whole = 'train_on = "train+test"\nreference = "train+test"\nextractors = { classifier = "pixels" }\n'
    path = toml(whole + MINI, ("generator_updates = 4", "epochs = 0.25"))
    done = ganbench(environment, "run", path, "--results", results)
    assert done.returncode == 0, done.stderr
    (unit,) = Store(results / "mini").cells()
    manifest = unit.manifest
    assert manifest["epochs"] == pytest.approx(manifest["images"] / 1797)
    assert manifest["extractors"] == {"classifier": "p" * 64}
    assert manifest["conditional"] is False

    from sklearn.datasets import load_digits
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    from ganbench.data import lookup
    from ganbench.plugins import installed

    prepared = lookup("digits", installed().dataset("digits"), Path(os.environ["GANBENCH_DATA"]))
    assert prepared is not None
    both = prepared.split("train+test")
    assert len(both.images) == len(load_digits().images)
    assert both.labels is not None
    assert np.array_equal(np.bincount(both.labels), np.bincount(load_digits().target))
    pixels = [torch.tensor(split.images).flatten(1).double() for split in (both, prepared.splits["test"])]
    expected = fid_statistics_to_metric(*map(fid_features_to_statistics, pixels), False)
    fcd = Store(results / "mini").reference("digits").manifest["real"]["fcd"]["value"]
    assert fcd == pytest.approx(expected["frechet_inception_distance"], rel=1e-6)


def test_several_files_run_one_after_the_other_once_all_are_known_to_be_right(toml: Toml, results: Path) -> None:
    one, two = toml(), toml().with_name("two.toml")
    two.write_text(MINI.replace('"mini"', '"second"'))
    planned = invoke("plan", one, two, "--results", results)
    assert "2 benchmarks, 2 configurations, 2 cells in all" in planned.output
    done = invoke("run", one, two, "--results", results)
    assert done.exit_code == 0, done.output
    assert set(manifests(results, "second")) == set(manifests(results))

    two.write_text(MINI.replace('"mini"', '"third"').replace("mlp-gan", "mlp-gun"))
    refused = invoke("run", one, two, "--results", results)
    assert refused.exit_code == 2
    assert "unknown variant 'mlp-gun'" in refused.output
    two.write_text(MINI)
    assert "have the same name 'mini'" in invoke("run", one, two, "--results", results).output
