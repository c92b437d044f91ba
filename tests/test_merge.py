"""One grid in parts: shards by key, and folders merged into one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import MINI

from ganbench.cli import main
from ganbench.shards import Shard
from ganbench.store import Store, Unit


def ganbench(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def cells(folder: Path) -> dict[str, Unit]:
    return {unit.directory.name: unit for unit in Store(folder).cells()}


def decided(unit: Unit) -> str:
    """All that a cell's task decides of its records: scores, costs, weights."""
    manifest = unit.manifest
    for point in ("best", "last"):
        for time in ("seconds", "evaluate_seconds"):
            manifest[point].pop(time)
    events = [{k: v for k, v in event.items() if "seconds" not in k} for event in unit.events()]
    names = (
        "status",
        "best",
        "last",
        "files",
        "metric_versions",
        "generator_updates",
        "images",
        "classes",
        "extractors",
    )
    return json.dumps([unit.task, events, {name: manifest[name] for name in names}], sort_keys=True)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    """One grid, run as a whole and in two shards: folders ``whole``, ``1`` and ``2``."""
    folder = tmp_path_factory.mktemp("grid")
    toml = folder / "bench.toml"
    toml.write_text(MINI.replace("seeds = 1", "seeds = 3"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANBENCH_DATA", str(data_root))
        for name, options in (("whole", []), ("1", ["--shard", "1/2"]), ("2", ["--shard", "2/2"])):
            command = ["run", toml, "--results", folder / name, "--executor", "inline", *options]
            result = ganbench(*command)
            assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def parts(grid: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one of the grid's folders, elsewhere."""

    def copied(name: str, to: str = "") -> Path:
        return Path(shutil.copytree(grid / name / "mini", tmp_path / (to or f"moved-{name}")))

    return copied


def test_every_cell_is_in_one_shard_by_its_key_alone() -> None:
    keys = [hashlib.sha256(bytes([number])).hexdigest() for number in range(256)]
    parts = [{key for key in keys if Shard(number, 7).has(key)} for number in range(1, 8)]
    assert sum(map(len, parts)) == len(keys) == len(set.union(*parts))
    assert min(map(len, parts)) > 256 / 7 / 2


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "-1/3", "1/3/5", ""])
def test_what_is_no_shard_is_said_in_one_sentence(text: str, toml) -> None:
    result = ganbench("run", toml(), "--shard", text)
    assert result.exit_code == 2
    assert result.output == (
        f"error: --shard {text!r} is not K/N with K from 1 to N, such as 3/10 for the third of ten parts\n"
    )


def test_two_shards_merged_are_the_unsharded_run(grid: Path, parts, tmp_path: Path) -> None:
    one, two, into = parts("1"), parts("2"), tmp_path / "all/mini"
    assert cells(one)
    assert cells(two)
    assert not cells(one).keys() & cells(two).keys()
    probes = next(iter(cells(one).values())).directory / "probes"
    probes.mkdir()
    (probes / ".claims").touch()
    result = ganbench("merge", into, one, two)
    assert result.exit_code == 0, result.output
    assert result.output == f"4 copied, 1 there already; records in {into}\n"  # three cells, one dataset
    assert not list(into.glob("cells/*/probes/.claims"))
    whole = cells(grid / "whole/mini")
    assert {name: decided(unit) for name, unit in cells(into).items()} == {
        name: decided(u) for name, u in whole.items()
    }
    assert Store(into).run() == Store(grid / "whole/mini").run()
    assert ganbench("doctor", into).exit_code == 0
    files = [path for path in (into / "cells").rglob("*") if path.is_file() and not path.name.startswith(".")]
    before = [path.stat().st_mtime_ns for path in files]
    assert ganbench("merge", into, one, two).output == f"5 there already; records in {into}\n"
    assert [path.stat().st_mtime_ns for path in files] == before
    shutil.rmtree(one)  # nothing leads back to where it came from
    run = ganbench("run", grid / "bench.toml", "--results", tmp_path / "all", "--executor", "inline")
    assert "3 done; 0 trained now" in run.output


def test_records_that_disagree_are_named_and_not_copied(parts, tmp_path: Path) -> None:
    here, there = parts("whole", "here"), parts("whole", "there")
    name, unit = next(iter(cells(there).items()))
    manifest = unit.manifest
    manifest["best"]["metrics"]["fcd"] += 1
    unit.update(**manifest)  # as another machine would have trained it: sealed
    kept = cells(here)[name].manifest
    result = ganbench("merge", here, there)
    assert result.exit_code == 1
    assert f"left behind: {there}/cells/{name}: its fcd at best differs: " in result.output
    assert "3 there already, 1 left behind" in result.output
    assert cells(here)[name].manifest == kept


def edited(unit: Unit) -> None:
    path = unit.directory / "manifest.json"
    record = json.loads(path.read_text())
    record["best"]["metrics"]["fcd"] = 0.001
    path.write_text(json.dumps(record))


def rewritten_events(unit: Unit) -> None:
    path = unit.directory / "events.jsonl"
    first, *rest = path.read_text().splitlines()
    event = json.loads(first)
    event["metrics"]["fcd"] = 0.001
    path.write_text("\n".join([json.dumps(event), *rest]) + "\n")


def other_seed(unit: Unit) -> None:
    path = unit.directory / "cell.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seed": 7}))


def other_weights(unit: Unit) -> None:
    with unit.snapshot("best").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")


def torn(unit: Unit) -> None:
    path = unit.directory / "manifest.json"
    path.write_text(path.read_text()[:200])


def running(unit: Unit) -> None:
    unit.update(status="running")


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (edited, "manifest.json does not fit its seal: it or events.jsonl was changed after the unit was done"),
        (rewritten_events, "manifest.json does not fit its seal"),
        (other_seed, "cell.json its seed is not that of its identity"),
        (other_weights, "generator-best.safetensors does not fit its checksum"),
        (torn, "manifest.json is not JSON"),
        (running, "it says running"),
    ],
)
def test_what_was_tampered_with_is_torn_or_runs_is_named(parts, tmp_path: Path, tamper, said: str) -> None:
    there = parts("whole")
    name, unit = next(iter(cells(there).items()))
    tamper(unit)
    result = ganbench("merge", tmp_path / "all", there)
    assert result.exit_code == 1
    assert f"left behind: {there}/cells/{name}: {said}" in result.output
    assert name not in cells(tmp_path / "all")
    assert len(cells(tmp_path / "all")) == 2


def test_a_damaged_plan_is_named_and_nothing_is_copied(parts, tmp_path: Path) -> None:
    there = parts("whole")
    (there / "run.json").write_text('{"name": 3}')
    result = ganbench("merge", tmp_path / "all", there)
    assert result.exit_code == 2
    assert f"{there} has a damaged run.json: name should" in result.output
    assert not cells(tmp_path / "all")


def test_cells_scored_by_another_classifier_stay_apart(parts, tmp_path: Path) -> None:
    there = parts("2")
    reference = next(Store(there).references())
    manifest = reference.manifest
    manifest["extractors"]["classifier"]["hash"] = "f" * 64
    reference.update(**manifest)
    result = ganbench("merge", tmp_path / "all", parts("1"), there)
    assert result.exit_code == 1
    assert f"{there}/references/digits: its classifier differs: 'ffffffffffff' there" in result.output
    assert cells(tmp_path / "all").keys() == cells(parts("1", "again")).keys()


def test_runs_under_other_conditions_are_not_one_grid(parts, tmp_path: Path) -> None:
    one, two = parts("1"), parts("2")
    run = json.loads((two / "run.json").read_text())
    run["budget"]["amount"] = 5
    (two / "run.json").write_text(json.dumps(run))
    result = ganbench("merge", tmp_path / "all", one, two)
    assert result.exit_code == 2
    assert "were run with another budget" in result.output
    assert not cells(tmp_path / "all")


def test_probes_travel_into_a_store_too(parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, url = parts("1"), f"file://{tmp_path}/bucket/mini"
    name, unit = next(iter(cells(one).items()))
    assert ganbench("probe", one, name, "interpolate").exit_code == 0
    [probe] = unit.probes()
    monkeypatch.setenv("GANBENCH_STORES", str(tmp_path / "here"))
    result = ganbench("merge", url, one)
    assert result.exit_code == 0, result.output
    monkeypatch.setenv("GANBENCH_STORES", str(tmp_path / "elsewhere"))
    assert ganbench("merge", tmp_path / "back", url).exit_code == 0
    back = Store(tmp_path / "back").cell(name).probe(probe.directory.name)
    assert back.task == probe.task
    assert back.manifest["numbers"] == probe.manifest["numbers"]
    assert [path.read_bytes() for path in sorted(back.directory.glob("*.png"))] == [
        path.read_bytes() for path in sorted(probe.directory.glob("*.png"))
    ]
