"""The command ``ganbench sample``, light: what it does is imported when it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from ganbench.cli import PLUGIN
from ganbench.places import FOLDER


@click.command()
@click.argument("folder", metavar="RUN", type=FOLDER)
@click.argument("cell")
@click.option("-n", "count", type=click.IntRange(1, 10_000_000), default=100, show_default=True, help="Images to draw.")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="FILE.npz, or a folder for PNGs.")
@click.option("--class", "of_class", metavar="NAME|NUMBER", help="Of one class only, where the GAN is conditional.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Another draw (default: that of the score on record).")
@click.option("--at", type=click.Choice(("best", "last")), help="Which snapshot (default: the one that RUN ranks).")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@PLUGIN
def sample(
    folder: Path,
    cell: str,
    count: int,
    target: Path,
    of_class: str | None,
    seed: int | None,
    at: Literal["best", "last"] | None,
    device: str,
) -> None:
    """Draw images from the trained generator of a CELL of the results folder RUN. Trains nothing.

    CELL is the name of a folder below RUN/cells, or the beginning of its name or of its key. Without --seed, the images
    are the first of those that the score on record is of. An .npz file has uint8 images N×C×H×W in x_train and labels
    in y_train; labelled PNGs lie in a folder per class. Both are datasets (npz:FILE, folder:FOLDER), and what
    `ganbench evaluate` takes.

    \b
    Examples:
      ganbench sample results/quickstart cgan-digits-s0 --to digits.npz -n 10000
      ganbench sample results/quickstart cgan-digits-s0 --to sevens --class 7
      ganbench sample results/quickstart 3f2a --to end.npz --at last --seed 5
    """
    from ganbench import sampling
    from ganbench.environment import set_up
    from ganbench.run import choose_device
    from ganbench.store import Store
    from ganbench.trained import find_cell, open_cell

    sampling.check_target(target)
    store = Store(folder)
    unit = find_cell(store, cell)
    set_up()
    trained = open_cell(store, unit, at=at, device=choose_device(device), say=lambda text: click.echo(text, err=True))
    label = None if of_class is None else sampling.label_of(of_class, trained)
    drawn = sampling.draw(trained, count, label=label, seed=seed)
    sampling.write(drawn, target, sampling.class_names(trained))
    updates = trained.manifest[trained.at]["generator_updates"]
    from_where = f"{unit.directory.name}, {trained.at} snapshot ({updates:,} generator updates)"
    click.echo(f"{count:,} images of {from_where}: {target}")
