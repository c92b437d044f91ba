"""The ``ganbench`` command. It stays light: torch, pandas and rich are imported by the commands that need them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench import __version__
from ganbench.errors import GanbenchError
from ganbench.plugins import KINDS, installed

if TYPE_CHECKING:
    from rich.console import Console

    from ganbench.config import Source
    from ganbench.plan import Plan
    from ganbench.store import Store


class _Group(click.Group):
    """A group that also holds the commands of plugins, and prints ganbench's errors as one sentence."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({*super().list_commands(context), *self._extra()})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return super().get_command(context, name) or self._extra().get(name)

    def _extra(self) -> dict[str, click.Command]:
        return {command.name: command for plugin in installed().plugins for command in plugin.commands if command.name}

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except GanbenchError as error:
            click.echo(f"error: {error}", err=True)
            context.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ganbench")
def main() -> None:
    """Benchmark generative adversarial networks: train grids of them, score them, rank them.

    \b
    ganbench run benchmark.toml        train and score everything in the file
    ganbench report results/quickstart leaderboards, plots and sample sheets
    ganbench list variants             what there is to compare
    """


_FILE = click.argument("file", type=click.Path(path_type=Path))
_RESULTS = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder of results."
)
_ONLY = click.option("--only", multiple=True, metavar="PATTERN", help="Only these variants or datasets (repeatable).")


@main.command()
@_FILE
@_RESULTS
@_ONLY
@click.option("--jobs", type=click.IntRange(1), help="Cells to train at once (default: one per core or GPU).")
@click.option("--device", help="cpu, cuda or cuda:N instead of the file's.")
@click.option("--executor", default="process", show_default=True, help="Where cells run; inline is for debugging.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first cell that fails.")
@click.option("--retry", is_flag=True, help="Train again what failed, diverged or ran out of memory before.")
def run(
    file: Path,
    results: Path,
    only: tuple[str, ...],
    jobs: int | None,
    device: str | None,
    executor: str,
    fail_fast: bool,
    retry: bool,
) -> None:
    """Train and score every cell of a benchmark FILE that is not done yet.

    Run it again to go on after an interruption, to add cells, or to do nothing. Exit codes: 0 all done, 1 a cell
    failed, 2 bad input, 130 stopped by Ctrl-C, 143 by SIGTERM.

    \b
    Examples:
      ganbench run benchmark.toml
      ganbench run benchmark.toml --only dcgan --only 'wgan*' --jobs 1
      ganbench run studies/mnist-short.toml --device cuda:0 --results /data/results
    """
    from ganbench.run import Options, Terminated
    from ganbench.run import run as run_plan
    from ganbench.view import RunView

    plan, source = _load(file)
    store = _store(results, plan)
    options = Options(only, jobs, device, executor, fail_fast, retry)
    console = _console()
    try:
        with RunView(console) as view:
            outcome = run_plan(plan, source.text, store, options, view, installed())
    except KeyboardInterrupt as stop:
        console.print(f"stopped; what was done is kept: `ganbench run {file}` goes on from there", highlight=False)
        sys.exit(143 if isinstance(stop, Terminated) else 130)

    from ganbench import report

    tables = store.tables()
    report.write(store, tables, pictures=False)
    report.terminal(tables, console)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(outcome.statuses.items()))
    click.echo(f"{counts}; {outcome.trained} trained now; records in {store.root}")
    for cell, manifest in outcome.failures:
        reason = manifest.get("reason") or "not trained"
        click.echo(f"  {cell.variant} on {cell.dataset}, seed {cell.seed}: {manifest['status']}: {reason}", err=True)
        if manifest["status"] != "planned":
            click.echo(f"    log: {store.cell(cell.directory).log}", err=True)
    sys.exit(1 if outcome.failures else 0)


@main.command()
@_FILE
@_RESULTS
@_ONLY
def plan(file: Path, results: Path, only: tuple[str, ...]) -> None:
    """Show the cells of a benchmark FILE: which are done, new or skipped, and why. Trains and writes nothing.

    \b
    Examples:
      ganbench plan benchmark.toml
      ganbench plan studies/mnist-short.toml --only cgan
    """
    from rich.table import Table

    from ganbench.run import fingerprints, selected, state

    resolved, _ = _load(file)
    store = _store(results, resolved)
    cells = selected(resolved.cells(fingerprints(resolved)), only)
    table = Table("cell", "parameters", "seed", "status", box=None, header_style="bold")
    counts: dict[str, int] = {}
    for cell in cells:
        status = state(cell, store)
        counts[status] = counts.get(status, 0) + 1
        said = f"skipped: {cell.skip}" if cell.skip else {"planned": "new"}.get(status, status)
        settings = " ".join(cell.labels[name] for name in cell.overrides if cell.labels[name])
        table.add_row(f"{cell.variant} on {cell.dataset}", settings, str(cell.seed), said)
    console = _console()
    console.print(table)
    todo = sum(count for status, count in counts.items() if status in ("planned", "interrupted", "running"))
    rest = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()) if status != "planned")
    click.echo(f"{len(cells)} cells, {todo} to train{f' ({rest})' if rest else ''}")
    for name, chosen in resolved.datasets.items():
        if chosen.error:
            click.echo(f"dataset {name} cannot be used: {chosen.error}", err=True)


@main.command("list")
@click.argument("kind", type=click.Choice(list(KINDS)))
def list_(kind: str) -> None:
    """List what the installed plugins provide of one KIND, a line each.

    \b
    Examples:
      ganbench list variants
      ganbench list datasets
    """
    from rich.table import Table

    table = Table("name", "plugin", "summary", box=None, header_style="bold")
    for component in installed().components:
        if component.kind == kind:
            try:
                summary = component.describe()
            except GanbenchError as error:
                summary = f"broken: {error}"
            table.add_row(installed().name(component), component.plugin, summary)
    _console().print(table)


@main.command()
@click.argument("name")
def show(name: str) -> None:
    """Show one variant, dataset, metric or other component: what it is, its paper, its parameters.

    \b
    Examples:
      ganbench show wgan-gp
      ganbench show folder
      ganbench show fcd
    """
    import inspect

    from rich.markup import escape
    from rich.table import Table

    from ganbench.errors import UserError, did_you_mean

    matches = [c for c in installed().components if name.partition(":")[0] in (c.name, c.id)]
    if not matches:
        known = [name for kind in KINDS for name in installed().names(kind)]
        raise UserError(
            f"nothing is called {name!r}{did_you_mean(name, known)}; see `ganbench list variants` and so on"
        )
    console = _console()
    for component in matches:
        found = component.load()
        console.print(f"[bold]{component.kind[:-1]} {component.id}[/bold] ({installed().version(component.plugin)})")
        console.print(escape(inspect.getdoc(found) or component.describe()), highlight=False)
        if paper := getattr(found, "paper", ""):
            console.print(f"\nPaper: {escape(paper)}", highlight=False)
        if component.kind == "metrics":
            facts = f"{found.direction} is better; extractor {found.extractor or 'none'}; protocol {found.version}"
            console.print(f"\n{facts}; at least {found.minimum_samples} samples", highlight=False)
        fields = found.Params.fields() if hasattr(found, "Params") else {}
        if fields:
            table = Table("parameter", "symbol", "default", "range", "paper", "meaning", box=None, header_style="bold")
            for field, (kind, default, info) in fields.items():
                shown = "" if info.paper is None else str(info.paper)
                ranged = info.range if info.range != "any" else kind.__name__
                table.add_row(field, info.symbol, str(default), ranged, shown, info.help)
            console.print()
            console.print(table)


@main.command()
def plugins() -> None:
    """List the installed plugins: version, what each provides, ok or broken and why.

    \b
    Example:
      ganbench plugins
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table("plugin", "distribution", "provides", "state", box=None, header_style="bold")
    for plugin in installed().plugins:
        counts = {kind: sum(c.kind == kind for c in plugin.components) for kind in KINDS}
        counts["commands"] = len(plugin.commands)
        provides = ", ".join(f"{n} {kind if n > 1 else kind[:-1]}" for kind, n in counts.items() if n)
        state = f"[red]broken[/red]: {escape(plugin.error)}" if plugin.error else "ok"
        table.add_row(plugin.name, f"{plugin.distribution} {plugin.version}", provides or "nothing", state)
    _console().print(table)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
def report(folder: Path | None) -> None:
    """Write leaderboards, plots and sample sheets from the records in FOLDER (default: the latest below results/).

    \b
    Examples:
      ganbench report
      ganbench report results/quickstart
    """
    from ganbench import report as reports
    from ganbench.store import Store, latest

    store = Store(folder) if folder else latest(Path("results"))
    tables = store.tables()
    written = reports.write(store, tables)
    for component in installed().components:
        if component.kind == "reporters":
            component.load()().report(tables, store.root / "report")
    reports.terminal(tables, _console())
    for path in written:
        click.echo(path)


@main.command()
def doctor() -> None:
    """Check this installation: torch, devices, data root, caches, Inception weights; what works, what is missing.

    \b
    Example:
      ganbench doctor
    """
    from ganbench.doctor import checks

    console = _console()
    for name, good, message in checks():
        console.print(
            f"{'[green]ok[/green]     ' if good else '[yellow]missing[/yellow]'} [bold]{name}[/bold]:", end=" "
        )
        console.print(message, markup=False, highlight=False, soft_wrap=True)


@main.group()
def data() -> None:
    """Prepare datasets beforehand, or see which are prepared."""


@data.command("prepare")
@click.argument("names", nargs=-1, required=True)
def data_prepare(names: tuple[str, ...]) -> None:
    """Make datasets ready: read or download them, check them, convert them once.

    \b
    Examples:
      ganbench data prepare mnist cifar10
      ganbench data prepare folder:pictures npz:mine.npz
    """
    from ganbench.data import data_root, prepare

    for name in names:
        prepared = prepare(name, installed().dataset(name), data_root(), say=click.echo)
        sizes = ", ".join(f"{count:,} {split}" for split, count in prepared.counts.items())
        click.echo(f"{name}: {sizes}, shape {prepared.spec.shape}, {prepared.spec.classes} classes: {prepared.folder}")


@data.command("list")
def data_list() -> None:
    """List the datasets of the installed plugins and whether each is prepared.

    \b
    Example:
      ganbench data list
    """
    from rich.table import Table

    from ganbench.data import data_root, lookup

    table = Table("dataset", "state", "shape", "classes", "summary", box=None, header_style="bold")
    for component in installed().components:
        if component.kind != "datasets":
            continue
        name, cls = installed().name(component), component.load()
        if cls.takes_argument:
            table.add_row(f"{name}:PATH", "yours", "", "", component.describe())
            continue
        dataset = cls()
        spec, prepared = dataset.spec(), lookup(name, dataset, data_root())
        table.add_row(
            name,
            "prepared" if prepared else "not prepared",
            "×".join(map(str, spec.shape)),
            str(spec.classes),
            component.describe(),
        )
    console = _console()
    console.print(table)
    console.print(f"data root: {data_root()}", highlight=False)


def _load(file: Path) -> tuple[Plan, Source]:
    """Read, validate and resolve a benchmark file."""
    from ganbench.config import read
    from ganbench.plan import resolve

    benchmark, source = read(file)
    return resolve(benchmark, source, installed()), source


def _store(results: Path, plan: Plan) -> Store:
    from ganbench.store import Store

    return Store(results / plan.benchmark.name)


def _console() -> Console:
    """Standard output; when it is no terminal, wide enough that no table cell is cut."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    return console


if __name__ == "__main__":
    main()
