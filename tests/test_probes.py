"""Probes: what they are kept by, what becomes of one that fails, and what a run and its report do with them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import MINI

from ganbench.cli import main
from ganbench.report import probes
from ganbench.store import Store, Unit

SOURCE = '''
from dataclasses import dataclass

from ganbench.api import Params, Probe, Probed, hookimpl, param


@dataclass(frozen=True)
class Count(Params):
    count: int = param(4, "samples", min=1)


class Bright(Probe):
    """The mean of some samples."""

    Params = Count

    def run(self, trained, params):
        images = trained.decoded(trained.game.latent(params.count))
        return Probed({"mean": float(images.mean())}, {"some": trained.sheet(images, 2)}, "of <b>some</b> samples")


class Broken(Bright):
    """It raises."""

    def run(self, trained, params):
        raise RuntimeError("no luck")


class Encoded(Bright):
    """It is for games with an encoder."""

    def unsuitable(self, game, data):
        return None if game.encoder is not None else "it needs an encoder"


@hookimpl
def register_probes(register):
    register("bright", "own_probes:Bright")
    register("broken", "own_probes:Broken")
    register("encoded", "own_probes:Encoded")
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    """Two seeds of a small GAN, probed by one that works, one that fails and one that it is not for."""
    folder = tmp_path_factory.mktemp("probed")
    (folder / "own_probes.py").write_text(SOURCE)
    probes = 'probes = ["bright", { name = "bright", params = { count = 6 } }, "broken", "encoded"]'
    head = f'plugins = ["./own_probes.py"]\n{probes}'
    (folder / "bench.toml").write_text(MINI.replace("seeds = 1", f"seeds = 2\n{head}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANBENCH_DATA", str(data_root))
        done = _run(folder)
    assert done.exit_code == 0, done.output
    (folder / "said.txt").write_text(done.output)
    return folder


def _run(folder: Path):
    return _here("run", folder / "bench.toml", "--results", folder / "results", "--executor", "inline")


def _here(*arguments: object):
    """The command in this process, which is quicker."""
    return CliRunner().invoke(main, [*map(str, arguments)])


def _found(folder: Path) -> dict[str, list[Unit]]:
    cells = Store(folder / "results" / "mini").cells()
    return {cell.directory.name: cell.probes() for cell in cells}


def test_a_run_carries_out_its_probes_on_the_best_cell_of_a_variant_alone(run: Path) -> None:
    store = Store(run / "results" / "mini")
    best = min(store.cells(), key=lambda cell: cell.manifest["best"]["metrics"]["fcd"])
    found = _found(run)
    assert {name for name, probes in found.items() if probes} == {best.directory.name}
    manifests = {(probe.task["probe"]["name"], probe.task["probe"]["params"]["count"]): probe.manifest
                 for probe in found[best.directory.name]}  # fmt: skip
    assert {name: manifest["status"] for name, manifest in manifests.items()} == {
        ("bright", 4): "done",
        ("bright", 6): "done",
        ("broken", 4): "failed",
        ("encoded", 4): "skipped",
    }
    assert manifests["bright", 4]["numbers"]["mean"] != manifests["bright", 6]["numbers"]["mean"]
    assert manifests["encoded", 4]["reason"] == "it needs an encoder"


def test_a_probe_that_fails_is_a_note_of_the_run_with_its_reason(run: Path) -> None:
    said = (run / "said.txt").read_text()
    assert "probe broken of mlp-gan on digits is failed: RuntimeError: no luck" in said
    assert "probe encoded of mlp-gan on digits is skipped: it needs an encoder" in said


def test_what_was_found_is_kept_and_what_failed_is_tried_again(run: Path) -> None:
    before = {probe.directory: probe.manifest["attempt"] for probes in _found(run).values() for probe in probes}
    again = _run(run)
    assert again.exit_code == 0, again.output
    after = {probe.directory: probe.manifest["attempt"] for probes in _found(run).values() for probe in probes}
    tried = {path.name.rpartition("-")[0] for path in after if after[path] != before[path]}
    assert tried == {"broken"}


def test_the_command_probes_any_cell_and_shows_what_is_there_already(run: Path, tmp_path: Path) -> None:
    name = next(name for name, probes in _found(run).items() if not probes)
    root = shutil.copytree(run / "results" / "mini", tmp_path / "mini")
    ask = (root, name, "bright", "--param", "count=3", "--plugin", run / "own_probes.py")
    first = _here("probe", *ask)
    assert first.exit_code == 0, first.stderr
    (unit,) = Store(root).cell(name).probes()
    assert unit.manifest["attempt"] == 1
    assert str(unit.directory / "some.png") in first.stdout
    second = _here("probe", *ask)
    assert second.stdout in first.stdout
    assert unit.manifest["attempt"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("mlp-gan", "bright"), 2, "2 cells of"),
        (("mlp-gan-digits-s0", "brigth"), 2, "did you mean 'bright'"),
        (("mlp-gan-digits-s0", "bright", "--param", "count=0"), 2, "count of bright = 0 is not admissible"),
        (("nothing", "bright"), 2, "has no cell 'nothing'"),
        (("mlp-gan-digits-s0", "encoded"), 1, "skipped: it needs an encoder"),
    ],
)
def test_bad_input_is_one_sentence(run: Path, arguments, code: int, sentence: str) -> None:
    cell, *rest = arguments
    done = _here("probe", run / "results" / "mini", cell, *rest, "--plugin", run / "own_probes.py")
    assert (done.exit_code, sentence in done.stderr) == (code, True), done.stderr


def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path: Path) -> None:
    for probe, sentence in (
        ('"interpolat"', "did you mean 'interpolate'"),
        ('{ name = "interpolate", params = { rows = 0 } }', "rows of interpolate = 0 is not admissible"),
        ('"interpolate", "interpolate"', "probe 'interpolate' is there twice"),
    ):
        file = tmp_path / "bench.toml"
        file.write_text(MINI.replace("seeds = 1", f"seeds = 1\nprobes = [{probe}]"))
        done = _here("plan", file)
        assert done.exit_code == 2
        assert f"{file}, line 4: " in done.stderr
        assert sentence in done.stderr


def test_the_report_shows_numbers_and_pictures_and_what_failed(run: Path, tmp_path: Path) -> None:
    done = _here(
        "report", run / "results" / "mini", "--to", tmp_path / "out", "--format", "html,csv", "--pictures", "all"
    )
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader((tmp_path / "out" / "probes.csv").open()))
    known = {
        (unit.task["probe"]["name"], unit.task["probe"]["params"]["count"]): unit
        for probes in _found(run).values()
        for unit in probes
    }
    told = {(row["probe"], json.loads(row["params"])["count"]): row for row in rows}
    assert told.keys() == known.keys()
    assert float(told["bright", 6]["value"]) == known["bright", 6].manifest["numbers"]["mean"]
    assert (told["broken", 4]["status"], told["broken", 4]["quantity"]) == ("failed", "")
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "of &lt;b&gt;some&lt;/b&gt; samples" in page
    assert "it needs an encoder" in page
    (source,) = re.findall(r'src="(samples/[^"]*bright[^"]*)"', page)[:1]
    shown = {path.read_bytes() for path in (tmp_path / "out" / "report").glob("samples/*/bright-*.png")}
    assert (tmp_path / "out" / "report" / source).read_bytes() in shown
    assert known["bright", 4].directory.joinpath("some.png").read_bytes() in shown


@pytest.mark.parametrize(
    "change",
    [
        {"pictures": ["../../real"]},
        {"numbers": {"<script>": 1.0}},
        {"numbers": {"mean": "1"}},
        {"status": "fine"},
        {"note": ["no", "text"]},
    ],
)
def test_a_damaged_record_is_left_out_of_a_report(run: Path, tmp_path: Path, change: dict[str, object]) -> None:
    root = tmp_path / "copy"
    shutil.copytree(run / "results" / "mini", root)
    (task,) = (path for path in root.glob("cells/*/probes/*/task.json") if '"count": 6' in path.read_text())
    path = task.with_name("manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    counts = [one.record["params"]["count"] for one in probes.found(Store(root).tables())]
    assert 6 not in counts
    assert 4 in counts


def test_a_cell_that_is_trained_anew_has_no_old_probes(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(run / "results" / "mini", root)
    cell = next(cell for cell in Store(root).cells() if cell.probes())
    cell.clear()
    assert not cell.probes()
