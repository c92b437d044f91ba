"""Several runs at work in one results folder, and the signals that stop one."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import MINI
from filelock import FileLock

from ganbench.store import Store, Unit

COMMAND = [sys.executable, "-m", "ganbench.cli", "run"]


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_signals)


def heed_signals() -> None:
    """Whoever runs the tests in the background has them ignore signals, which children inherit."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def until(what, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def units(results: Path) -> list[Unit]:
    return list(Store(results / "mini").cells()) if (results / "mini").exists() else []


def test_two_runs_share_one_folder_and_do_every_cell_once(toml, tmp_path) -> None:
    path = toml(MINI, ("seeds = 1", "seeds = 60"), ("generator_updates = 4", "generator_updates = 2"))
    runs = [started(path, "--results", tmp_path, "--jobs", 1) for _ in range(2)]
    trained = 0
    for run in runs:
        stdout, stderr = run.communicate(timeout=180)
        assert run.returncode == 0, stderr
        assert "60 done; " in stdout
        trained += int(stdout.rpartition(" trained now")[0].rpartition(" ")[2])
    assert trained == 60
    cells = units(tmp_path)
    assert len(cells) == 60
    assert [unit.manifest["attempt"] for unit in cells] == [1] * 60
    assert all(len(unit.events()) == 2 for unit in cells)
    assert len({unit.manifest["pid"] for unit in cells}) == 2  # each run's one worker did some
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_unit_is_claimed_by_one_run_until_that_is_over_or_dead(tmp_path) -> None:
    holder = "import sys, time; from ganbench.store import Unit; from pathlib import Path\n"
    holder += "unit = Unit(Path(sys.argv[1])); assert unit.claim(); print('mine', flush=True); time.sleep(60)"
    unit = Unit(tmp_path / "cell")
    process = subprocess.Popen([sys.executable, "-c", holder, unit.directory], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "mine\n"
    assert not unit.claim()
    process.kill()
    process.communicate()
    assert unit.claim()
    other = Unit(tmp_path / "cell")
    assert not other.claim()
    unit.release()
    assert other.claim()
    other.release()


def test_a_worker_waits_for_another_that_is_at_work_on_the_same_cell(toml, tmp_path) -> None:
    run = started(toml(), "--results", tmp_path)
    run.communicate(timeout=60)
    (unit,) = units(tmp_path)
    command = [sys.executable, "-m", "ganbench.worker", unit.directory]
    with FileLock(unit.directory / ".work"):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        assert "waiting for another process" in process.stdout.readline()
        assert process.poll() is None
    assert process.wait(60) == 0
    assert unit.manifest["attempt"] == 1


LONG = MINI.replace("generator_updates = 4", "generator_updates = 100000").replace("seeds = 1", "seeds = 2")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)],
    ids=lambda value: str(value),
)
def test_a_signal_makes_running_cells_stop_with_a_checkpoint(number, code, toml, tmp_path) -> None:
    path = toml(LONG)
    run = started(path, "--results", tmp_path, "--jobs", 2)
    until(lambda: [unit for unit in units(tmp_path) if unit.progress().get("updates")])
    run.send_signal(number)
    began = time.monotonic()
    stdout, _ = run.communicate(timeout=30)
    assert run.returncode == code
    assert time.monotonic() - began < 9
    cells = units(tmp_path)
    assert {unit.status for unit in cells} <= {"interrupted"}
    assert any(unit.checkpoints() for unit in cells)
    if number != signal.SIGHUP:  # whose terminal is gone
        assert "stopped: 2 interrupted; what was done is kept, and `ganbench run" in stdout
        assert "goes on from there" in stdout
    assert not _alive(cells)
    planned = subprocess.run([*COMMAND[:-1], "plan", path, "--results", tmp_path], capture_output=True, text=True)
    assert "2 cells, 2 to train (2 interrupted)" in planned.stdout


def test_a_second_signal_ends_the_run_at_once(toml, tmp_path) -> None:
    run = started(toml(LONG), "--results", tmp_path, "--jobs", 1)
    until(lambda: [unit for unit in units(tmp_path) if unit.progress().get("updates")])
    (unit,) = (unit for unit in units(tmp_path) if unit.status == "running")
    os.kill(unit.manifest["pid"], signal.SIGSTOP)  # it will not stop by itself
    run.send_signal(signal.SIGINT)
    time.sleep(1)
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    began = time.monotonic()
    run.communicate(timeout=30)
    assert run.returncode == 130
    assert time.monotonic() - began < 3
    until(lambda: not _alive([unit]), 5)


def test_the_terminals_ctrl_c_reaches_each_worker_once(toml, tmp_path) -> None:
    """A true terminal sends SIGINT to the whole foreground group."""
    path = toml(LONG)
    pid, terminal = pty.fork()
    if pid == 0:
        heed_signals()
        os.execv(sys.executable, [*COMMAND, str(path), "--results", str(tmp_path)])
    os.set_blocking(terminal, False)
    shown = bytearray()

    def read() -> None:
        try:
            shown.extend(os.read(terminal, 2**16))
        except OSError:
            time.sleep(0.01)

    def training() -> bool:
        read()
        return any(unit.progress().get("updates") for unit in units(tmp_path))

    until(training)
    os.write(terminal, b"\x03")
    code = None
    deadline = time.monotonic() + 30
    while code is None and time.monotonic() < deadline:
        read()
        done, status = os.waitpid(pid, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if done else None
    os.close(terminal)
    assert code == 130
    assert b"stopped: " in shown
    assert any(unit.status == "interrupted" and unit.checkpoints() for unit in units(tmp_path))


def test_a_script_without_a_guard_is_told_so_and_does_not_wait_for_itself(toml, tmp_path) -> None:
    script = tmp_path / "study.py"
    arguments = ["run", str(toml()), "--results", str(tmp_path)]
    script.write_text(f"from ganbench.cli import main\nmain({arguments})\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=90)
    assert done.returncode == 1
    assert 'put its code below `if __name__ == "__main__":`' in done.stderr


def test_workers_are_dealt_out_over_the_gpus(monkeypatch) -> None:
    from ganbench import executors

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    given = []
    monkeypatch.setattr(
        executors, "_Worker", lambda context, slot, threads, gpu: given.append((slot, gpu)) or Idle(slot)
    )
    crew = executors.ProcessExecutor(jobs=None, device="cuda", slots_per_gpu=2)
    assert crew.slots == 4
    for number in range(4):
        crew.submit(Path(f"cell-{number}"))
    assert given == [(0, "3"), (1, "5"), (2, "3"), (3, "5")]
    assert executors.ProcessExecutor(jobs=3, device="cuda", slots_per_gpu=2).slots == 3
    assert executors.ProcessExecutor(jobs=None, device="cuda:1").slots == 1


class Idle:
    """In the place of a worker process."""

    def __init__(self, slot: int) -> None:
        self.slot = slot

    def give(self, directory: Path) -> None:
        pass


def _alive(cells: list[Unit]) -> list[int]:
    pids = [unit.manifest["pid"] for unit in cells if "pid" in unit.manifest]
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_detached_run_is_another_process_whose_words_go_to_a_log(toml, tmp_path) -> None:
    begun = started(toml(), "--results", tmp_path, "--detach", "--only", "nobody")
    stdout, stderr = begun.communicate(timeout=60)
    assert begun.returncode == 0, stderr
    log = tmp_path / "mini" / "run.log"
    assert str(log) in stdout
    assert stdout.count(stdout.partition("as process ")[2].partition(" ")[0]) == 2
    until(lambda: "--only nobody matches no cell" in log.read_text())


def test_a_detached_run_has_no_debugger_and_mistakes_show_before_it_starts(toml, tmp_path) -> None:
    for arguments, said in ((("--pdb",), "--pdb needs a terminal"), (("--executor", "nowhere"), "nowhere")):
        refused = started(toml(), "--results", tmp_path / "results", "--detach", *arguments)
        _, stderr = refused.communicate(timeout=60)
        assert refused.returncode == 2
        assert said in stderr
    assert not (tmp_path / "results").exists()
