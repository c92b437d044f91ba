"""Slurm as far as it is needed: submitit submits and keeps results, ``squeue`` tells of jobs, ``scancel`` ends them."""

from __future__ import annotations

import getpass
import shlex
import shutil
import subprocess
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganbench.api import UserError

if TYPE_CHECKING:
    from ganbench_slurm.executor import SlurmParams
    from ganbench_slurm.job import Job

#: States of jobs that are over and will not run again.
TERMINAL = frozenset(
    (
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"),
        *("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
    )
)
_ARRAY = 500  # jobs of one array; clusters allow 1,000 by default
_AGAIN = 1_000_000  # times that a job may meet its time limit
_PATIENCE = 600.0  # seconds for which Slurm's controller may not answer


class Queue:
    """The jobs of this user."""

    def __init__(self) -> None:
        """Raises `UserError` where Slurm or submitit is not there."""
        if missing := [name for name in ("sbatch", "squeue", "scancel", "srun") if shutil.which(name) is None]:
            raise UserError(f"{', '.join(missing)} not found: this is no node of a Slurm cluster from which jobs start")
        try:
            import submitit  # noqa: F401
        except ImportError as error:
            raise UserError(f"submitit cannot be imported ({error}): pip install 'ganbench[slurm]'") from error
        self._heard = time.monotonic()
        self._states: dict[str, str] = {}

    def states(self) -> dict[str, str]:
        """Job id -> state, of all jobs that Slurm still knows of. While it does not answer, what it said last.

        Raises `UserError` when it has not answered for ten minutes.
        """
        command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T", f"--user={getpass.getuser()}"]
        asked = subprocess.run(command, capture_output=True, text=True)
        if asked.returncode == 0:
            pairs = (line.strip().partition("|") for line in asked.stdout.splitlines())
            self._states, self._heard = {job: state for job, _, state in pairs}, time.monotonic()
        elif time.monotonic() - self._heard > _PATIENCE:
            raise UserError(
                f"Slurm does not answer ({asked.stderr.strip()}); jobs in its queue go on, and the same command finds "
                "them there"
            )
        return self._states

    def cancel(self, jobs: Collection[str]) -> None:
        """End jobs: Slurm sends SIGTERM, and SIGKILL after a time of its own."""
        subprocess.run(["scancel", *jobs], capture_output=True)


class Submitter:
    """Submits jobs and keeps what they say in a folder that all nodes see."""

    def __init__(self, folder: Path, params: SlurmParams, *, gpu: bool) -> None:
        import submitit

        self._folder = folder
        self._slurm = submitit.SlurmExecutor(folder, max_num_timeout=_AGAIN)
        self._slurm.update_parameters(**parameters(params, gpu=gpu))

    def submit(self, work: Sequence[Job]) -> list[str]:
        """Submit jobs as arrays; their ids. Raises `UserError` with what sbatch says."""
        ids: list[str] = []
        for first in range(0, len(work), _ARRAY):
            try:
                with self._slurm.batch():
                    jobs = [self._slurm.submit(one) for one in work[first : first + _ARRAY]]
            except Exception as error:
                raise UserError(f"sbatch refuses the jobs: {_last_line(error)}") from error
            ids += [job.job_id for job in jobs]
        return ids

    def result(self, job: str) -> int | str | None:
        """What a job returned; None where there is nothing. What it raised is a sentence too."""
        from submitit.core.utils import JobPaths, pickle_load

        path = JobPaths(self._folder, job).result_pickle
        try:
            outcome, result = pickle_load(path)
        except FileNotFoundError:
            return None
        return result if outcome == "success" else f"a node cannot run ganbench's cells: {_last_line(result)}"

    def clear(self, job: str) -> None:
        """Delete the files of a job that is over, but for its output where it left no result."""
        from submitit.core.utils import JobPaths

        paths = JobPaths(self._folder, job)
        if paths.result_pickle.exists():
            for path in (paths.stdout, paths.stderr, paths.result_pickle):
                path.unlink(missing_ok=True)
        paths.submitted_pickle.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what arrays were submitted with, once all their jobs are over."""
        for path in (*self._folder.glob("*_submission.sh"), *self._folder.glob(".submission_file_*.sh")):
            path.unlink(missing_ok=True)


def parameters(params: SlurmParams, *, gpu: bool) -> dict[str, Any]:
    """What submitit is told. Raises `UserError` where `options` are none."""
    found: dict[str, Any] = {
        "job_name": "ganbench",
        "time": params.minutes,
        "signal_delay_s": params.warning,
        "cpus_per_task": params.cpus,
        "array_parallelism": _ARRAY,
        "stderr_to_stdout": True,
        "wckey": None,
        "additional_parameters": {"requeue": True, **options(params.options)},
    }
    for name in ("partition", "account"):
        found |= {name: value} if (value := getattr(params, name)) else {}
    if gres := params.gres or ("gpu:1" if gpu else ""):
        found["gres"] = gres
    if params.memory:
        found["mem"] = f"{round(params.memory * 1024)}M"
    if params.setup:
        found["setup"] = [params.setup]
    return found


def options(text: str) -> dict[str, str | bool]:
    """``--qos=long --exclusive`` as names and values. Raises `UserError` where it is something else."""
    found: dict[str, str | bool] = {}
    for word in shlex.split(text):
        name, given, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise UserError(f"executor.params.options has {word!r}; write options of sbatch as --name=value or --name")
        found[name] = value if given else True
    return found


def _last_line(error: object) -> str:
    return str(error).strip().rpartition("\n")[2]
