"""The command ``ganbench status``, light: what it does is imported when it is run."""

from __future__ import annotations

from pathlib import Path

import click

from ganbench.places import PLACE, Place, opened


@click.command()
@click.argument("folder", required=False, metavar="[DIR]", type=PLACE)
@click.option("--watch", is_flag=True, help="Look again every two seconds until nothing is left to do.")
def status(folder: Place | None, watch: bool) -> None:
    """Show how far a grid is: cells by status, what runs now, the time left, failures with their reasons.

    Told from the records in DIR (default: the latest below results/) alone: it can be asked while `ganbench run` is at
    work, and changes nothing.

    \b
    Examples:
      ganbench status
      ganbench status results/quickstart --watch
    """
    from ganbench.status import show
    from ganbench.store import latest

    show(opened(folder) if folder else latest(Path("results")), watch=watch)
