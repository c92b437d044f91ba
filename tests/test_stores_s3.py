"""Whole runs into a bucket, on an S3 server that runs for real on the loopback."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import MINI
from test_survival import family, kill, records

from ganbench.bucket import Bucket
from ganbench.cli import main


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on an S3 server of our own."""
    server_module = pytest.importorskip("moto.server", reason="moto[server] is not installed: pip install -e '.[dev]'")
    import fsspec

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server.start()
    host, port = server.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    fsspec.filesystem("s3").clear_instance_cache()
    bucket = f"bucket-{uuid.uuid4()}"  # what one server of moto has, the next one of this process has too
    fsspec.filesystem("s3").mkdir(bucket)
    yield f"s3://{bucket}/results"
    fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


def test_a_grid_runs_into_a_bucket_and_is_reported_from_there(s3, toml, tmp_path, monkeypatch) -> None:
    command = ["run", str(toml()), "--results", s3, "--executor", "inline"]
    monkeypatch.setenv("GANBENCH_STORES", str(tmp_path / "here"))
    first = CliRunner().invoke(main, command)
    assert first.exit_code == 0, first.output
    assert f"1 done; 1 trained now; records in {s3}/mini" in first.output
    monkeypatch.setenv("GANBENCH_STORES", str(tmp_path / "there"))
    planned = CliRunner().invoke(main, ["plan", *command[1:4]])
    assert "0 to train (1 done)" in planned.output
    assert "1 done" in CliRunner().invoke(main, ["status", f"{s3}/mini"]).output
    monkeypatch.chdir(tmp_path)
    report = CliRunner().invoke(main, ["report", f"{s3}/mini", "--format", "md", "--pictures", "none"])
    assert report.exit_code == 0, report.output
    assert "mlp-gan" in (tmp_path / "results/mini/leaderboard.md").read_text()
    merged = CliRunner().invoke(main, ["merge", str(tmp_path / "folder"), f"{s3}/mini"])
    assert merged.exit_code == 0, merged.output
    assert "2 copied" in merged.output
    assert CliRunner().invoke(main, ["doctor", str(tmp_path / "folder")]).exit_code == 0


def started(toml: Path, results: object, stores: Path, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "GANBENCH_STORES": str(stores), **variables}
    command = [sys.executable, "-m", "ganbench.cli", "run", str(toml), "--results", str(results), "--jobs", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def trained(run: subprocess.Popen[str]) -> int:
    output = run.communicate(timeout=500)[0]
    assert run.returncode == 0, output
    return int(output.rpartition(" trained now")[0].rpartition(" ")[2])


@pytest.mark.slow
def test_a_run_killed_in_mid_cell_goes_on_on_another_machine_to_the_same_bits(s3, toml, tmp_path, monkeypatch) -> None:
    path = toml(MINI, ("generator_updates = 4", "generator_updates = 400"), ("times = 2", "times = 10"))
    mark = f"stores-{uuid.uuid4()}"
    monkeypatch.setenv("GANBENCH_LEASE", "8")
    run = started(path, s3, tmp_path / "here", GANBENCH_STORE_SECONDS="0.1", STORES=mark)
    bucket = Bucket(f"{s3}/mini")
    while not bucket.list("parcels/cells"):  # what it would go on from is there
        assert run.poll() is None
        time.sleep(0.2)
    for process in family(mark):
        kill(process)
    assert run.wait(60) == -signal.SIGKILL
    assert not bucket.list("manifests/cells")
    assert trained(started(path, s3, tmp_path / "there")) == 1
    assert len(bucket.list("claims/cells")) == 2
    merged = CliRunner().invoke(main, ["merge", str(tmp_path / "fetched/mini"), f"{s3}/mini"])
    assert merged.exit_code == 0, merged.output
    (log,) = (tmp_path / "fetched/mini/cells").glob("*/log.txt")
    assert "going on after round" in log.read_text()
    assert trained(started(path, tmp_path / "undisturbed", tmp_path / "none")) == 1
    assert records(tmp_path / "fetched") == records(tmp_path / "undisturbed")


@pytest.mark.slow
def test_two_runs_on_one_bucket_do_every_cell_once(s3, toml, tmp_path) -> None:
    path = toml(MINI, ("seeds = 1", "seeds = 30"))
    runs = [started(path, s3, tmp_path / name) for name in ("one", "two")]
    assert sum(map(trained, runs)) == 30
    bucket = Bucket(f"{s3}/mini")
    ended = [json.loads(bucket.get(name) or b"{}") for name in bucket.list("manifests/cells")]
    assert [(manifest["status"], manifest["attempt"]) for manifest in ended] == [("done", 1)] * 30
    assert not bucket.list("runners")
    merged = CliRunner().invoke(main, ["merge", str(tmp_path / "fetched"), f"{s3}/mini"])
    assert merged.exit_code == 0, merged.output  # nothing torn, nothing lost: every hash is checked on the way
    assert "31 copied" in merged.output
