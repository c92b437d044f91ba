"""What tests of executors on real clusters share: commands, patience, and what is left of records without times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: What differs from run to run: times, processes, and what is measured.
APART = {"started", "finished", "attempt", "pid", "host", "seconds", "evaluate_seconds", "speed", "last_evaluation"}
APART |= {"environment", "seal"}


def start(path: Path, *arguments: str) -> subprocess.Popen[str]:
    """`ganbench run` in the folder of the benchmark file, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "ganbench.cli", "run", path.name, *arguments],
        cwd=path.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def ran(path: Path, *arguments: str) -> tuple[int, str]:
    process = start(path, *arguments)
    output, _ = process.communicate(timeout=900)
    return process.returncode, output


def until(happened: Callable[[], Any], patience: float = 180.0) -> Any:
    deadline = time.monotonic() + patience
    while not (found := happened()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)
    return found


def numbers(root: Path) -> dict[str, Any]:
    """Everything that is on record, files byte for byte, but for what differs from run to run."""

    def lasting(found: Any) -> Any:
        if isinstance(found, dict):
            return {key: lasting(value) for key, value in found.items() if key not in APART}
        return [lasting(value) for value in found] if isinstance(found, list) else found

    found: dict[str, Any] = {}
    for path in sorted([*root.glob("cells/*/**/*"), *root.glob("references/*/*")]):
        name = os.path.relpath(path, root)
        if path.suffix == ".json":
            found[name] = lasting(json.loads(path.read_text()))
        elif path.suffix == ".jsonl":
            found[name] = [lasting(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.is_file() and path.name not in ("log.txt", ".claims", ".work"):
            found[name] = path.read_bytes()
    return found
