"""`ganbench sample` and `ganbench evaluate`: images of trained cells, and scores of images from anywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from ganbench import report, sampling, scored
from ganbench.cli import main
from ganbench.data import Prepared, lookup
from ganbench.errors import UserError
from ganbench.foreign import read
from ganbench.health import examine
from ganbench.merged import merge
from ganbench.plugins import installed
from ganbench.report import files, latex, leaderboards
from ganbench.report.contenders import contenders
from ganbench.store import Store
from ganbench.testing.records import Records
from ganbench.trained import find_cell, use_named

TOML = """
name = "mini"
seeds = 1
budget = { generator_updates = 4 }
evaluate = { times = 2, samples = 599 }

[[grid]]
variants = ["mlp-gan", "cgan"]
datasets = ["digits"]
params.width = 8
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Store:
    """A run of an ordinary and a conditional GAN; who changes it takes a copy."""
    folder = tmp_path_factory.mktemp("scoring")
    (folder / "mini.toml").write_text(TOML)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANBENCH_DATA", str(data_root))
        done = CliRunner().invoke(
            main, ["run", str(folder / "mini.toml"), "--results", str(folder), "--executor", "inline"]
        )
    assert done.exit_code == 0, done.output
    return Store(folder / "mini")


@pytest.fixture
def copied(trained: Store, tmp_path: Path) -> Store:
    shutil.copytree(trained.root, tmp_path / "mini")
    return Store(tmp_path / "mini")


@pytest.fixture
def digits(trained: Store, data_root: Path) -> Prepared:
    found = lookup("digits", installed().dataset("digits"), data_root)
    assert found
    return found


def ganbench(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def refused(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 2, done.output
    assert done.output.count("error: ") == 1
    return done.output


def cell(store: Store, variant: str) -> Any:
    return next(unit for unit in store.cells() if unit.task["variant"] == variant)


def pngs(images: np.ndarray, folder: Path, labels: Sequence[str] | None = None) -> Path:
    """Write images N×C×H×W, one by one, into `folder` or its sub-folders."""
    for number, image in enumerate(images):
        place = folder / (labels[number] if labels is not None else "")
        place.mkdir(parents=True, exist_ok=True)
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        Image.fromarray(pixels).save(place / f"{number:05d}.png")
    return folder


# --- sample -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["mlp-gan", "cgan"])
@pytest.mark.parametrize("at", ["best", "last"])
def test_samples_have_exactly_the_score_that_is_on_record(trained, tmp_path, variant, at):
    unit = cell(trained, variant)
    where = tmp_path / "drawn.npz"
    said = ganbench("sample", trained.root, unit.directory.name, "-n", 599, "--at", at, "--to", where)
    assert f"{at} snapshot" in said
    ganbench("evaluate", "--dataset", "digits", where, "--json", tmp_path / "scores.json")
    (record,) = json.loads((tmp_path / "scores.json").read_text())["scored"]
    assert {name: score["value"] for name, score in record["metrics"].items()} == unit.manifest[at]["metrics"]


def test_pngs_are_the_images_of_the_npz_file_in_a_folder_per_class(trained, tmp_path):
    name = cell(trained, "cgan").directory.name
    ganbench("sample", trained.root, name, "-n", 300, "--to", tmp_path / "a.npz")
    ganbench("sample", trained.root, name, "-n", 300, "--to", tmp_path / "a")
    arrays = np.load(tmp_path / "a.npz")
    images, labels = arrays["x_train"], arrays["y_train"]
    assert (images.dtype, images.shape, labels.dtype) == (np.uint8, (300, 1, 8, 8), np.int64)
    folder = installed().dataset(f"folder:{tmp_path / 'a'}", {"size": 8, "channels": 1}).load(tmp_path)["train"]
    order = np.argsort(labels, kind="stable")
    assert np.array_equal(folder.images, images[order])
    assert np.array_equal(folder.labels, labels[order])
    npz = installed().dataset(f"npz:{tmp_path / 'a.npz'}").load(tmp_path)["train"]
    assert np.array_equal(npz.images, images)


def test_a_class_is_drawn_alone_and_another_class_gives_other_images(trained, tmp_path):
    name = cell(trained, "cgan").directory.name
    for label in (7, 3):
        ganbench("sample", trained.root, name, "-n", 20, "--class", label, "--to", tmp_path / f"{label}.npz")
    sevens, threes = (np.load(tmp_path / f"{label}.npz") for label in (7, 3))
    assert sevens["y_train"].tolist() == [7] * 20
    assert not np.array_equal(sevens["x_train"], threes["x_train"])


def test_a_seed_gives_the_same_images_again_and_another_one_others(trained, tmp_path):
    name = cell(trained, "mlp-gan").directory.name
    for number, seed in enumerate((5, 5, 6)):
        ganbench("sample", trained.root, name, "-n", 20, "--seed", seed, "--to", tmp_path / f"{number}.npz")
    first, again, other = ((tmp_path / f"{number}.npz").read_bytes() for number in range(3))
    assert first == again
    assert first != other


def test_a_cell_is_named_by_the_beginning_of_its_name_or_key(trained):
    unit = cell(trained, "cgan")
    key = unit.task["key"]
    for text in (unit.directory.name, "cgan", key, key[:8]):
        assert find_cell(trained, text).directory == unit.directory


def test_classes_are_named_as_the_dataset_names_them():
    task = {"variant": "cgan", "dataset": "fashion-mnist", "dataset_id": "data/fashion-mnist", "dataset_params": {}}
    of = SimpleNamespace(task=task, game=SimpleNamespace(conditional=True))
    assert sampling.label_of("sneaker", of) == sampling.label_of("7", of) == 7
    with pytest.raises(UserError, match="no class 'snaeker'; did you mean 'sneaker'"):
        sampling.label_of("snaeker", of)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cgna", "--to", "x"], "did you mean cgan-digits-s0"),
        (["", "--to", "x"], "has no cell ''"),
        (["mlp", "--to", "x", "--class", "3"], "mlp-gan is not conditional"),
        (["cgan", "--to", "x", "--class", "10"], "digits has no class '10'"),
        (["cgan", "--to", "taken"], "is there already"),
        (["cgan", "--to", "x", "--device", "gpu"], "is not one of auto, cpu, cuda"),
    ],
)
def test_what_cannot_be_sampled_is_one_sentence(trained, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    assert said in refused("sample", trained.root, *arguments)
    assert not (tmp_path / "x").exists()


def test_two_cells_that_begin_alike_are_named(tmp_path):
    records = Records(tmp_path)
    for seed in range(2):
        records.cell("a-gan", seed, {"fcd": 1.0})
    with pytest.raises(UserError, match=r"2 cells .* begin with 'a-gan': a-gan-s0-00000000, a-gan-s1-00000001"):
        find_cell(records.written(), "a-gan")


def test_a_cell_without_a_whole_snapshot_is_one_sentence(copied, tmp_path):
    assert "is not a results folder" in refused("sample", tmp_path / "none", "cgan", "--to", tmp_path / "x")
    unit = cell(copied, "cgan")
    path = unit.snapshot("best")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert "does not fit its checksum" in refused("sample", copied.root, "cgan", "--to", tmp_path / "x")
    path.unlink()
    assert "has no generator-best.safetensors" in refused("sample", copied.root, "cgan", "--to", tmp_path / "x")
    unit.update(status="failed", reason="boom")
    assert "is failed (boom) and so has no snapshot" in refused("sample", copied.root, "cgan", "--to", tmp_path / "x")


def test_a_plugin_of_one_file_is_not_run_because_a_record_names_it(tmp_path):
    record = {"file": str(tmp_path / "evil.py"), "sha256": "0" * 64}
    with pytest.raises(UserError, match=r"was made by the plugin .*evil.py .*--plugin"):
        use_named({"plugins": [record]})


# --- evaluate ---------------------------------------------------------------------------------------------------------


def test_the_real_test_images_have_exactly_the_numbers_of_the_real_row(trained, digits, tmp_path):
    folder = pngs(digits.splits["test"].images, tmp_path / "real")
    images, labels, *_ = digits.splits["test"]
    np.savez(tmp_path / "plain.npz", np.asarray(images[:, 0]), np.asarray(labels))  # arr_0 and arr_1
    paths = [folder, tmp_path / "plain.npz"]
    output = ganbench("evaluate", "--dataset", "digits", *paths, "--json", tmp_path / "scores.json")
    written = json.loads((tmp_path / "scores.json").read_text())
    real = trained.reference("digits").manifest["real"]
    assert set(real) == {"cs", "fcd"}
    assert written["real"] == real
    for record in written["scored"]:
        assert {name: score["value"] for name, score in record["metrics"].items()} == {
            name: row["value"] for name, row in real.items()
        }
        assert (record["samples"], record["resized"]) == (599, 0)
    lines = [line.split() for line in output.splitlines()]
    assert lines[1][:3] == ["real", "test", "images"]
    assert lines[1][3:] == lines[2][1:] == lines[3][1:]


def test_scores_into_a_run_stand_apart_on_its_leaderboard_and_change_nothing_else(copied, digits, tmp_path):
    before = report.Ranked(copied.tables())
    folder = pngs(digits.splits["test"].images, tmp_path / "theirs")
    output = ganbench("evaluate", "--into", copied.root, folder, "--name", "=their gan")
    assert "apart from what was trained there" in output
    ranked = report.Ranked(copied.tables())
    table = ranked.leaderboards
    (row,) = table[table["row"] == "scored"].to_dict("records")
    real = table[table["row"] == "real"].to_dict("records")[0]
    assert row["configuration"] == "† =their gan"
    assert pd.isna(row["rank"])
    assert row["planned"] == 0
    assert row["fcd_best_mean"] == row["fcd_last_mean"] == real["fcd_best_mean"]
    assert list(table["row"]) == ["configuration", "configuration", "scored", "real"]
    pd.testing.assert_frame_equal(
        table[table["row"] != "scored"].reset_index(drop=True), before.leaderboards, check_dtype=False
    )
    assert contenders(ranked) == contenders(before)
    text = files.markdown(ranked)
    assert "| † =their gan " in text
    sentence = (
        "scored from files, not trained here (n = 1), so neither ranked nor compared: 599 images of theirs, sha256"
    )
    assert sentence in text
    assert r"\textdagger{} =their gan" in latex.document(ranked)
    assert ",scored,,,† =their gan," in files.csv(ranked)
    report.write(ranked, copied.root, pictures=False, formats=("html",))
    page = (copied.root / "report" / "index.html").read_text()
    assert '<tr data-kind="scored">' in page
    assert sentence in page
    assert examine(copied.root).damaged == 0


def test_the_same_images_replace_their_row_and_others_of_that_name_are_refused(copied, digits, tmp_path):
    folder = pngs(digits.splits["test"].images[:100], tmp_path / "theirs")
    for _ in range(2):
        ganbench("evaluate", "--into", copied.root, folder)
    assert [path.name for path in copied.scored("digits")] == ["theirs.json"]
    pngs(digits.splits["test"].images[100:101], folder / "more")
    shutil.move(folder / "more" / "00000.png", folder / "more.png")
    (folder / "more").rmdir()
    assert "has scores of other images called 'theirs'" in refused("evaluate", "--into", copied.root, folder)


def test_a_run_gives_its_number_of_samples_metrics_and_hashes(copied, digits, tmp_path):
    images = np.concatenate([digits.splits["train"].images, digits.splits["test"].images])
    np.savez(tmp_path / "many.npz", x_train=images)
    output = ganbench("evaluate", "--into", copied.root, tmp_path / "many.npz", "--metric", "fcd")
    assert "599 of its 1,797 images, a fixed random choice, are scored" in output
    record = json.loads(copied.scored("digits")[0].read_text())
    assert list(record["metrics"]) == ["fcd"]
    assert (record["samples"], record["available"]) == (599, 1797)
    assert "is not scored by 'is'" in refused(
        "evaluate", "--into", copied.root, tmp_path / "many.npz", "--metric", "is"
    )
    reference = copied.reference("digits")
    known = reference.manifest["extractors"]["classifier"]
    reference.update(extractors={"classifier": {**known, "hash": "0" * 64}})
    assert "is not the one that the run was scored with" in refused(
        "evaluate", "--into", copied.root, tmp_path / "many.npz"
    )
    task = json.loads((reference.directory / "task.json").read_text())
    task["metrics"]["fcd"] = "0"
    (reference.directory / "task.json").write_text(json.dumps(task))
    assert "are scored by fcd version 0, and this is version 1" in refused(
        "evaluate", "--into", copied.root, tmp_path / "many.npz"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dataset", "digits", "nothing"], "there is nothing at nothing"),
        (["--dataset", "digits", "empty"], "empty holds no images"),
        (["--dataset", "digits", "notes.txt"], "neither a folder of images nor an .npz file"),
        (["--dataset", "digts", "good.npz"], "did you mean 'digits'"),
        (["--dataset", "digits", "--metric", "fcdd", "good.npz"], "did you mean 'fcd'"),
        (["--dataset", "digits", "large.npz"], "holds images of 3×16×16, and the dataset's are 1×8×8"),
        (["--dataset", "digits", "floats.npz"], "floats.npz is float32 of shape (4, 8, 8)"),
        (["--dataset", "digits", "broken.npz"], "truncated or damaged"),
        (
            ["--dataset", "digits", "--metric", "is", "good.npz"],
            "good.npz has too few images for is: 4, and it needs 20",
        ),
        (["--dataset", "digits", "one"], "one has too few images for cs: 1, and it needs 2"),
        (["--dataset", "digits", "--samples", "5", "good.npz"], "holds 4 images, fewer than --samples 5"),
        (["--dataset", "digits", "both.npz"], "has the splits train and test; say which to score with --split"),
        (["--dataset", "digits", "--split", "test", "good.npz"], "has no test split"),
        (["--dataset", "digits", "small"], "are smaller than size = 8"),
        (["good.npz"], "--dataset NAME"),
        (["--dataset", "digits", "good.npz", "one", "--name", "x"], "--name is for one PATH"),
        (["--dataset", "digits", "good.npz", "good.npz"], "two PATHs end alike"),
        (["--dataset", "digits", "good.npz", "--name", "\n"], "cannot be a name"),
        (["--into", "nowhere", "good.npz"], "is not a results folder"),
    ],
)
def test_what_cannot_be_scored_is_one_sentence(tmp_path, monkeypatch, trained, arguments, said):
    monkeypatch.chdir(tmp_path)
    images = np.zeros((4, 8, 8), np.uint8)
    np.savez("good.npz", x_train=images)
    np.savez("both.npz", x_train=images, x_test=images)
    np.savez("floats.npz", images.astype(np.float32))
    np.savez("large.npz", np.zeros((4, 16, 16, 3), np.uint8))
    Path("broken.npz").write_bytes(b"PK")
    Path("notes.txt").write_text("")
    Path("empty").mkdir()
    pngs(images[:1, None], Path("one"))
    pngs(np.zeros((2, 1, 4, 4), np.uint8), Path("small"))
    assert said in refused("evaluate", *arguments)


def test_a_run_without_that_dataset_or_with_several_is_one_sentence(tmp_path):
    records = Records(tmp_path / "run")
    records.cell("a-gan", 0, {"fcd": 1.0})
    records.cell("a-gan", 0, {"fcd": 1.0}, dataset="mnist")
    records.dataset("mnist", status="failed", reason="no such file")
    store = records.written()
    with pytest.raises(UserError, match="has the datasets digits, mnist; say which with --dataset"):
        scored.of_run(store, None, [])
    with pytest.raises(UserError, match=r"has no dataset 'minst'; did you mean 'mnist'\?; it has digits, mnist"):
        scored.of_run(store, "minst", [])
    with pytest.raises(UserError, match=r"did not get mnist ready \(failed: no such file\)"):
        scored.of_run(store, "mnist", [])


def test_labels_are_kept_where_they_are_the_datasets(tmp_path, digits):
    images = digits.splits["test"].images[:6]
    numbers = [str(number) for number in range(10)]

    def labels(folders: Sequence[str], classes: Sequence[str], name: str) -> tuple[Any, list[str]]:
        folder = pngs(images, tmp_path / name, folders)
        found = read(folder, digits.spec, classes, tmp_path)
        return None if found.split.labels is None else found.split.labels.tolist(), found.notes

    assert labels(["3", "3", "3", "7", "7", "7"], numbers, "numbers") == ([3, 3, 3, 7, 7, 7], [])
    assert labels(["b"] * 3 + ["c"] * 3, ["a", "b", "c"], "names") == ([1, 1, 1, 2, 2, 2], [])
    none, notes = labels(["part-1"] * 3 + ["part-2"] * 3, numbers, "parts")
    assert none is None
    assert "labels are left out: no class is called like its folder 'part-1'" in notes[0]
    np.savez(tmp_path / "labelled.npz", np.asarray(images), np.array([0, 1, 2, 3, 4, 5]))
    found = read(tmp_path / "labelled.npz", digits.spec, numbers[:4], tmp_path)
    assert found.split.labels is None
    assert "they run from 0 to 5 for 4 classes" in found.notes[0]


def test_larger_files_are_reduced_as_folder_does_and_counted(tmp_path, digits):
    rng = np.random.default_rng(0)
    pngs(rng.integers(0, 256, (3, 3, 16, 16), dtype=np.uint8), tmp_path / "in" / "large")
    folder = tmp_path / "in" / "large"
    pngs(rng.integers(0, 256, (1, 1, 8, 8), dtype=np.uint8), folder / "a")
    shutil.move(folder / "a" / "00000.png", folder / "z.png")
    (folder / "a").rmdir()
    found = read(folder, digits.spec, [], tmp_path)
    as_folder = installed().dataset(f"folder:{folder}", {"size": 8, "channels": 1}).load(tmp_path)["train"]
    assert np.array_equal(found.split.images, as_folder.images)
    assert found.resized == 3
    assert "3 image files of another size are reduced to 8×8" in found.notes[0]


def test_the_digest_of_a_folder_can_be_made_by_hand(tmp_path, digits):
    folder = pngs(digits.splits["test"].images[:3], tmp_path / "some")
    found = read(folder, digits.spec, [], tmp_path)
    command = "find . -type f | sed 's|^./||' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    by_hand = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True)
    assert found.digest == by_hand.stdout.split()[0]


def test_the_commands_say_what_they_do_without_torch():
    program = (
        "import sys; from click.testing import CliRunner; from ganbench.cli import main\n"
        "for name in ('sample', 'evaluate'):\n"
        "    done = CliRunner().invoke(main, [name, '--help'])\n"
        "    assert done.exit_code == 0 and 'Examples' in done.output\n"
        "print([name for name in ('torch', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- records on the leaderboard ---------------------------------------------------------------------------------------


def _record(**changes: Any) -> dict[str, Any]:
    score = {"value": 3.0, "version": "1", "extractor": "classifier", "hash": "c"}
    record = {
        "name": "theirs", "dataset": "digits", "fingerprint": "f", "reference": "train", "source": "theirs.npz",
        "sha256": "ab" * 32, "samples": 1000, "metrics": {"fcd": score, "cs": {**score, "value": 8.0}},
    }  # fmt: skip
    return {**record, **changes}


@pytest.fixture
def records(tmp_path: Path) -> Records:
    made = Records(tmp_path / "run", evaluate={"samples": 500})
    made.cell("a-gan", 0, {"fcd": 4.0, "cs": 7.0})
    extractors = {"classifier": {"test_accuracy": 0.97, "hash": "c"}}
    made.dataset(real={"fcd": 0.1, "cs": 9.0}, extractors=extractors, task={"reference": "train"})
    return made


def test_scores_of_the_runs_protocol_are_shown_with_their_number_of_images(records):
    store = records.written()
    store.keep_scored(_record())
    table = leaderboards(store.tables())
    assert table.loc[table["row"] == "scored", "fcd_best_mean"].tolist() == [3.0]
    assert table.loc[table["row"] == "configuration", "rank"].tolist() == [1]
    assert "1,000 images of theirs.npz, sha256 abababababab (cells are scored with 500)" in files.markdown(
        store.tables()
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"fingerprint": "g"}, "the dataset's content was another"),
        ({"reference": "train+test"}, "it compares with train+test, and the run with train"),
        ({"version": "0"}, "it is of protocol version 0, and the run has version 1"),
        ({"hash": "d"}, "it is by another classifier, d instead of c"),
    ],
)
def test_scores_of_another_protocol_are_not_shown_and_why(records, changes, why):
    store, record = records.written(), _record()
    for name, value in changes.items():
        (record if name in record else record["metrics"]["fcd"])[name] = value
    store.keep_scored(record)
    table = leaderboards(store.tables())
    assert table.loc[table["row"] == "scored", "fcd_best_mean"].isna().all()
    assert f"fcd is not shown: {why}" in files.markdown(store.tables())


def test_a_damaged_record_is_a_note_and_damage_for_the_doctor(records, tmp_path):
    store = records.written()
    path = store.keep_scored(_record())
    path.write_text("{")
    assert leaderboards(store.tables())["row"].tolist() == ["configuration", "real"]
    assert "† theirs: its theirs.json is damaged: it is not a JSON object" in files.markdown(store.tables())
    assert ("damaged", "scored/digits/theirs.json") in [line[:2] for line in examine(store.root).lines()]
    path.unlink()
    (tmp_path / "else.json").write_text(json.dumps(_record()))
    os.symlink(tmp_path / "else.json", path)
    assert "its theirs.json is no plain file" in files.markdown(store.tables())


def test_several_folders_show_the_same_images_once(records, tmp_path):
    other = Records(tmp_path / "other", evaluate={"samples": 500})
    other.cell("b-gan", 0, {"fcd": 5.0, "cs": 6.0}, key="ff")
    extractors = {"classifier": {"test_accuracy": 0.97, "hash": "c"}}
    other.dataset(real={"fcd": 0.1, "cs": 9.0}, extractors=extractors, task={"reference": "train"})
    stores = [records.written(), other.written()]
    for store in stores:
        store.keep_scored(_record())
    stores[1].keep_scored(_record(name="more"))
    table = leaderboards(merge(stores, "both"))
    assert table.loc[table["row"] == "scored", "configuration"].tolist() == ["† more", "† theirs"]
