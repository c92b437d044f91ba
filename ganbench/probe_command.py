"""The command ``ganbench probe``, light: what it does is imported when it is run."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ganbench.cli import PLUGIN
from ganbench.places import FOLDER


@click.command()
@click.argument("folder", metavar="RUN", type=FOLDER)
@click.argument("cell")
@click.argument("name")
@click.option("--param", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter other than its default.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--again", is_flag=True, help="Carry it out though its result is there.")
@PLUGIN
def probe(folder: Path, cell: str, name: str, settings: tuple[str, ...], device: str, again: bool) -> None:
    """Carry out the probe NAME on the trained generator of a CELL of the results folder RUN. Trains no GAN.

    CELL is the name of a folder below RUN/cells, or the beginning of its name or of its key. Numbers and pictures go to
    the cell's folder, where `ganbench report` finds them; what was found before is shown and not done again. `ganbench
    list probes` shows all. Exit codes: 0 done, 1 it failed or the game is not for it, 2 bad input.

    \b
    Examples:
      ganbench probe results/quickstart cgan-digits-s0 interpolate
      ganbench probe results/quickstart dcgan-digits-s0 inpaint --param steps=500 --param images=8
    """
    from ganbench.environment import set_up
    from ganbench.errors import UserError, on_one_line
    from ganbench.plan import ChosenProbe
    from ganbench.plugins import in_use, installed, use
    from ganbench.probing import unit_of
    from ganbench.run import choose_device
    from ganbench.store import Store
    from ganbench.tables import trusted
    from ganbench.testing.command import setting
    from ganbench.trained import find_cell, use_named
    from ganbench.worker import run_in_this_process

    store = Store(folder)
    found = find_cell(store, cell)
    recorded, manifest, _ = trusted(store, found, "cell")
    if not recorded:
        raise UserError(f"{found.directory.name} cannot be probed: {manifest.get('reason') or 'it was never trained'}")
    use_named(recorded)
    component = installed().find("probes", name)
    params = component.load().Params.resolve(dict(map(setting, settings)), owner=component.name)
    unit, task = unit_of(store, found, ChosenProbe(component, params), choose_device(device))
    if again or unit.manifest["status"] != "done":
        unit.create(task)
        set_up()
        named = in_use()
        try:
            run_in_this_process(unit.directory)
        finally:
            use(named)
    manifest = unit.manifest
    if manifest["status"] != "done":
        click.echo(
            f"{name} of {found.directory.name}: {manifest['status']}: {on_one_line(manifest['reason'])}", err=True
        )
        sys.exit(1)
    for what, value in manifest["numbers"].items():
        click.echo(f"{what}: {value:.6g}")
    if manifest["note"]:
        click.echo(on_one_line(manifest["note"]))
    for picture in manifest["pictures"]:
        click.echo(unit.directory / f"{picture}.png")
