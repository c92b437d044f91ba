"""Large studies: what is done for a cell is done once, and twice as many cells are twice the work."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow.parquet import ParquetFile
from rich.console import Console

from ganbench.cli import main
from ganbench.config import read
from ganbench.plan import key, resolve
from ganbench.plugins import installed
from ganbench.report import Ranked, files, plots, style, terminal
from ganbench.report.statistics import interval, intervals
from ganbench.report.study import Study
from ganbench.testing.records import Records

ROOT = Path(__file__).parents[1]
#: Runs the commands in one process; how many functions each has called, and how often it opened which records.
COUNTING = """
import json, os, sys
from collections import Counter
from click.testing import CliRunner
from ganbench.cli import main
from ganbench.plugins import installed

opened, calls = Counter(), 0

def hear(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        opened[os.path.basename(arguments[0])] += 1

def count(frame, event, argument):
    global calls
    calls += event in ("call", "c_call")

installed()
sys.addaudithook(hear)
found = []
for arguments in json.loads(sys.argv[1]):
    CliRunner().invoke(main, arguments, catch_exceptions=False)  # so that nothing is imported while we count
    opened.clear()
    calls = 0
    sys.setprofile(count)
    outcome = CliRunner().invoke(main, arguments, catch_exceptions=False)
    sys.setprofile(None)
    assert outcome.exit_code == 0, outcome.output
    found.append({"calls": calls, **{name: opened[name] for name in ("cell.json", "manifest.json", "events.jsonl")}})
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    """The benchmark ``bench/scale.py``."""
    spec = importlib.util.spec_from_file_location("scale", ROOT / "bench" / "scale.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SIZES = (1, 2, 4)  # datasets, with 20 cells each


@pytest.fixture(scope="module")
def counts(scale: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """For every size what `plan`, `report` and `run` of a finished study do."""
    folder = tmp_path_factory.mktemp("scale")
    environment, found = scale.install(folder), []
    for size in SIZES:
        root = scale.made(folder / str(size), scale.Shape(2, size, 5, 1, 1, 2), environment)
        plan, results = str(root / "bench.toml"), str(root / "results")
        commands = [
            ["plan", plan, "--results", results],
            ["report", f"{results}/scale", "--pictures", "none"],
            ["run", plan, "--results", results],
        ]
        command = [sys.executable, "-c", COUNTING, json.dumps(commands)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    return found


@pytest.mark.parametrize(("number", "command"), [(0, "plan"), (1, "report"), (2, "run")])
def test_work_grows_as_the_number_of_cells_does(counts, number, command):
    first, second, third = (size[number]["calls"] for size in counts)
    assert third - second == pytest.approx(2 * (second - first), rel=0.15), command


def test_every_record_is_read_once_by_plan_and_report_and_manifests_once_more_by_a_run_without_work(counts):
    for size, (plan, made, run) in zip(SIZES, counts, strict=True):
        cells, references = 20 * size, size
        assert plan["manifest.json"] == cells + references  # that of each prepared dataset, below the data root
        assert (plan["cell.json"], plan["events.jsonl"]) == (0, 0)
        assert made == {"calls": made["calls"], "cell.json": cells, "manifest.json": cells + references,
                        "events.jsonl": cells}  # fmt: skip
        assert (run["cell.json"], run["events.jsonl"]) == (cells + references, cells)
        assert run["manifest.json"] < 2 * cells + 10 * references


# --- plan -------------------------------------------------------------------------------------------------------------

HEAD = """
name = "many"
seeds = {seeds}
budget = {{ epochs = 1 }}
metrics = ["fcd"]
[[grid]]
variants = ["mlp-gan"]
datasets = ["digits"]
params.width = {widths}
"""


@pytest.mark.parametrize(
    ("seeds", "widths", "options", "lines", "first"),
    [
        (2, 3, [], 1 + 6 + 2, "mlp-gan on digits  WIDTH=1     0     new"),
        (251, 2, [], 1 + 2 + 3, "mlp-gan on digits  WIDTH=1     251    251 new"),
        (1, 501, [], 1 + 1 + 3, "mlp-gan on digits    501             501    501 new"),
        (251, 2, ["--cells"], 1 + 502 + 2, "mlp-gan on digits  WIDTH=1     0     new"),
    ],
)
def test_a_plan_is_shown_in_the_smallest_steps_that_anybody_can_read(seeds, widths, options, lines, first, tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(HEAD.format(seeds=seeds, widths=list(range(1, 1 + widths))))
    outcome = CliRunner().invoke(main, ["plan", str(path), "--results", str(tmp_path / "results"), *options])
    assert outcome.exit_code == 0, outcome.output
    shown = [line.strip() for line in outcome.output.splitlines()]
    assert shown[1] == first
    assert len(shown) == lines
    assert shown[-1] == "no estimate of how long that takes: no cell like these is done yet"
    assert shown[-2] == f"{widths} configurations, {seeds * widths} cells, {seeds * widths} to train"


def test_the_key_of_a_cell_is_that_of_its_whole_identity(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(HEAD.format(seeds="[0, 7, 2147483647]", widths=[4, 5]))
    cells = resolve(*read(path), installed()).cells({"digits": "f" * 64})
    assert len(cells) == 6
    for cell in cells:
        assert cell.key == key(cell.task["identity"])
        assert cell.directory == f"mlp-gan-digits-s{cell.seed}-{cell.key[:12]}"


# --- reports ----------------------------------------------------------------------------------------------------------


def _many(folder: Path, configurations: int) -> Ranked:
    records = Records(folder)
    for number in range(configurations):
        scores = {"fcd": 1.0 + number, "cs": 2.0}
        records.cell("dcgan", 0, scores, params={"lr": number}, curve={50: scores, 100: scores})
    records.cell("wgan", 0, None, status="failed", reason="boom")
    records.cell("wgan", 1, {"fcd": 1.0})
    return Ranked(records.written().tables())


def test_the_long_table_is_the_same_in_many_parts(tmp_path, monkeypatch):
    ranked = _many(tmp_path, 5)
    whole = files.parquet(ranked)
    monkeypatch.setattr(files, "_ROWS", 4)
    parts = files.parquet(ranked)
    assert ParquetFile(io.BytesIO(whole)).num_row_groups == 1
    assert ParquetFile(io.BytesIO(parts)).num_row_groups > 5
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(parts)), pd.read_parquet(io.BytesIO(whole)))


def test_the_terminal_shows_the_first_rows_of_a_long_board_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["ganbench.report.terminal"], "MOST", 3)
    console = Console(file=io.StringIO(), width=160)
    terminal(_many(tmp_path, 9), console)
    text = console.file.getvalue()
    assert "dcgan lr=1 " in text
    assert "dcgan lr=5 " not in text
    assert "and 7 more: the files have all of them" in text


def test_of_many_experiments_only_the_pictures_of_datasets_are_drawn_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr("ganbench.report.MANY", 1)
    _many(tmp_path, 2)
    few = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert few.exit_code == 0, few.output
    assert "there are 2 variants on a dataset, more than 1: pictures of each are left out" in few.output
    kinds = {path.name.partition("-")[0] for path in (tmp_path / "report").iterdir()}
    assert kinds == {"curves", "comparison", "samples", "index.html"}


def test_many_plain_lines_are_one_artist_and_the_picture_is_the_same_to_the_eye(tmp_path, monkeypatch):
    study = Study(_many(tmp_path, 15))

    def drawn() -> tuple[int, np.ndarray]:
        figure = plots.curves(study, "digits", "fcd")
        assert figure
        content = style.png(figure)
        return len(figure.axes[0].lines), np.asarray(Image.open(io.BytesIO(content)).convert("L"), dtype=int)

    lines, apart = drawn()
    monkeypatch.setattr("ganbench.report.lines._MANY", 11)
    fewer, together = drawn()
    assert lines - fewer == 12  # of 15 configurations three stand out
    assert (abs(apart - together) > 40).mean() < 0.001
    assert (apart < 250).sum() == pytest.approx((together < 250).sum(), rel=0.01)


@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=12), max_size=12))
def test_many_intervals_are_those_of_one_after_the_other_to_the_same_bits(samples):
    assert repr(intervals(samples)) == repr([interval(sample) for sample in samples])
