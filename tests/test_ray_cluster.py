"""Three nodes of a real Ray cluster on this machine: ``pytest -n 0 -m cluster tests/test_ray_cluster.py``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import numbers

from ganbench.errors import UserError
from ganbench.plugins import Named, let_go, use
from ganbench.store import Store, Unit
from ganbench.testing.executors import ExecutorCase
from ganbench.testing.kit import suite

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ganbench[ray]'")
pytestmark = pytest.mark.cluster

GRID = """
name = "grid"
seeds = 2
budget = { generator_updates = 20 }
evaluate = { times = 2, samples = 100 }
metrics = ["cs", "fcd"]
executor = { name = "ray", params = { address = "ADDRESS" } }

[[grid]]
variants = ["mlp-gan", "dcgan"]
datasets = ["digits"]
params.width = 8
"""
LONG = GRID.replace("20 }", "1500 }").replace("times = 2", "times = 6").replace(', "dcgan"', "")
LONG = LONG.replace("seeds = 2", "seeds = 3")
OWN = """
import os
from ganbench.api import hookimpl
from ganbench_gans.mlp_gan import MLPGAN

@hookimpl
def register_variants(register):
    register("my-mlp", "my_mlp:Mine")

class Mine(MLPGAN):
    "Mine."
    version = os.environ.get("VERSION", "1")
"""


@pytest.fixture(scope="module")
def cluster(data_root: Path) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "GANBENCH_DATA": str(data_root)}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def start(path: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from ganbench.cli import main; main()", "run", path.name, *arguments]
    return subprocess.Popen(
        command,
        cwd=path.parent,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        start_new_session=True,
    )


def ran(path: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    process = start(path, *arguments, **environment)
    output, _ = process.communicate(timeout=500)
    return process.returncode, output


def benchmark(folder: Path, text: str, cluster: Any) -> Path:
    path = folder / "bench.toml"
    path.write_text(text.replace("ADDRESS", cluster.address))
    return path


def until(happened: Callable[[], Any], patience: float = 120.0) -> Any:
    deadline = time.monotonic() + patience
    while not (found := happened()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def with_checkpoints(root: Path, count: int) -> list[Unit]:
    """The cells, once so many of them train and have left a checkpoint."""

    def found() -> list[Unit]:
        cells = [cell for cell in Store(root).cells() if cell.checkpoints()]
        return cells if len(cells) >= count else []

    return until(found)


@pytest.fixture(scope="module")
def undisturbed(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    code, output = ran(benchmark(folder, LONG, cluster), "--executor", "process", "--jobs", "2")
    assert code == 0, output
    return numbers(folder / "results" / "grid")


def test_records_are_those_of_the_process_executor(cluster: Any, tmp_path: Path) -> None:
    path = benchmark(tmp_path, GRID, cluster)
    code, output = ran(path)
    assert code == 0, output
    assert "4 done; 4 trained now" in output
    # As many threads as a task has CPUs: one.
    code, output = ran(path, "--executor", "process", "--jobs", "2", "--results", "here")
    assert code == 0, output
    there, here = numbers(tmp_path / "results" / "grid"), numbers(tmp_path / "here" / "grid")
    assert len([name for name in here if name.endswith(".safetensors")]) == 8
    assert there == here


def test_a_lost_node_loses_nothing(cluster: Any, tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    process = start(benchmark(tmp_path, LONG, cluster))
    root = tmp_path / "results" / "grid"
    cells = with_checkpoints(root, 3)
    node = cluster.list_all_nodes()[-1]
    pids = [cell.manifest["pid"] for cell in cells]
    (mine,) = [pid for pid in pids if raylet_of(pid) == node.all_processes["raylet"][0].process.pid]
    cluster.remove_node(node, allow_graceful=False)
    os.kill(mine, signal.SIGKILL)  # on a machine that is lost nobody makes a checkpoint any more
    began = time.monotonic()
    output, _ = process.communicate(timeout=500)
    print(f"{time.monotonic() - began:.0f} s after the loss: {output}")
    assert process.returncode == 0, output
    assert output.count("trying again") == 1
    assert sorted(cell.manifest["attempt"] for cell in cells) == [1, 1, 2]
    assert sum("going on after round" in cell.log.read_text() for cell in cells) == 1
    assert numbers(root) == undisturbed
    cluster.add_node(num_cpus=1)


def raylet_of(pid: int) -> int:
    """The raylet that a unit's process belongs to: it, a server of forks, Ray's worker, the raylet."""
    for _ in range(3):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


def test_ctrl_c_stops_within_seconds_and_the_run_goes_on(
    cluster: Any, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    path = benchmark(tmp_path, LONG, cluster)
    process = start(path)
    root = tmp_path / "results" / "grid"
    cells = with_checkpoints(root, 3)
    pids = [cell.manifest["pid"] for cell in cells]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    began = time.monotonic()
    output, _ = process.communicate(timeout=60)
    seconds = time.monotonic() - began
    print(f"stopped after {seconds:.1f} s: {output}")
    assert process.returncode == 130, output
    assert {cell.status for cell in cells} == {"interrupted"}
    assert all(cell.checkpoints() for cell in cells)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    code, output = ran(path)
    assert code == 0, output
    assert all("going on after round" in cell.log.read_text() for cell in cells)
    assert numbers(root) == undisturbed


def test_a_node_that_has_another_version_is_refused(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "my_mlp.py").write_text(OWN)
    text = GRID.replace('"mlp-gan", "dcgan"', '"my-mlp"').replace("seeds", 'plugins = ["./my_mlp.py"]\nseeds')
    path = benchmark(tmp_path, text, cluster)
    code, output = ran(path, VERSION="2")
    assert code == 2, output
    assert "error: my-mlp/my-mlp is version 2 of my_mlp.py sha256:" in output
    assert output.rstrip().endswith("install the same on both")
    assert "Traceback" not in output
    code, output = ran(path)
    assert code == 0, output


def test_there_are_as_many_slots_as_the_cluster_has_room(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganbench_ray import executor as module

    def made(device: str = "cpu", **values: Any) -> module.RayExecutor:
        params = module.RayParams(address=cluster.address, **values)
        return module.RayExecutor(jobs=None, device=device, slots_per_gpu=3, params=params)

    monkeypatch.setattr(module, "_COUNTED", 0.0)
    executor = made()
    try:
        assert executor.slots == 3
        node = cluster.add_node(num_cpus=2, num_gpus=1)  # Ray believes it
        until(lambda: executor.slots == 5, 30)
        assert made(cpus=2).slots == 1
        assert made("cuda").slots == 2  # as many as it has CPUs
        with pytest.raises(UserError, match=r"^no node of the cluster has room for a cell \(CPU 1, memory 9000 GiB\)"):
            made(memory=9000.0)
        cluster.remove_node(node)
        until(lambda: executor.slots == 3, 30)
    finally:
        executor.cancel()


def test_what_waits_in_rays_queue_is_told(cluster: Any) -> None:
    from ganbench_ray.executor import RayExecutor

    case = ExecutorCase(RayExecutor, "ray", params={"address": cluster.address})
    executor = case.executor(None)
    units = [case.unit("queued", updates=10**8) for _ in range(executor.slots + 1)]
    try:
        for unit in units:
            executor.submit(unit.directory)
        assert len(executor.waiting()) == 4
        until(lambda: len([unit for unit in units if "updates" in unit.progress()]) == 3)
        (queued,) = executor.waiting()
        assert "updates" not in Unit(queued).progress()
    finally:
        executor.cancel()
    assert len([unit for unit in units if unit.checkpoints()]) == 3


def test_nothing_answers_is_one_sentence(cluster: Any, tmp_path: Path) -> None:
    path = benchmark(tmp_path, GRID, cluster)
    path.write_text(path.read_text().replace(cluster.address, "127.0.0.1:9"))
    code, output = ran(path)
    assert code == 2
    assert "error: no Ray cluster can be reached at '127.0.0.1:9' (Connection refused); " in output
    assert "Traceback" not in output


def test_it_keeps_the_contract_of_executors(cluster: Any) -> None:
    use([Named("ray")])
    try:
        report = suite("executors", "ray", params={"address": cluster.address}).report()
    finally:
        let_go()
    print(report)
    report.raise_for_failures()
    assert report.substantive == 6
