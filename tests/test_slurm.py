"""What the executor ``slurm`` decides, with commands that stand in for Slurm's; a real one: test_slurm_cluster.py."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import MINI
from ganbench_slurm import executor as module
from ganbench_slurm.executor import SlurmExecutor, SlurmParams
from ganbench_slurm.job import Job
from ganbench_slurm.queue import options, parameters

from ganbench import parcel
from ganbench.config import read
from ganbench.errors import UserError
from ganbench.plan import resolve
from ganbench.plugins import installed
from ganbench.store import Store, Unit

submitit = pytest.importorskip("submitit", reason="submitit is not installed: pip install 'ganbench[slurm]'")
utils = pytest.importorskip("submitit.core.utils")

SBATCH = r"""#!/bin/sh
[ -f "$FAKE/refuses" ] && { echo "sbatch: error: invalid partition specified: night" >&2; exit 1; }
number=$(($(ls "$FAKE" | grep -c ^script) + 1))
cp "$1" "$FAKE/script$number"
size=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$1")
if [ "$size" ]; then for i in $(seq 0 "$size"); do echo "${number}_$i|PENDING"; done; else echo "$number|PENDING"; fi \
    >> "$FAKE/queue"
echo "Submitted batch job $number"
"""
SQUEUE = '#!/bin/sh\n[ -f "$FAKE/down" ] && exit 1\ncat "$FAKE/queue"\n'
SCANCEL = '#!/bin/sh\nfor job; do sed -i "s/^$job|.*/$job|CANCELLED/" "$FAKE/queue"; done\n'


@dataclass
class Slurm:
    """The stand-in: a queue in a file, in which tests say what becomes of jobs."""

    folder: Path

    @property
    def queue(self) -> dict[str, str]:
        lines = (self.folder / "queue").read_text().splitlines()
        return {job: state for job, _, state in (line.partition("|") for line in lines)}

    def now(self, **states: str) -> None:
        """``now(j1_0="RUNNING")``; an empty state: Slurm does not know the job any more."""
        queue = self.queue | {job.removeprefix("j"): state for job, state in states.items()}
        (self.folder / "queue").write_text("".join(f"{job}|{state}\n" for job, state in queue.items() if state))

    def script(self, number: int = 1) -> str:
        return (self.folder / f"script{number}").read_text()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": SCANCEL, "srun": "#!/bin/sh\n"}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "queue").touch()
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(tmp_path / "fake"))
    monkeypatch.setattr(module.Parcel, "of", str)
    monkeypatch.setattr(module, "_GATHER", 0.0)
    monkeypatch.setattr(module, "_LOOK", 0.0)
    return Slurm(tmp_path / "fake")


@pytest.fixture
def units(tmp_path: Path) -> list[Unit]:
    store = Store(tmp_path / "results")
    store.make()
    made = [store.cell(f"cell-{number}") for number in range(3)]
    for unit in made:
        unit.create({"unit": "cell"})
    return made


def executor(**params: object) -> SlurmExecutor:
    return SlurmExecutor(jobs=None, device="cpu", params=SlurmParams(**params))


def submitted(units: list[Unit], **params: object) -> SlurmExecutor:
    made = executor(**params)
    for unit in units:
        made.submit(unit.directory)
    made.poll()
    return made


def job_of(unit: Unit) -> str | None:
    path = unit.directory / ".slurm"
    return path.read_text() if path.exists() else None


def returned(unit: Unit, job: str, outcome: object, result: str = "success") -> None:
    path = utils.JobPaths(unit.directory.parent.parent / "slurm", job).result_pickle
    path.write_bytes(pickle.dumps((result, outcome)))


def test_units_that_are_submitted_together_are_one_array_and_know_their_jobs(slurm: Slurm, units: list[Unit]) -> None:
    made = submitted(units, partition="gpu", minutes=90, cpus=2, gres="gpu:a100:1", options="--qos=long --exclusive")
    assert slurm.queue == {"1_0": "PENDING", "1_1": "PENDING", "1_2": "PENDING"}
    assert [job_of(unit) for unit in units] == ["1_0", "1_1", "1_2"]
    asked = {line.removeprefix("#SBATCH --") for line in slurm.script().splitlines() if line.startswith("#SBATCH")}
    assert {"partition=gpu", "time=90", "cpus-per-task=2", "gres=gpu:a100:1", "qos=long", "exclusive"} <= asked
    assert {"requeue", "signal=USR2@120", "array=0-2%3"} <= asked
    assert set(made.waiting()) == {unit.directory for unit in units}
    slurm.now(j1_0="RUNNING")
    made.poll()
    assert set(made.waiting()) == {unit.directory for unit in units[1:]}


def test_a_unit_is_reported_once_with_what_its_job_returned_and_leaves_nothing(slurm: Slurm, units: list[Unit]) -> None:
    made = submitted(units)
    slurm.now(j1_0="RUNNING", j1_1="COMPLETED", j1_2="")
    returned(units[1], "1_1", 0)
    returned(units[2], "1_2", 1)
    assert sorted(made.poll()) == [(units[1].directory, 0), (units[2].directory, 1)]
    assert made.poll() == []
    assert [job_of(unit) for unit in units] == ["1_0", None, None]
    slurm.now(j1_0="COMPLETED")
    returned(units[0], "1_0", 0)
    made.poll()
    made.cancel()
    assert list((units[0].directory.parent.parent / "slurm").iterdir()) == []


def test_a_job_that_died_is_reported_as_killed_once_that_is_sure_and_takes_none_with_it(
    slurm: Slurm, units: list[Unit]
) -> None:
    made = submitted(units)
    slurm.now(j1_0="CANCELLED", j1_1="RUNNING", j1_2="OUT_OF_MEMORY")
    assert made.poll() == []
    over = [(units[0].directory, -signal.SIGKILL), (units[2].directory, SlurmExecutor.OUT_OF_MEMORY)]
    assert sorted(made.poll()) == over
    assert slurm.queue["1_1"] == "RUNNING"


def test_a_job_that_is_to_run_again_is_not_over_whatever_it_returned(slurm: Slurm, units: list[Unit]) -> None:
    made = submitted(units[:1])
    returned(units[0], "1", 143)  # it was preempted, say, and ended in good order
    slurm.now(j1="PENDING")
    assert made.poll() == []
    returned(units[0], "1", 0)
    slurm.now(j1="COMPLETED")
    assert made.poll() == [(units[0].directory, 0)]


def test_jobs_of_a_run_that_was_killed_are_taken_over(slurm: Slurm, units: list[Unit]) -> None:
    submitted(units)  # and nothing is said to it any more
    slurm.now(j1_0="RUNNING", j1_1="", j1_2="PENDING")
    made = submitted(units)
    assert [job_of(unit) for unit in units] == ["1_0", "2", "1_2"]
    assert set(made.waiting()) == {units[1].directory, units[2].directory}
    slurm.now(j1_0="COMPLETED")
    returned(units[0], "1_0", 0)
    assert made.poll() == [(units[0].directory, 0)]


def test_the_end_of_a_run_is_the_end_of_its_jobs(slurm: Slurm, units: list[Unit]) -> None:
    made = submitted(units)
    made.cancel()
    assert set(slurm.queue.values()) == {"CANCELLED"}
    assert [job_of(unit) for unit in units] == [None] * 3


def test_one_unit_is_stopped_alone_also_before_it_was_handed_over(slurm: Slurm, units: list[Unit]) -> None:
    made = submitted(units[:2])
    made.stop(units[0].directory)
    assert slurm.queue == {"1_0": "CANCELLED", "1_1": "PENDING"}


def test_while_slurm_does_not_answer_nothing_is_decided(
    slurm: Slurm, units: list[Unit], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = submitted(units[:1])
    slurm.now(j1="RUNNING")
    made.poll()
    (slurm.folder / "down").touch()
    assert [made.poll(), made.poll()] == [[], []]
    monkeypatch.setattr("ganbench_slurm.queue._PATIENCE", -1.0)
    with pytest.raises(UserError, match="Slurm does not answer"):
        made.poll()


def test_what_sbatch_or_a_node_refuses_ends_the_run_in_a_sentence(slurm: Slurm, units: list[Unit]) -> None:
    (slurm.folder / "refuses").touch()
    with pytest.raises(UserError, match=r"sbatch refuses the jobs: .*invalid partition specified: night"):
        submitted(units)
    (slurm.folder / "refuses").unlink()
    made = submitted(units)
    slurm.now(j1_0="COMPLETED")
    returned(units[0], "1_0", "torch is 2.15 on login and 2.14 on node7; install the same on both")
    with pytest.raises(UserError, match=r"torch is 2\.15 on login"):
        made.poll()
    slurm.now(j1_1="FAILED")
    returned(units[1], "1_1", "Traceback ...\nModuleNotFoundError: No module named 'torch'", "error")
    with pytest.raises(UserError, match="a node cannot run ganbench's cells: ModuleNotFoundError"):
        made.poll()


def test_where_there_is_no_slurm_that_is_said(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="sbatch, squeue, scancel, srun not found"):
        executor()


def test_options_are_checked_and_gpus_are_asked_for_where_cells_need_them() -> None:
    assert options("--qos=long --comment='two words' --exclusive") == {
        "qos": "long",
        "comment": "two words",
        "exclusive": True,
    }
    with pytest.raises(UserError, match="options has '-p'; write options of sbatch as --name=value"):
        options("-p gpu")
    assert parameters(SlurmParams(memory=1.5), gpu=True)["gres"] == "gpu:1"
    assert parameters(SlurmParams(memory=1.5), gpu=True)["mem"] == "1536M"
    assert "gres" not in parameters(SlurmParams(), gpu=False)


def test_a_job_that_slurm_runs_again_marks_its_unit_anew_and_one_at_its_limit_ends_first(
    toml: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (plan, source) = read(toml(MINI))
    unit = Store(tmp_path / "results").cell("one")
    unit.create(resolve(plan, source, installed()).cells({"digits": "f"})[0].task)
    job = Job(parcel.Parcel.of(unit.directory), "cpu", 1)
    seen: list[bool] = []

    def run(self: parcel.Parcel, **how: object) -> int:
        seen.append(Unit(Path(self.directory)).marked(self.mark))
        return 0

    monkeypatch.setattr(parcel.Parcel, "run", run)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert pickle.loads(pickle.dumps(job))() == 0
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
        assert pickle.loads(pickle.dumps(job))() == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [True, True]
    ended: list[bool] = []
    monkeypatch.setattr(parcel.Parcel, "dismiss", lambda: ended.append(True))
    assert job.checkpoint().function == job
    assert ended
