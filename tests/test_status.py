"""``ganbench status``: what the records of a grid say, while it runs and after."""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from ganbench import status
from ganbench.cli import main
from ganbench.store import Store
from ganbench.testing.records import Records

BUDGET: dict[str, Any] = {
    "budget": {"unit": "generator_updates", "amount": 100.0},
    "evaluate": {"times": 2, "samples": 10},
}


def done(seconds: float) -> dict[str, Any]:
    """The facts of a done cell that took so long, all of it in training."""
    return {
        "generator_updates": 100, "rounds": 100, "images": 6400, "epochs": 5.0, "environment": {"device": "cpu"},
        "seconds": {"total": seconds, "train": seconds, "evaluate": 0.0},
    }  # fmt: skip


def printed(store: Store) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(status.shown(status.look(store)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def mixed(root: Path) -> Records:
    records = Records(root, **BUDGET)
    directory = records.cell("a-gan", 0, {"fcd": 1.0})
    (directory / "manifest.json").write_text(
        json.dumps({**json.loads((directory / "manifest.json").read_text()), **done(40.0)})
    )
    running = records.cell("a-gan", 1, None, status="running", pid=os.getpid(), host=platform.node())
    (running / "progress.json").write_text(json.dumps({"spent": 0.25, "updates": 1234, "metrics": {"fcd": 5.5}}))
    records.cell("a-gan", 2, None, status="planned")
    records.cell("b-gan", 0, None, status="failed", reason="boom")
    records.cell("b-gan", 1, None, status="diverged", reason="cost is NaN")
    records.cell("c-gan", 0, None, skip="needs labels")
    return records


def test_cells_by_status_what_runs_what_failed_and_the_time_left(tmp_path):
    text = printed(mixed(tmp_path).written())
    assert "study: 6 cells: 1 running, 1 done, 1 failed, 1 diverged, 1 planned, 1 skipped" in text
    assert "about 1 min 10 s left, one at a time" in text  # 30 s of the running cell, 40 s of the planned one
    assert "25%  a-gan on digits, seed 1  update 1,234  fcd 5.5" in text
    assert "b-gan on digits, seed 0: failed: boom" in text
    assert "b-gan on digits, seed 1: diverged: cost is NaN" in text


def test_a_cell_whose_process_is_gone_is_interrupted(tmp_path):
    records = Records(tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    records.cell("a-gan", 0, None, status="running", pid=ended.pid, host=platform.node())
    records.cell("a-gan", 1, None, status="running", pid=ended.pid, host="another machine")
    found = status.look(records.written())
    assert found.counts == {"interrupted": 1, "running": 1}


def test_a_dataset_that_is_made_ready_or_failed_is_there(tmp_path):
    records = Records(tmp_path, **BUDGET)
    records.cell("a-gan", 0, None, status="planned")
    folder = records.dataset("digits", status="running")
    (folder / "progress.json").write_text(json.dumps({"doing": "training the classifier"}))
    records.cell("a-gan", 0, None, status="planned", dataset="lost")
    records.dataset("lost", status="failed", reason="no such file")
    text = printed(records.written())
    assert "dataset digits  training the classifier" in text
    assert "dataset lost: failed: no such file" in text
    assert "no estimate of the time left" in text


def test_watch_ends_when_nothing_is_left_to_do(tmp_path):
    records = Records(tmp_path)
    records.cell("a-gan", 0, {"fcd": 1.0})
    store = records.written()
    outcome = CliRunner().invoke(main, ["status", str(store.root), "--watch"])
    assert outcome.exit_code == 0, outcome.output
    assert "1 cells: 1 done" in outcome.output


def test_looking_writes_nothing(tmp_path):
    store = mixed(tmp_path).written()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    printed(store)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    "damage", [{"status": "no such"}, {"status": "done"}, {"status": "running", "pid": -5}, {"seconds": "x"}]
)
def test_a_damaged_cell_is_a_failure_and_never_a_traceback(tmp_path, damage):
    records = mixed(tmp_path)
    directory = records.cell("d-gan", 0, {"fcd": 1.0})
    (directory / "manifest.json").write_text(json.dumps(damage))
    (directory / "progress.json").write_text(json.dumps({"spent": "x", "updates": {}, "metrics": ["y"]}))
    assert "d-gan on digits, seed 0: failed: its manifest.json is damaged" in printed(records.written())


def test_hostile_strings_are_text(tmp_path):
    hostile = "[red]x[/nope]\x1b[31m\nline"
    records = Records(tmp_path)
    records.cell(hostile, 0, None, status="failed", reason=hostile, dataset=hostile)
    folder = records.cell(hostile, 1, None, status="running", dataset=hostile)
    (folder / "progress.json").write_text(json.dumps({"doing": hostile}))
    text = printed(records.written())
    assert "[red]x[/nope]" in text
    assert "\x1b" not in text


def test_a_folder_without_a_run_is_one_sentence(tmp_path):
    outcome = CliRunner().invoke(main, ["status", str(tmp_path)])
    assert outcome.exit_code == 2
    assert "not a results folder" in outcome.output


def test_status_imports_neither_torch_nor_pandas_and_the_command_line_not_even_rich(tmp_path):
    store = mixed(tmp_path).written()
    heavy = ("torch", "pandas", "scipy", "sklearn", "matplotlib")
    code = (
        "import sys; from ganbench import status; from ganbench.store import Store; from pathlib import Path\n"
        f"status.show(Store(Path({str(store.root)!r})), watch=False)\n"
        f"sys.exit(str([name for name in {heavy} if name in sys.modules] or ''))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.stderr.strip() == ""
    code = "import sys; import ganbench.builtin, ganbench.status_command; print('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout == "False\n"
