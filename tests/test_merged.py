"""Several results folders in one report: what may stand in one table, and what must not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from ganbench.cli import main
from ganbench.errors import UserError
from ganbench.merged import merge
from ganbench.report import leaderboards, terminal
from ganbench.report.axes import default_axis
from ganbench.testing.records import Records

EXTRACTORS = {"classifier": {"test_accuracy": 0.97, "hash": "1234abcd"}}


def _records(folder: Path, variant: str, value: float = 1.0, *, unit: str = "epochs", **facts: Any) -> Records:
    """One cell of `variant` on digits; `facts` go into the run, but for those of the dataset."""
    ours = {name: facts.pop(name) for name in ("fingerprint", "task", "extractors") if name in facts}
    run = {"budget": {"unit": unit, "amount": 5.0}, "evaluate": {"samples": 1000}, "train_on": "train", **facts}
    ours["task"] = {"reference": "train", "extractors": {"classifier": "metrics/classifier"}, **ours.get("task", {})}
    records = Records(folder, **run)
    records.dataset(real={"fcd": 0.5}, **{"extractors": EXTRACTORS, **ours})
    curve = {step: {"fcd": value + step, "cs": 3.0} for step in (1, 2)}
    identity = {"variant": f"gans/{variant}", "variant_version": "1", "protocol": 1}
    records.cell(variant, 0, {"fcd": value}, curve=curve, key=f"{variant}{value}", task={"identity": identity})
    return records


def _printed(tables: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    terminal(tables, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_two_recipes_make_one_leaderboard(tmp_path):
    one, other = _records(tmp_path / "a", "dcgan", 2.0).written(), _records(tmp_path / "b", "wgan", 1.0).written()
    tables = merge([one, other], "study")
    board = leaderboards(tables)
    assert list(board["variant"]) == ["wgan", "dcgan", ""]
    assert tables.run["name"] == "study"
    assert len(tables.datasets) == 1
    assert len(tables.references) == 1
    assert "not at equal" not in _printed(tables)


def test_one_folder_is_taken_as_it_is(tmp_path):
    store = _records(tmp_path / "a", "dcgan").written()
    assert merge([store], "other").run == store.tables().run


def test_a_cell_in_two_folders_counts_once_and_a_done_one_is_preferred(tmp_path):
    one, other = _records(tmp_path / "a", "dcgan"), _records(tmp_path / "b", "dcgan")
    other.cell("dcgan", 1, None, status="failed", reason="boom", key="second")
    one.cell("dcgan", 1, {"fcd": 3.0}, curve={1: {"fcd": 3.0}}, key="second")
    one.cell("dcgan", 2, None, status="planned", key="third")
    other.cell("dcgan", 2, {"fcd": 5.0}, key="third")
    tables = merge([one.written(), other.written()], "study")
    assert dict(zip(tables.cells["seed"], tables.cells["status"], strict=True)) == dict.fromkeys(range(3), "done")
    assert len(tables.cells) == 3
    assert len(tables.scores.drop_duplicates(["key", "point", "metric", "generator_updates"])) == len(tables.scores)
    row = leaderboards(tables).iloc[0]
    assert (row["n"], row["fcd_best_mean"]) == (3, 3.0)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"metric": "cs"}, "the ranking differs (fcd at best and cs at best)"),
        ({"at": "last"}, "the ranking differs (fcd at best and fcd at last)"),
        ({"metrics": {"fcd": {"direction": "lower"}, "cs": {"direction": "lower"}}}, "the direction of cs differs"),
        ({"fingerprint": "other"}, "the fingerprint of digits differs (f and other)"),
        ({"extractors": {"classifier": {"hash": "99"}}}, "the classifier of digits differs (1234abcd and 99)"),
        ({"task": {"metrics": {"fcd": "2"}}}, "the protocol version of fcd on digits differs (1 and 2)"),
        ({"task": {"reference": "train+test"}}, "the reference of digits differs (train and train+test)"),
        ({"task": {"extractors": {"classifier": "mine/own"}}}, "the extractor in the place of classifier on digits"),
        ({"train_on": "train+test"}, "the split that variants train on of digits differs (train and train+test)"),
        ({"evaluate": {"samples": 500}}, "the number of samples per evaluation on digits differs (1000 and 500)"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(tmp_path, facts, message):
    stores = [_records(tmp_path / "a", "dcgan").written(), _records(tmp_path / "b", "wgan", **facts).written()]
    with pytest.raises(UserError) as error:
        merge(stores, "study")
    assert f"{tmp_path}/a and {tmp_path}/b are not comparable because {message}" in str(error.value)
    assert "\n" not in str(error.value)


def test_versions_of_a_variant_are_not_averaged(tmp_path):
    one, other = _records(tmp_path / "a", "dcgan"), Records(tmp_path / "b", budget=None)
    identity = {"variant": "gans/dcgan", "variant_version": "2", "protocol": 1}
    other.cell("dcgan", 1, {"fcd": 3.0}, task={"identity": identity}, key="new")
    with pytest.raises(UserError, match="version of dcgan differs"):
        merge([one.written(), other.written()], "study")


def test_a_seed_trained_in_two_ways_is_not_counted_twice(tmp_path):
    one, other = _records(tmp_path / "a", "dcgan", 1.0), _records(tmp_path / "b", "dcgan", 2.0)
    with pytest.raises(UserError, match="both have dcgan on digits with seed 0, trained differently"):
        merge([one.written(), other.written()], "study")


def test_different_budgets_are_never_averaged_and_the_board_says_so(tmp_path):
    long = {"budget": {"unit": "epochs", "amount": 30.0}}
    stores = [
        _records(tmp_path / "a", "dcgan", 2.0).written(),
        _records(tmp_path / "b", "dcgan", 1.0, **long).written(),
        _records(tmp_path / "c", "wgan", 3.0).written(),
    ]
    tables = merge(stores, "study")
    board = leaderboards(tables).query("row == 'configuration'")
    assert list(board["configuration"]) == ["dcgan budget=30 epochs", "dcgan budget=5 epochs", "wgan"]
    assert list(board["n"]) == [1, 1, 1]
    assert "these rows are not at equal budget: 30 epochs for dcgan; 5 epochs for dcgan and wgan" in _printed(tables)


def test_a_run_whose_grids_have_budgets_of_their_own_says_so_and_draws_updates(tmp_path):
    records = Records(tmp_path, budget={"unit": "epochs", "amount": 5.0}, evaluate={"times": 5, "samples": 1000})
    records.cell("dcgan", 0, {"fcd": 1.0}, task={"budget": {"unit": "epochs", "amount": 5.0}})
    own = {"budget": {"unit": "minutes", "amount": 30.0}, "evaluate": {"times": 5, "samples": 5000}}
    records.cell("wgan", 0, {"fcd": 2.0}, task=own)
    tables = records.written().tables()
    assert default_axis(tables.run) == "generator_updates"
    text = _printed(tables)
    assert "these rows are not at equal budget: 30 minutes for wgan; 5 epochs for dcgan" in text
    assert "these rows are not at equal number of samples: 1,000 for dcgan; 5,000 for wgan" in text
    assert "number of evaluations" not in text


def test_precisions_are_kept_apart(tmp_path):
    stores = []
    for precision in ("fp32", "bf16"):
        records = Records(tmp_path / precision)
        records.cell("dcgan", 0, {"fcd": 1.0}, key=precision, task={"precision": precision})
        stores.append(records.written())
    tables = merge(stores, "study")
    assert tables.run["varying"] == ["precision"]
    board = leaderboards(tables)
    assert set(board["configuration"]) == {"dcgan precision=fp32", "dcgan precision=bf16"}


def test_the_command_writes_one_report_where_it_is_told(tmp_path):
    one, other = _records(tmp_path / "a", "dcgan", 2.0), _records(tmp_path / "b", "wgan", unit="minutes")
    stores = [one.written(), other.written()]
    folders = [str(store.root) for store in stores]
    unsaid = CliRunner().invoke(main, ["report", *folders])
    assert unsaid.exit_code == 2
    assert "--to" in unsaid.output
    into_another = CliRunner().invoke(main, ["report", *folders, "--to", folders[0]])
    assert into_another.exit_code == 2
    assert "holds the results of a run" in into_another.output
    done = CliRunner().invoke(main, ["report", *folders, "--to", str(tmp_path / "study")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "study" / "leaderboard.md").read_text().startswith("# study")
    assert (tmp_path / "study" / "report" / "architectures-digits.png").exists()
    assert not (tmp_path / "a" / "leaderboard.md").exists()
