"""A small grid, killed again and again at random moments, and a long run of tiny cells: nothing lost, nothing leaked.

The full counts are in tests marked slow: ``pytest -m slow tests/test_survival.py``.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MINI, ganbench

from ganbench.store import Store, Unit

GRID = (
    MINI.replace('["mlp-gan"]', '["mlp-gan", "cgan", "wgan"]')
    .replace("generator_updates = 4", "generator_updates = 150")
    .replace("times = 2", "times = 6")
    .replace("seeds = 1", "seeds = 2\nretries = { lost = 100 }")
)


def records(folder: Path) -> dict[str, object]:
    """All that must not depend on what happened to a run, of every cell."""
    found = {}
    for unit in Store(folder / "mini").cells():
        manifest = unit.manifest
        events = [{key: event[key] for key in ("generator_updates", "costs", "metrics")} for event in unit.events()]
        finals = [manifest[point]["metrics"] for point in ("best", "last")]
        sheets = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (unit.directory / "samples").iterdir()}
        found[unit.directory.name] = json.dumps([events, finals, manifest["files"], sheets], sort_keys=True)
    return found


def family(mark: str) -> Iterator[int]:
    """Every process that was started with `mark` in its environment: the run, its server, its workers."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if mark.encode() in (folder / "environ").read_bytes():
                    yield int(folder.name)
            except OSError:
                pass


def workers(folder: Path) -> list[int]:
    units: list[Unit] = list(Store(folder / "mini").cells()) if (folder / "mini").exists() else []
    manifests = [unit.manifest for unit in units]
    pids = [manifest["pid"] for manifest in manifests if manifest["status"] == "running"]
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def check_whole(folder: Path) -> None:
    """No file is half written at any time, but for the last line of the events."""
    for path in (folder / "mini").rglob("*.json"):
        try:
            json.loads(path.read_text())
        except FileNotFoundError:
            continue
    for path in (folder / "mini").rglob("events.jsonl"):
        for line in path.read_text().splitlines()[:-1]:
            json.loads(line)


def killed_again_and_again(toml: Path, folder: Path, kills: int, chance: random.Random) -> dict[str, int]:
    """Run `toml` to its end, killing `kills` times on the way, in new folders as long as that needs; who was killed."""
    expected = None
    done = {"worker": 0, "main": 0, "all": 0}
    grids = 0
    mark = f"survival-{uuid.uuid4()}"
    environment = {**os.environ, "SURVIVAL": mark}
    while sum(done.values()) < kills or expected is None:
        results = folder / f"results-{grids}"
        if expected is None:
            assert ganbench(environment, "run", toml, "--results", folder / "undisturbed").returncode == 0
            expected = records(folder / "undisturbed")
        command = [sys.executable, "-m", "ganbench.cli", "run", str(toml), "--results", str(results)]
        code = None
        while code != 0:
            with (folder / "output.txt").open("a") as output:
                process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
            while (code := process.poll()) is None:
                # Mostly while cells are being trained, sometimes before.
                early = chance.random() < 0.1
                while not early and process.poll() is None and not workers(results):
                    time.sleep(0.005)
                ended = time.monotonic() + chance.uniform(0, 2)
                while time.monotonic() < ended and process.poll() is None:
                    time.sleep(0.005)
                if process.poll() is not None or sum(done.values()) >= kills:
                    continue
                who = chance.choices(list(done), [2, 1, 1])[0]
                if who == "worker":
                    hit = sum(map(kill, workers(results)[:1])) > 0
                elif who == "main":
                    hit = kill(process.pid)
                else:
                    hit = sum(map(kill, family(mark))) > 0
                done[who] += hit
                check_whole(results)
            # Only its death ends a run early, and whoever does not die of it goes on.
            assert code in (0, -signal.SIGKILL), (folder / "output.txt").read_text()[-2000:]
        found = records(results)
        assert found == expected
        statuses = [unit.status for unit in Store(results / "mini").cells()]
        assert statuses == ["done"] * len(expected)
        assert not list(results.rglob("*.tmp"))
        grids += 1
    deadline = time.monotonic() + 15
    while list(family(mark)):
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.1)
    print(f"{sum(done.values())} kills {done} in {grids} grids of {len(expected)} cells; all records equal")
    return done


@pytest.mark.slow  # tests/test_resume.py kills at moments of its choice
def test_a_grid_killed_at_random_moments_ends_with_the_same_records(toml, tmp_path) -> None:
    killed_again_and_again(toml(GRID), tmp_path, 3, random.Random(time.time_ns()))


@pytest.mark.slow
def test_two_hundred_kills(toml, tmp_path) -> None:
    done = killed_again_and_again(toml(GRID), tmp_path, 200, random.Random(0))
    assert all(count >= 30 for count in done.values())


@pytest.mark.slow
def test_a_long_run_leaks_nothing(toml, tmp_path) -> None:
    """500 cells in one run: the main process keeps its size and its files, and nothing is left behind."""
    path = toml(MINI, ("seeds = 1", "seeds = 500"), ("generator_updates = 4", "generator_updates = 2"))
    mark = f"soak-{uuid.uuid4()}"
    environment = {**os.environ, "SURVIVAL": mark}
    command = [sys.executable, "-m", "ganbench.cli", "run", str(path), "--results", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout
    proc = Path(f"/proc/{process.pid}")
    seen = []
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("["):
            memory = int((proc / "statm").read_text().split()[1]) * 4096
            seen.append((memory, len(list((proc / "fd").iterdir()))))
        if len(seen) == 500:
            break
    process.stdout.read()
    assert process.wait(120) == 0, "".join(lines[-5:])
    (before, files), (after, files_after) = seen[49], seen[-1]
    growth = after - before
    print(f"{before / 2**20:.1f} MiB after 50 cells, {after / 2**20:.1f} after 500; files {files}, {files_after}")
    assert growth < 20 * 2**20
    assert files_after <= files + 2
    assert not list(family(mark))
    assert len(list(Store(tmp_path / "mini").cells())) == 500
    assert all(unit.claim() for unit in Store(tmp_path / "mini").cells())
