"""A real Slurm of one node: ``bench/slurm-one-node.sh start``, ``pytest -n 0 -m cluster tests/test_slurm_cluster.py``.

It takes minutes, two of which Slurm lets a job wait that it runs again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clusters import numbers, ran, start, until

from ganbench.plugins import Named, let_go, use
from ganbench.store import Store, Unit
from ganbench.testing.kit import suite

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'ganbench[slurm]'")
pytestmark = pytest.mark.cluster

GRID = """
name = "grid"
seeds = 2
budget = { generator_updates = 20 }
evaluate = { times = 2, samples = 100 }
metrics = ["cs", "fcd"]
executor = { name = "slurm", params = { minutes = 30 } }

[[grid]]
variants = ["mlp-gan", "dcgan"]
datasets = ["digits"]
params.width = 8
"""
LONG = GRID.replace("20 }", "UPDATES }").replace(', "dcgan"', "").replace("= 2\n", "= 1\n")


@pytest.fixture(scope="module", autouse=True)
def _slurm(data_root: Path) -> None:
    os.environ["GANBENCH_DATA"] = str(data_root)
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True).returncode:
        pytest.skip("no Slurm answers here: bench/slurm-one-node.sh start")


def benchmark(folder: Path, text: str, updates: int = 4000) -> Path:
    path = folder / "bench.toml"
    path.write_text(text.replace("UPDATES", str(updates)))
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    code, output = ran(benchmark(folder, LONG), "--executor", "process", "--jobs", "2")
    assert code == 0, output
    return numbers(folder / "results" / "grid")


def cell_at_work(root: Path) -> Unit:
    """The cell of a run, once it trains, and has done so for a moment."""

    def found() -> Unit | None:
        return next((unit for unit in Store(root).cells() if unit.progress().get("updates", 0) > 50), None)

    unit: Unit = until(found)
    return unit


def job_of(unit: Unit) -> str:
    return (unit.directory / ".slurm").read_text()


def test_it_keeps_the_contract_of_executors() -> None:
    use([Named("slurm")])
    try:
        report = suite("executors", "slurm").report()
    finally:
        let_go()
    print(report)
    report.raise_for_failures()
    assert report.substantive == 6


def test_records_of_an_array_are_those_of_the_process_executor(tmp_path: Path) -> None:
    path = benchmark(tmp_path, GRID)
    code, output = ran(path)
    assert code == 0, output
    assert "4 done; 4 trained now" in output
    code, output = ran(path, "--executor", "process", "--jobs", "2", "--results", "here")
    assert code == 0, output
    there, here = numbers(tmp_path / "results" / "grid"), numbers(tmp_path / "here" / "grid")
    assert len([name for name in here if name.endswith(".safetensors")]) == 8
    assert there == here
    assert list((tmp_path / "results" / "grid" / "slurm").iterdir()) == []


def test_a_job_that_is_cancelled_in_mid_cell_goes_on(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    process = start(benchmark(tmp_path, LONG))
    unit = cell_at_work(tmp_path / "results" / "grid")
    subprocess.run(["scancel", job_of(unit)], check=True)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert output.count("trying again") == 1
    assert unit.manifest["attempt"] == 2
    assert "going on after round" in unit.log.read_text()
    assert numbers(tmp_path / "results" / "grid") == undisturbed


def test_jobs_go_on_when_the_main_process_is_killed_and_the_next_run_takes_them_over(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    path = benchmark(tmp_path, LONG)
    process = start(path)
    unit = cell_at_work(tmp_path / "results" / "grid")
    job = job_of(unit)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    again = start(path)
    until(lambda: not unit.claim() or unit.release())  # it has the cell
    output, _ = again.communicate(timeout=600)
    assert again.returncode == 0, output
    assert unit.manifest["attempt"] == 1
    assert numbers(tmp_path / "results" / "grid") == undisturbed
    known = subprocess.run(["squeue", "-h", "--states=all", "--format=%i %j"], capture_output=True, text=True).stdout
    numbers_of_jobs = [int(line.split()[0].split("_")[0]) for line in known.splitlines() if "ganbench" in line]
    assert max(numbers_of_jobs, default=int(job)) == int(job)


def test_a_time_limit_makes_a_checkpoint_and_the_job_runs_again(tmp_path: Path) -> None:
    limited = LONG.replace("minutes = 30", "minutes = 2, warning = 60")
    process = start(benchmark(tmp_path, limited, updates=10**6))
    unit = cell_at_work(tmp_path / "results" / "grid")
    job = job_of(unit)
    try:
        until(lambda: "going on after round" in unit.log.read_text(), 600)
        assert job_of(unit) == job
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert unit.status == "interrupted"
    assert unit.checkpoints()
