"""The command ``ganbench merge``, light: what it does is imported when it is run."""

from __future__ import annotations

import sys

import click

from ganbench.errors import on_one_line
from ganbench.places import PLACE, Place, at, opened


@click.command()
@click.argument("dest", type=PLACE)
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PLACE)
def merge(dest: Place, sources: tuple[Place, ...]) -> None:
    """Bring the records of one grid that was run in parts, in folders or stores SRC, together in DEST.

    Every record is examined first. Cells that DEST has must agree in all that their task decides (scores, costs,
    snapshots; not times); what differs, is damaged, was edited or still runs is named and left behind, and the exit
    code is 1. To do it again changes nothing.

    \b
    Examples:
      ganbench merge results/mnist part1/mnist part2/mnist
      ganbench merge results/mnist s3://bucket/runs/mnist
    """
    from ganbench.gather import merge as bring_together

    merged = bring_together(at(dest), list(map(opened, sources)))
    for where, why in merged.left.items():
        click.echo(f"left behind: {on_one_line(where)}: {why}", err=True)
    click.echo(f"{merged.summary()}; records in {dest}")
    sys.exit(1 if merged.left else 0)
