"""The command ``ganbench evaluate``, light: what it does is imported when it is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ganbench.cli import PLUGIN
from ganbench.errors import UserError
from ganbench.places import FOLDER

if TYPE_CHECKING:
    from rich.table import Table


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--dataset", metavar="NAME", help="What they are compared with (with --into: one of RUN's).")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Default: cs and fcd, or RUN's (repeatable).")
@click.option("--samples", type=click.IntRange(2), help="Score so many of them (default: all, or as many as RUN).")
@click.option("--split", type=click.Choice(("train", "test")), help="Which images of a PATH that has both.")
@click.option("--reference", type=click.Choice(("train", "train+test")), help="What distances compare with.")
@click.option("--name", help="What the images are called (default: the last part of PATH).")
@click.option("--into", "run", metavar="RUN", type=FOLDER, help="Onto the leaderboard of this run.")
@click.option("--json", "target", metavar="FILE", type=click.Path(path_type=Path), help="Write all of it as JSON.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@PLUGIN
def evaluate(
    paths: tuple[Path, ...],
    dataset: str | None,
    metrics: tuple[str, ...],
    samples: int | None,
    split: str | None,
    reference: Literal["train", "train+test"] | None,
    name: str | None,
    run: Path | None,
    target: Path | None,
    device: str,
) -> None:
    """Score anybody's images against a dataset, as the cells of a benchmark are scored.

    PATH is a folder of image files, or an .npz file (x_train, or arr_0; labels in y_train or arr_1). Each is a row of
    the table, below the real test images. With --into RUN the metrics, extractors, reference and number of images are
    RUN's, and `ganbench report RUN` shows the rows on its leaderboard, marked and unranked.

    \b
    Examples:
      ganbench evaluate --dataset mnist my-samples
      ganbench evaluate --dataset cifar10 --metric fid theirs.npz ours.npz --json scores.json
      ganbench evaluate --into results/mnist-short my-samples --name their-gan
    """
    from ganbench.environment import set_up
    from ganbench.run import choose_device
    from ganbench.scored import DEFAULT_METRICS, Scorer, check_free, checked_name, of_run, usual
    from ganbench.store import Store, write_json

    if name is not None and len(paths) > 1:
        raise UserError(f"--name is for one PATH, and there are {len(paths)}")
    names = [checked_name(path.resolve().name if name is None else name) for path in paths]
    if len(set(names)) < len(names):
        raise UserError("two PATHs end alike, so their rows would have one name; evaluate them one by one, with --name")
    if run is not None and reference is not None:
        raise UserError("--reference is RUN's where there is --into; leave it away")
    if run is None and dataset is None:
        raise UserError("say what the images are compared with: --dataset NAME (`ganbench list datasets`)")
    store = Store(run) if run else None
    if store:
        protocol = of_run(store, dataset, metrics)
    else:
        protocol = usual(str(dataset), metrics or DEFAULT_METRICS, reference or "train")
    set_up()

    def say(message: str) -> None:
        click.echo(message, err=True)

    scorer = Scorer(protocol, device=choose_device(device), say=say)
    found = [scorer.read(path, which=split, samples=samples) for path in paths]
    for images, called in zip(found, names, strict=True):
        if store:
            check_free(store, protocol.task["dataset"], called, images.digest)
    scorer.open()
    real = scorer.real()
    records = [scorer.score(images, called) for images, called in zip(found, names, strict=True)]
    _print(_table(real, records, list(protocol.task["metrics"])))
    for note in [note for images in found for note in images.notes]:
        click.echo(note)
    for metric, reason in scorer.evaluator.unavailable.items():
        click.echo(f"{metric}: unavailable: {reason}")
    if target:
        try:
            write_json(target, {"dataset": protocol.task["dataset"], "real": real, "scored": records})
        except OSError as error:
            raise UserError(f"{target} cannot be written ({error.strerror or error})") from error
        click.echo(target)
    if store:
        for record in records:
            click.echo(store.keep_scored(record))
        click.echo(f"`ganbench report {store.root}` shows them, apart from what was trained there")


def _table(real: Mapping[str, Mapping[str, Any]], records: Sequence[Mapping[str, Any]], metrics: list[str]) -> Table:
    """Rows of scores, those of the real test images first."""
    from rich.table import Table
    from rich.text import Text

    from ganbench.plugins import installed
    from ganbench.report.words import MISSING, clean, number

    arrows = [
        f"{name} {'↓' if installed().find('metrics', name).load().direction == 'lower' else '↑'}" for name in metrics
    ]
    table = Table("images", *arrows, "samples", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    counts = {int(row["samples"]) for row in real.values()}
    shown = [("real test images", real, f"{max(counts):,}" if counts else "")]
    shown += [(record["name"], record["metrics"], f"{record['samples']:,}") for record in records]
    for called, scores, count in shown:
        values = [number(float(scores[name]["value"])) if name in scores else MISSING for name in metrics]
        table.add_row(Text(clean(called)), *values, count)
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=200)).print(table)
