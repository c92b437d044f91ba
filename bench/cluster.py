"""What the main process can keep busy: a real run of many cells on many slots that are simulated.

    python bench/cluster.py --cells 100000 --slots 1000 --seconds 4

Real are the plan, the scheduler (`ganbench.run`, `ganbench.shift`), every record on the disk, the view as it is on a
terminal, and the clock. Simulated is the training: `bench/simulated.py` ends cells after log-normal times and writes
their records, in another process. Time is compressed: a slot asks for its next cell after seconds instead of hours.
Left out are the estimate of the disk space, since cells that train nothing need none, and the report after the run.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import scale

BENCH = Path(__file__).parent
#: Audit events that are operations on a store; what is done with an open file (write, read, close) is none.
OPERATIONS = {"open": "open", "os.mkdir": "mkdir", "os.rename": "rename", "os.remove": "unlink", "os.scandir": "list",
              "os.listdir": "list", "os.rmdir": "rmdir", "fcntl.flock": "lock", "fcntl.lockf": "lock",
              "fcntl.fcntl": "lock"}  # fmt: skip
_SETTING = {fcntl.F_SETLK, fcntl.F_SETLKW, getattr(fcntl, "F_OFD_SETLK", None), getattr(fcntl, "F_OFD_SETLKW", None)}


def locks(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a call of fcntl's locks something; what unlocks goes with closing."""
    how = arguments[1]
    if event != "fcntl.fcntl":
        return not how & fcntl.LOCK_UN
    return how in _SETTING and struct.unpack_from("h", arguments[2])[0] != fcntl.F_UNLCK  # where Linux has it


class Counted:
    """Operations of this process below a folder: calls that name a file or folder there, and locks."""

    def __init__(self, root: Path) -> None:
        self.root, self.by_kind, self.on = str(root), Counter[str](), True
        sys.addaudithook(self._hear)
        for name in ("stat", "lstat"):  # which are not audited
            setattr(os, name, self._told(getattr(os, name)))

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if (kind := OPERATIONS.get(event)) and self.on:
            self.by_kind[kind] += locks(event, arguments) if kind == "lock" else self._ours(arguments[0])

    def _told(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def told(path: Any, *arguments: Any, **named: Any) -> Any:
            self.by_kind["stat"] += self.on and self._ours(path)
            return function(path, *arguments, **named)

        return told

    def _ours(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.root)


def install(folder: Path, seconds: float) -> dict[str, str]:
    """The environment of a process that has the plugins of the simulation."""
    environment = scale.install(folder)
    info = folder / "site" / "ganbench_simulated-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ganbench-simulated\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ganbench]\nsimulated = ganbench_simulated\n")
    shutil.copy(BENCH / "simulated.py", folder / "site" / "ganbench_simulated.py")
    return {**environment, "SIMULATED_SECONDS": str(seconds), "SIMULATED_BENCH": str(BENCH)}


def prepare(folder: Path, cells: int) -> None:
    """Write the benchmark file, and the references of its datasets as if they had been made ready."""
    from ganbench.config import read
    from ganbench.data import data_root
    from ganbench.data import prepare as prepare_data
    from ganbench.plan import resolve
    from ganbench.plugins import installed
    from ganbench.store import Store

    (folder / "bench.toml").write_text(scale.SHAPES[cells].toml)
    plan = resolve(*read(folder / "bench.toml"), installed())
    store = Store(folder / "results")
    store.make()
    for name, chosen in plan.datasets.items():
        unit = store.reference(name)
        unit.create(plan.reference_task(chosen, "cpu"))
        unit.update(**scale.reference(prepare_data(name, chosen.dataset, data_root()).fingerprint))


def measured(folder: Path, slots: int) -> None:
    """Run the benchmark in `folder` in this process, and print what that took as JSON."""
    from ganbench_simulated import Simulated
    from rich.console import Console

    from ganbench import space
    from ganbench.config import read
    from ganbench.plan import resolve
    from ganbench.plugins import installed
    from ganbench.run import Options, run
    from ganbench.store import Store
    from ganbench.view import RunView

    began = time.monotonic()
    space.estimate = lambda *asked, **options: None
    counted = Counted(folder / "results" / "cells")
    plan, source = resolve(*read(folder / "bench.toml"), installed()), (folder / "bench.toml").read_text()
    with (folder / "terminal").open("w") as screen:
        console = Console(file=screen, force_terminal=True, width=120, height=40)
        with RunView(console) as view:
            options = Options(jobs=slots, executor="simulated")
            outcome = run(plan, source, Store(folder / "results"), options, view, installed())
    attempts, cells = Simulated.attempts, sum(outcome.statuses.values())
    handed = sorted(attempts.began)
    until = handed[int(0.99 * len(handed))]
    found = {
        "cells": cells,
        "statuses": dict(outcome.statuses),
        "attempts": len(handed),
        "seconds_to_first": handed[0] - began,
        "seconds": max(attempts.ended) - handed[0],
        "seconds_after": time.monotonic() - max(attempts.ended),
        "dispatches_per_second": int(0.99 * len(handed)) / (until - handed[0]),
        "idle_share": attempts.idle(slots, until),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "processor_seconds": time.process_time(),
        "operations_per_cell": {kind: count / cells for kind, count in sorted(counted.by_kind.items())},
    }
    print(json.dumps(found))


def simulate(folder: Path, cells: int, slots: int, seconds: float) -> dict[str, Any]:
    """What `measured` finds in a fresh process; `folder` is empty."""
    environment = install(folder, seconds)
    for call in (f"prepare(folder, {cells})", f"measured(folder, {slots})"):
        code = f"import sys, pathlib; sys.path.insert(0, {str(BENCH)!r}); import cluster; "
        command = [sys.executable, "-c", f"{code}folder = pathlib.Path({str(folder)!r}); cluster.{call}"]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.returncode)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@click.command()
@click.option("--cells", type=click.Choice([str(size) for size in scale.SHAPES]), default="1000", show_default=True)
@click.option("--slots", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seconds", type=click.FloatRange(0), default=1.0, show_default=True, help="Mean time of a cell.")
@click.option("--folder", type=click.Path(path_type=Path), help="An empty folder, which is kept.")
def main(cells: str, slots: int, seconds: float, folder: Path | None) -> None:
    """Run CELLS on SLOTS, and print what the main process did for them."""
    with tempfile.TemporaryDirectory() as temporary:
        found = simulate(folder or Path(temporary), int(cells), slots, seconds)
    kinds = found["operations_per_cell"]
    click.echo(f"{found['cells']:,} cells on {slots:,} slots, {seconds:g} s each in the mean: {found['statuses']}")
    click.echo(f"until the first is handed out   {found['seconds_to_first']:8.1f} s")
    click.echo(f"until the last has ended        {found['seconds']:8.1f} s, and then {found['seconds_after']:.1f} s")
    click.echo(f"dispatches per second           {found['dispatches_per_second']:8.1f}")
    click.echo(f"idle share of slots             {found['idle_share']:8.2%}")
    click.echo(
        f"main process                    {found['megabytes']:8.0f} MB, {found['processor_seconds']:.0f} s of processor"
    )
    click.echo(f"store operations per cell       {sum(kinds.values()):8.2f}  {kinds}")


if __name__ == "__main__":
    main()
