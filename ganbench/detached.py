"""``ganbench run --detach``: the same command as a process in the background, which no closed terminal ends."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence

import click

from ganbench.store import Store


def start(arguments: Sequence[str], store: Store) -> None:
    """Run `ganbench` with these arguments in a session of its own; what it says goes to ``run.log`` in `store`."""
    store.make()
    command = [sys.executable, "-m", "ganbench.cli", *arguments]
    with store.log.open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    click.echo(f"goes on in the background, as process {process.pid} of {platform.node()}; what it says: {store.log}")
    click.echo(f"`ganbench status {store.root}` shows how far it is, `kill {process.pid}` stops it with checkpoints")
