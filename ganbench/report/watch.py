"""The page of a run that goes on: written again and again, from the records alone, until nothing is left to do."""

from __future__ import annotations

import time
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path

from ganbench.merged import merge
from ganbench.report import write_page
from ganbench.report.leaderboard import Ranked
from ganbench.store import Store

#: Statuses of cells that a run may still change.
_OPEN = ("planned", "running", "interrupted")


def watched(
    stores: Sequence[Store],
    out: Path,
    *,
    x: str | None,
    every: float,
    opened: bool,
    say: Callable[[str], None],
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Write the page below `out` every so many seconds until no cell of `stores` is left to train, or Ctrl-C.

    With `opened` it is shown in a browser once it is there. What is slow to write is written less often: a page takes
    no more than half of the time.
    """
    say("watching: Ctrl-C ends it, and writes the whole report")
    shown, before = not opened, ""
    try:
        while True:
            began = time.monotonic()
            for store in stores:
                store.sync()
            tables = merge(stores, out.resolve().name)
            page = write_page(Ranked(tables), out, x=x, live=every)
            shown = shown or show(page) or True
            counts = tables.cells["status"].value_counts()
            said = ", ".join(f"{count} {status}" for status, count in counts.items())
            if said != before:
                say(f"{time.strftime('%H:%M:%S')}  {said}")
                before = said
            if not any(counts.get(status, 0) for status in _OPEN):
                return
            wait(max(every, time.monotonic() - began))
    except KeyboardInterrupt:
        say("stopped watching")


def show(page: Path) -> bool:
    """Show a page in the user's browser; whether there is one."""
    return webbrowser.open(page.resolve().as_uri())
