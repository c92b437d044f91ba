"""What can go wrong in a run does, for real: each fault gives its status and its sentence, and hurts nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import MINI, ganbench, install
from forked import Command

from ganbench.store import Store, Unit

FAULTY = '''
import ctypes, os, resource, time
import numpy as np
from ganbench.api import Dataset, DataSpec, Metric, Split, hookimpl
from ganbench_gans.mlp_gan import MLPGAN

NAMES = ("hangs", "segfault", "no-memory", "gpu-oom", "exits", "dies", "raises", "nan", "backwards", "meddles", "slow")

@hookimpl
def register_variants(register):
    for name in NAMES:
        register(name, f"ganbench_faulty:{name.title().replace('-', '')}")

@hookimpl
def register_datasets(register):
    register("bad-data", "ganbench_faulty:BadData")

@hookimpl
def register_metrics(register):
    register("bad-metric", "ganbench_faulty:BadMetric")

def spoiled(spoil, at=30):
    class Spoiled(MLPGAN):
        """A game in which something happens in one of the turns."""
        def game(self, data, params):
            game = super().game(data, params)
            critic, turns = game.players[0], []
            original = critic.cost
            def cost(batch):
                turns.append(1)
                value = original(batch)
                return spoil(value) if len(turns) == at else value
            critic.cost = cost
            return game
    return Spoiled

def hang(value):
    while True:
        time.sleep(0.01)

def fill(value):
    import torch
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + 2**28, resource.RLIM_INFINITY))
    return torch.zeros(2**31)

def out_of_memory(value):
    import torch
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB")

def turn_back(value):
    import datetime
    ticks = iter(range(10**9, 0, -1000))
    time.time = lambda: float(next(ticks))
    return value

def meddle(value):
    import torch
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)
    os.environ["OMP_NUM_THREADS"] = "7"
    os.chdir("/")
    return value

def slow(value):
    time.sleep(0.05)
    return value

Hangs = spoiled(hang, at=50)
Segfault = spoiled(lambda value: ctypes.string_at(0))
NoMemory = spoiled(fill)
Exits = spoiled(lambda value: exit(3))
Backwards = spoiled(turn_back)
Meddles = spoiled(meddle)
Raises = spoiled(lambda value: 1 / 0)
Nan = spoiled(lambda value: value * float("nan"))
Dies = spoiled(lambda value: os._exit(7))
GpuOom = spoiled(out_of_memory)

class Slow(MLPGAN):
    """A game of slow turns."""
    def game(self, data, params):
        game = super().game(data, params)
        original = game.players[0].cost
        game.players[0].cost = lambda batch: slow(original(batch))
        return game

class BadData(Dataset):
    """Images that cannot be had."""
    def spec(self):
        return DataSpec((1, 8, 8), 10)
    def load(self, root):
        raise RuntimeError("the archive is a sandwich")

class BadMetric(Metric):
    """A metric that knows nothing."""
    direction = "lower"
    extractor = ""
    version = "1"
    needs_reference = False
    minimum_samples = 2
    def __init__(self, samples):
        pass
    def update(self, batch):
        pass
    def state(self):
        return {}
    def compute(self, reference):
        raise ZeroDivisionError("no idea")
'''


@pytest.fixture
def faulty(tmp_path: Path) -> dict[str, str]:
    """An environment in which the distribution ``faulty`` is installed, and a broken one beside it."""
    install(tmp_path / "site", "broken", "import no_such_module")
    return install(tmp_path / "site", "faulty", FAULTY)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def said(stderr: str) -> str:
    """What a run said beside that the broken plugin is left out, which comes first."""
    first, _, rest = stderr.partition("\n")
    assert first.startswith("plugin 'broken' (broken 1.2) is broken and left out: ModuleNotFoundError: ")
    return rest


def cells(results: Path) -> dict[str, Unit]:
    return {unit.task["variant"]: unit for unit in Store(results / "mini").cells()}


def started(environment: dict[str, str], *arguments: object) -> Command:
    return Command(arguments, environment)


def until(what: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def evaluated(results: Path, times: int) -> Callable[[], bool]:
    """Whether some cell has been evaluated so often."""
    return lambda: (
        (results / "mini").exists() and any(len(unit.events()) >= times for unit in Store(results / "mini").cells())
    )


LONG = MINI.replace("generator_updates = 4", "generator_updates = 60").replace("times = 2", "times = 3")


def test_each_fault_of_a_variant_has_its_status_and_the_workers_go_on(faulty, toml, results) -> None:
    good = ["mlp-gan", "backwards", "meddles"]
    bad = ["raises", "nan", "exits", "dies", "segfault", "no-memory", "gpu-oom"]
    path = toml(LONG, ('["mlp-gan"]', json.dumps([*good, *bad])))
    outcome = ganbench(faulty, "run", path, "--results", results, "--jobs", 1)
    assert outcome.returncode == 1, outcome.stderr
    units = cells(results)
    found = {name: (unit.status, unit.manifest["reason"]) for name, unit in units.items()}
    tables = Store(results / "mini").tables()
    assert sorted(tables.cells["status"]) == sorted(status for status, _ in found.values())
    assert [found.pop(name) for name in good] == [("done", "")] * 3
    assert found["raises"] == ("failed", "ZeroDivisionError: division by zero")
    assert "Traceback" in units["raises"].log.read_text()
    assert found["nan"] == ("diverged", "the cost of the discriminator is not finite at its turn 30")
    assert found["dies"] == ("failed", "its process ended with exit code 7 before it was done; see log.txt")
    assert found["gpu-oom"] == ("oom", "CUDA out of memory. Tried to allocate 80 GiB")
    assert found["segfault"] == ("failed", "its process was killed by SIGSEGV; see log.txt")
    assert found["exits"] == ("failed", "SystemExit: 3")
    assert found["no-memory"][0] == "oom"
    assert "can't allocate memory" in found["no-memory"][1]
    assert "Segmentation fault" in units["segfault"].log.read_text()  # with the place, by faulthandler
    for name in found:
        assert units[name].manifest["last_evaluation"]["generator_updates"] == 20
        assert units[name].manifest["attempt"] == 1
        assert f"{name} on digits, seed 0: {found[name][0]}" in outcome.stderr
    # What lacked memory, or was not ended by its own error, can go on; what raised would raise again.
    assert {name for name in found if units[name].checkpoints()} == {"no-memory", "gpu-oom", "segfault", "dies"}
    # What one of them changed in its process is not what the others were trained with.
    same = [[event["metrics"] for event in units[name].events()] for name in good]
    assert same[0] == same[1] == same[2]

    retried = ganbench(faulty, "run", path, "--results", results, "--retry", "oom", "--only", "no-memory")
    assert retried.returncode == 1
    assert "1 trained now" in retried.stdout
    assert units["no-memory"].manifest["attempt"] == 2
    assert units["exits"].manifest["attempt"] == 1
    assert "going on after round 20" in units["no-memory"].log.read_text()


def test_a_broken_plugin_beside_a_run_is_listed_and_changes_no_number(faulty, toml, tmp_path) -> None:
    listed = ganbench(faulty, "plugins")
    assert listed.returncode == 0
    assert "faulty 1.2" in listed.stdout
    assert "no_such_module" in listed.stdout
    assert ganbench(faulty, "run", toml(), "--results", tmp_path / "with").returncode == 0
    assert ganbench(dict(os.environ), "run", toml(), "--results", tmp_path / "without").returncode == 0
    assert scores(tmp_path / "with") == scores(tmp_path / "without")


def test_fail_fast_stops_at_the_first_failure(faulty, toml, results) -> None:
    path = toml(LONG, ("mlp-gan", "raises"), ("seeds = 1", "seeds = 6"))
    outcome = ganbench(faulty, "run", path, "--results", results, "--fail-fast", "--jobs", 1)
    assert outcome.returncode == 1
    assert [unit.status for unit in Store(results / "mini").cells()].count("failed") == 1


def test_what_hangs_is_stopped_after_its_timeout_and_goes_on_with_a_longer_one(faulty, toml, results, tmp_path) -> None:
    (tmp_path / "site" / "sitecustomize.py").write_text("import ganbench.executors as e\ne._GRACE = 1.0\n")
    path = toml(LONG, ("mlp-gan", "hangs"), ("seeds = 1", "seeds = 1\ntimeout = { minutes = 0.2 }"))
    outcome = ganbench(faulty, "run", path, "--results", results)
    assert outcome.returncode == 1
    unit = cells(results)["hangs"]
    assert (unit.status, unit.manifest["reason"]) == ("timeout", "stopped after its timeout of 0.2 minutes")
    assert "hangs on digits, seed 0: timeout" in outcome.stderr
    assert unit.checkpoints()
    again = ganbench(faulty, "run", path, "--results", results, "--retry", "timeout")
    assert again.returncode == 0, again.stderr  # turn 50 of an attempt hangs, and the second began after turn 40
    assert unit.manifest["attempt"] == 2


def test_a_dataset_and_a_metric_that_raise_fail_what_needs_them(faulty, toml, results) -> None:
    path = toml(MINI, ('["digits"]', '["digits", "bad-data"]'))
    outcome = ganbench(faulty, "run", path, "--results", results)
    assert outcome.returncode == 1
    found = {unit.task["dataset"]: unit.manifest for unit in Store(results / "mini").cells()}
    assert found["digits"]["status"] == "done"
    assert found["bad-data"]["status"] == "failed"
    assert "RuntimeError: the archive is a sandwich" in found["bad-data"]["reason"]
    assert "Traceback" not in outcome.stderr

    path = toml(MINI, ('["cs", "fcd"]', '["cs", "fcd", "bad-metric"]'))
    outcome = ganbench(faulty, "run", path, "--results", results)
    assert outcome.returncode == 0, outcome.stderr
    assert "bad-metric is unavailable on digits: ZeroDivisionError: no idea" in outcome.stdout
    (unit,) = (unit for unit in Store(results / "mini").cells() if unit.task["dataset"] == "digits")
    assert unit.manifest["attempt"] == 1  # not trained again, and not failed for it
    assert set(unit.manifest["best"]["metrics"]) == {"cs", "fcd"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


SLOW = LONG.replace("mlp-gan", "slow").replace("seeds = 1", "seeds = 3")


def test_a_full_disk_stops_the_run_with_that_sentence_and_records_stay_whole(faulty, toml, disk, tmp_path) -> None:
    path = toml(SLOW)
    assert ganbench(faulty, "run", path, "--results", tmp_path / "undisturbed").returncode == 0
    process = started(faulty, "run", path, "--results", disk)
    until(evaluated(disk, 1))
    with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(bytes(2**16)):
            pass
    stdout, stderr = process.communicate(timeout=90)
    assert process.returncode == 2
    assert said(stderr).startswith("error: ")
    assert said(stderr).count("\n") == 1
    assert "No space left on device" in stderr or "0 MiB free" in stderr
    assert "Traceback" not in stdout + stderr
    for file in disk.rglob("*.json"):
        json.loads(file.read_text())
    (disk / "ballast").unlink()
    again = ganbench(faulty, "run", path, "--results", disk)
    assert again.returncode == 0, again.stderr
    assert scores(disk) == scores(tmp_path / "undisturbed")


def test_a_plan_that_will_not_fit_on_the_disk_is_refused_before_it_is_started(faulty, toml, disk) -> None:
    path = toml(MINI, ("seeds = 1", "seeds = 3000"))
    outcome = ganbench(faulty, "run", path, "--results", disk)
    assert outcome.returncode == 2
    assert "this plan needs about" in outcome.stderr
    assert f"in {disk / 'mini'}, where" in outcome.stderr
    assert said(outcome.stderr).count("\n") == 1
    assert not list(Store(disk / "mini").cells())


def test_a_read_only_folder_is_one_sentence_and_nothing_is_done(faulty, toml, disk) -> None:
    path = toml()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    outcome = ganbench(faulty, "run", path, "--results", disk)
    assert outcome.returncode == 2
    assert said(outcome.stderr).startswith(f"error: {disk / 'mini'} cannot be written (Read-only file system")
    assert said(outcome.stderr).count("\n") == 1
    assert not list(disk.iterdir())


def scores(results: Path) -> list[object]:
    return [
        ([event["metrics"] for event in unit.events()], unit.manifest["best"]["metrics"], unit.manifest["files"])
        for unit in Store(results / "mini").cells()
    ]


def test_damaged_checkpoints_and_a_torn_line_give_way_to_what_is_whole(faulty, toml, tmp_path, results) -> None:
    path = toml(SLOW, ("seeds = 3", "seeds = 1"))
    assert ganbench(faulty, "run", path, "--results", tmp_path / "undisturbed").returncode == 0
    process = started(faulty, "run", path, "--results", results)
    until(evaluated(results, 2))
    (unit,) = Store(results / "mini").cells()
    until(lambda: len(unit.checkpoints()) == 2)
    process.kill()
    process.communicate()
    until(lambda: not Path(f"/proc/{unit.manifest['pid']}").exists())
    newest, before, *_ = unit.checkpoints()
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    with (unit.directory / "events.jsonl").open("a") as events:
        events.write('{"event": "evaluation", "generator_upd')
    again = ganbench(faulty, "run", path, "--results", results)
    assert again.returncode == 0, again.stderr
    log = unit.log.read_text()
    assert f"{newest.name} is damaged (its checksum does not fit) and not used" in log
    assert f"going on after round {int(before.stem.rpartition('-')[2])}" in log
    assert scores(results) == scores(tmp_path / "undisturbed")


def test_a_dataset_cache_deleted_in_mid_run(faulty, toml, tmp_path, results) -> None:
    images = np.random.default_rng(0).integers(0, 256, (200, 8, 8), np.uint8)
    source = tmp_path / "mine.npz"
    np.savez(source, x_train=images, y_train=np.arange(200) % 4)
    root = tmp_path / "data"
    environment = {**faulty, "GANBENCH_DATA": str(root)}
    path = toml(SLOW, ('"digits"', f'"npz:{source}"'), ("seeds = 3", "seeds = 2"))
    process = started(environment, "run", path, "--results", results, "--jobs", 1)
    until(evaluated(results, 1))
    shutil.rmtree(root / "prepared")
    source.rename(tmp_path / "elsewhere.npz")
    _, stderr = process.communicate(timeout=90)
    assert process.returncode == 1
    first, second = sorted(Store(results / "mini").cells(), key=lambda unit: unit.task["seed"])
    assert first.status == "done"  # its arrays were mapped, and stay so
    assert second.status == "failed"
    assert "mine.npz" in second.manifest["reason"]
    assert "Traceback" not in stderr
    (tmp_path / "elsewhere.npz").rename(source)
    assert ganbench(environment, "run", path, "--results", results, "--retry", "failed").returncode == 0


def test_a_worker_that_is_lost_is_tried_again_as_often_as_the_file_says(faulty, toml, results) -> None:
    path = toml(SLOW, ("seeds = 3", "seeds = 1\nretries = { lost = 2 }"))
    process = started(faulty, "run", path, "--results", results)
    pids: list[int] = []
    for attempt in (1, 2, 3):
        until(lambda: evaluated(results, 1)() and cells(results)["slow"].manifest["attempt"] == attempt)  # noqa: B023
        pids.append(cells(results)["slow"].manifest["pid"])
        os.kill(pids[-1], signal.SIGKILL)
    process.communicate(timeout=90)
    assert process.returncode == 1
    manifest = cells(results)["slow"].manifest
    assert (manifest["status"], manifest["attempt"]) == ("interrupted", 3)
    assert manifest["reason"] == "its process was killed from outside (SIGKILL)"
    assert len(set(pids)) == 3
    assert ganbench(faulty, "run", path, "--results", results).returncode == 0  # and it goes on


def test_a_worker_that_gives_no_sign_of_life_is_taken_for_lost(faulty, toml, results, tmp_path) -> None:
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import ganbench.executors as e\ne._PING, e._SILENCE = 0.2, 3.0\n"
    )
    process = started(faulty, "run", toml(SLOW, ("seeds = 3", "seeds = 1")), "--results", results)
    until(evaluated(results, 1))
    os.kill(cells(results)["slow"].manifest["pid"], signal.SIGSTOP)
    process.communicate(timeout=90)
    assert process.returncode == 0
    assert cells(results)["slow"].manifest["attempt"] == 2


# --- changed code -----------------------------------------------------------------------------------------------------


def test_cells_of_changed_code_are_stale_and_nothing_is_done_with_them_unasked(faulty, toml, tmp_path, results) -> None:
    path, module = toml(MINI, ("mlp-gan", "meddles")), tmp_path / "site" / "ganbench_faulty.py"
    assert ganbench(faulty, "run", path, "--results", results).returncode == 0
    unit = cells(results)["meddles"]
    before = unit.manifest
    module.write_text(FAULTY + "# one more line\n")
    planned = ganbench(faulty, "plan", path, "--results", results).stdout
    assert "stale: ganbench_faulty.py changed" in planned
    assert "0 to train (1 stale)" in planned

    refused = ganbench(faulty, "run", path, "--results", results)
    assert refused.returncode == 2
    assert said(refused.stderr).startswith(
        "error: 1 done cell was trained by other code than today's (ganbench_faulty.py"
    )
    assert unit.manifest == before
    kept = ganbench(faulty, "run", path, "--results", results, "--stale", "keep")
    assert kept.returncode == 0
    assert "0 trained now" in kept.stdout
    again = ganbench(faulty, "run", path, "--results", results, "--stale", "retrain")
    assert again.returncode == 0, again.stderr
    assert "1 trained now" in again.stdout
    assert unit.manifest["code"] != before["code"]
    assert Unit(results / "mini" / "retired" / f"{unit.directory.name}~1").manifest == before
    assert "1 done" in ganbench(faulty, "plan", path, "--results", results).stdout


def test_a_failed_cell_is_tried_again_when_its_code_has_changed(faulty, toml, tmp_path, results) -> None:
    path, module = toml(LONG, ("mlp-gan", "exits")), tmp_path / "site" / "ganbench_faulty.py"
    assert ganbench(faulty, "run", path, "--results", results).returncode == 1
    assert "0 trained now" in ganbench(faulty, "run", path, "--results", results).stdout
    module.write_text(FAULTY.replace("exit(3)", "value"))
    assert "failed, but ganbench_faulty.py changed" in ganbench(faulty, "plan", path, "--results", results).stdout
    done = ganbench(faulty, "run", path, "--results", results)
    assert done.returncode == 0, done.stderr
    assert cells(results)["exits"].manifest["attempt"] == 2


def test_a_checkpoint_of_other_code_is_not_gone_on_from(faulty, toml, tmp_path, results) -> None:
    path, module = toml(SLOW, ("seeds = 3", "seeds = 1")), tmp_path / "site" / "ganbench_faulty.py"
    process = started(faulty, "run", path, "--results", results)
    until(evaluated(results, 1))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    unit = cells(results)["slow"]
    assert unit.checkpoints()
    module.write_text(FAULTY + "# one more line\n")
    assert ganbench(faulty, "run", path, "--results", results).returncode == 0
    log = unit.log.read_text()
    assert "starting anew: the checkpoint is that of other code (ganbench_faulty.py changed)" in log
    assert [event["generator_updates"] for event in unit.events()] == [20, 40, 60]


def test_pdb_opens_where_a_cell_raises(faulty, toml, results) -> None:
    path = toml(LONG, ("mlp-gan", "raises"))
    command = [sys.executable, "-m", "ganbench.cli", "run", str(path), "--results", str(results), "--pdb"]
    typed = "p 'the value is', float(value) > 0\nquit\n"
    done = subprocess.run(command, input=typed, capture_output=True, text=True, env=faulty, timeout=90)
    assert done.returncode == 1
    assert "('the value is', True)" in done.stdout
    assert cells(results)["raises"].manifest["reason"] == "ZeroDivisionError: division by zero"
