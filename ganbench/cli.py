"""The ``ganbench`` command. It stays light: torch, pandas and rich are imported by the commands that need them."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ganbench import __version__
from ganbench.errors import GanbenchError, UserError, on_one_line
from ganbench.places import FOLDER, PLACE, Place, below
from ganbench.places import opened as store_at
from ganbench.plugins import KINDS, VARIABLE, Plugin, in_use, installed, let_go, use
from ganbench.plugins import name as plugin_called

if TYPE_CHECKING:
    from rich.console import Console

    from ganbench.config import Source
    from ganbench.plan import Cell, Plan
    from ganbench.run import Options, Outcome
    from ganbench.store import Store


class _Group(click.Group):
    """A group that also holds the commands of plugins, and prints ganbench's errors as one sentence."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({*super().list_commands(context), *self._extra()})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return super().get_command(context, name) or self._extra().get(name)

    def _extra(self) -> dict[str, click.Command]:
        return {str(command.name): command for plugin in installed().plugins for command in plugin.commands}

    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().main(*arguments, **options)
        except GanbenchError as error:  # of --help and completion, which list the commands of plugins
            click.echo(_said(error), err=True)
            sys.exit(2)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except GanbenchError as error:
            click.echo(_said(error), err=True)
            context.exit(2)


def _said(error: GanbenchError) -> str:
    return f"error: {on_one_line(str(error))}"


def _restrict(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> None:
    """``-p`` is `VARIABLE` for this command, so that its workers follow."""
    if not names:
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = ",".join([*filter(None, [before]), *names])

    def restore() -> None:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before

    context.call_on_close(restore)


def _named(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> None:
    """``--plugin``: from now on these are among the `installed` plugins, until the command has ended."""
    if context.resilient_parsing or not texts:
        return
    named = []
    for text in texts:
        try:
            named.append(plugin_called(text, Path()))
            use(named)
        except UserError as error:
            raise UserError(f"--plugin {text}: {error}") from None


#: For every command that names components; others need no plugin that is not installed.
PLUGIN = click.option(
    "--plugin",
    metavar="FILE|NAME",
    multiple=True,
    expose_value=False,
    callback=_named,
    help="A plugin of one file (./my_gan.py), or an optional one by its name (repeatable).",
)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ganbench")
@click.option(
    "-p",
    "restricted",
    metavar="no:NAME",
    multiple=True,
    expose_value=False,
    is_eager=True,
    callback=_restrict,
    help="Leave an installed plugin out, or with NAME load only these; like GANBENCH_PLUGINS=no:a,no:b (repeatable).",
)
def main() -> None:
    """Benchmark generative adversarial networks: train grids of them, score them, rank them.

    \b
    ganbench run benchmark.toml        train and score everything in the file
    ganbench report results/quickstart leaderboards, plots and sample sheets
    ganbench list variants             what there is to compare
    """
    click.get_current_context().call_on_close(let_go)  # what this command is given is not for the next one


_FILES = click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
_RESULTS = click.option(
    "--results",
    type=PLACE,
    default=Path("results"),
    show_default=True,
    help="Folder of results, or a store (s3://bucket/prefix).",
)
_TRIED = ("failed", "oom", "timeout", "diverged")
_AXES = ("epochs", "generator_updates", "images", "seconds")
_FORMATS, _FIGURES = ("html", "md", "latex", "csv"), ("png", "svg", "pdf")


def _several(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """The values of an option that can be repeated, or be a list with commas; its default where there are none."""
    known = _FIGURES if option.name == "figures" else _FORMATS
    chosen = dict.fromkeys(name.strip() for text in given for name in text.split(","))
    for name in chosen:
        if name not in known:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(known)}")
    return tuple(chosen) or (_FIGURES[:2] if option.name == "figures" else _FORMATS)


_ONLY = click.option("--only", multiple=True, metavar="PATTERN", help="Only these variants or datasets (repeatable).")


@main.command()
@_FILES
@_RESULTS
@_ONLY
@PLUGIN
@click.option("--shard", metavar="K/N", help="Only the cells of the K-th of N parts, which their keys decide.")
@click.option("--jobs", type=click.IntRange(1), help="Cells to train at once (default: one per core or GPU).")
@click.option("--device", help="cpu, cuda or cuda:N instead of the file's.")
@click.option("--executor", help="Where cells run instead of where the file says; inline is for debugging.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first cell that fails.")
@click.option("--retry", multiple=True, type=click.Choice((*_TRIED, "all")), help="Train again what ended like this.")
@click.option("--stale", type=click.Choice(("retrain", "keep")), help="Cells trained by other code than today's.")
@click.option("--pdb", is_flag=True, help="Run in this process, and examine in pdb what a cell raises.")
@click.option("--detach", is_flag=True, help="Go on in the background, and return at once.")
def run(
    files: tuple[Path, ...],
    results: Place,
    only: tuple[str, ...],
    shard: str | None,
    jobs: int | None,
    device: str | None,
    executor: str | None,
    fail_fast: bool,
    retry: tuple[str, ...],
    stale: Literal["retrain", "keep"] | None,
    pdb: bool,
    detach: bool,
) -> None:
    """Train and score every cell of a benchmark FILE that is not done yet; of several files one after the other.

    Run it again to go on after an interruption, to add cells, or to do nothing. Exit codes: 0 all done, 1 a cell
    failed, 2 bad input, 130 stopped by Ctrl-C, 143 by SIGTERM.

    \b
    Examples:
      ganbench run benchmark.toml
      ganbench run benchmark.toml --only dcgan --only 'wgan*' --jobs 1
      ganbench run studies/mnist-short.toml --device cuda:0 --results /data/results
      ganbench run benchmark.toml --retry oom --retry timeout
      ganbench run benchmark.toml --executor slurm --detach
      ganbench run benchmark.toml --shard 3/10 --results part3
      ganbench run benchmark.toml --results s3://bucket/results
    """
    from ganbench import detached
    from ganbench.run import Options, Stopped
    from ganbench.shards import Shard

    retried = _TRIED if "all" in retry else retry
    part = Shard.parse(shard) if shard is not None else None
    options = Options(only, part, jobs, device, executor, fail_fast, retried, stale, pdb)
    console = _console()
    loaded = _load_all(files, executor)  # a mistake in the last file shows before the first one is run
    for plugin in installed().plugins:
        if plugin.state in ("broken", "incompatible"):
            click.echo(on_one_line(f"{plugin} is {plugin.state} and left out: {plugin.reason}"), err=True)
    if detach:
        if pdb:
            raise UserError("--pdb needs a terminal, and --detach has none: leave one of them away")
        for plan, _ in loaded:
            plan.executor_called(executor)  # or it would be in the log that there is none
        detached.start([word for word in sys.argv[1:] if word != "--detach"], _store(results, loaded[0][0]))
        return
    failed = False
    for plan, source in loaded:
        if len(loaded) > 1:
            console.print(f"[bold]{plan.benchmark.name}[/bold]: {source.path}", highlight=False)
        try:
            failed |= _run(plan, source, _store(results, plan), options, console)
        except Stopped as stop:
            again = f"`ganbench run {' '.join(map(str, files))}`"
            so_far = f"stopped: {_counts(stop.outcome)}" if stop.outcome else "stopped"
            click.echo(f"{so_far}; what was done is kept, and {again} goes on from there")
            sys.exit(stop.exit_code)
        if failed and fail_fast:
            break
    sys.exit(1 if failed else 0)


def _run(plan: Plan, source: Source, store: Store, options: Options, console: Console) -> bool:
    """Run one benchmark and show its leaderboards; whether a cell failed."""
    from ganbench import report
    from ganbench.run import run as run_plan
    from ganbench.view import RunView

    with RunView(console) as view:
        outcome = run_plan(plan, source.text, store, options, view, plan.plugins)
    ranked = report.Ranked(store.tables())
    report.write(ranked, store.root, pictures=False)
    report.terminal(ranked, console)
    click.echo(f"{_counts(outcome)}; {outcome.trained} trained now; records in {store.place}")
    for cell, manifest in outcome.failures:
        reason = on_one_line(manifest.get("reason") or "not trained")
        click.echo(f"  {cell.variant} on {cell.dataset}, seed {cell.seed}: {manifest['status']}: {reason}", err=True)
        if manifest["status"] != "planned":
            click.echo(f"    log: {store.cell(cell.directory).log}", err=True)
    return bool(outcome.failures)


def _counts(outcome: Outcome) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(outcome.statuses.items()))


@main.command()
@_FILES
@_RESULTS
@_ONLY
@PLUGIN
@click.option("--cells", "every", is_flag=True, help="A line for every cell, however many there are.")
def plan(files: tuple[Path, ...], results: Place, only: tuple[str, ...], every: bool) -> None:
    """Show the cells of benchmark FILEs: which are done, new or skipped, and why. Trains and writes nothing.

    Of more than 500 cells it shows the configurations, of more than 500 configurations the variants and datasets.

    \b
    Examples:
      ganbench plan benchmark.toml
      ganbench plan studies/mnist-short.toml --only cgan
      ganbench plan studies/thesis/*.toml
    """
    configurations = cells = 0
    loaded = _load_all(files)
    for resolved, source in loaded:
        if len(loaded) > 1:
            click.echo(f"{resolved.benchmark.name}: {source.path}")
        store = _store(results, resolved)
        store.sync()
        counts = _plan(resolved, store, only, every)
        configurations, cells = configurations + counts[0], cells + counts[1]
    if len(loaded) > 1:
        click.echo(f"{len(loaded)} benchmarks, {configurations} configurations, {cells} cells in all")


def _plan(resolved: Plan, store: Store, only: tuple[str, ...], every: bool) -> tuple[int, int]:
    """Print the cells of one benchmark; how many configurations and cells it has."""
    from ganbench.environment import cores, machine
    from ganbench.estimate import Estimates, sentence
    from ganbench.listing import Entry, listing, show
    from ganbench.run import fingerprints, looked_at, selected, state
    from ganbench.slots import expected

    use(resolved.plugins.named)
    device, slots = expected(resolved, store)
    estimates = Estimates(device, machine(max(1, cores() // slots)) if device == "cpu" else "")
    every_cell = resolved.cells(fingerprints(resolved))
    cells = selected(every_cell, only)
    counts: dict[str, int] = {}
    entries = []
    todo: list[Cell] = []
    for cell, manifest, what in looked_at(cells, store, resolved.plugins):
        status = state(cell, manifest)
        if status == "done":
            estimates.add_cell(cell, manifest)
        said = f"skipped: {cell.skip}" if cell.skip else {"planned": "new"}.get(status, status)
        if what:
            # What failed by other code is tried again unasked; what is done is not thrown away unasked.
            status, said = ("stale", f"stale: {what}") if status == "done" else ("planned", f"{status}, but {what}")
        counts[status] = counts.get(status, 0) + 1
        if status in ("planned", "interrupted", "running"):
            todo.append(cell)
        entries.append(Entry(cell, said))
    shown = listing(entries, every=every)
    show(shown, _console())
    if shown.of != "cells":
        click.echo(f"(these are {shown.of}; --cells shows every cell)")
    rest = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()) if status != "planned")
    configurations = len({id(cell.row) for cell in cells})
    click.echo(
        f"{configurations} configurations, {len(cells)} cells, {len(todo)} to train{f' ({rest})' if rest else ''}"
    )
    if todo:
        estimates.add_former(store, every_cell)
        click.echo(sentence(todo, estimates, slots))
    for name, chosen in resolved.datasets.items():
        if chosen.error:
            click.echo(on_one_line(f"dataset {name} cannot be used: {chosen.error}"), err=True)
    return configurations, len(cells)


@main.command("list")
@click.argument("kind", type=click.Choice(list(KINDS)))
@PLUGIN
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
@PLUGIN
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

    from ganbench.errors import did_you_mean

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
@PLUGIN
def plugins() -> None:
    """List the installed plugins: version, what each provides, whether it works, and if not why.

    ok, broken (it did something wrong), incompatible (its package is for another ganbench), left out (-p), optional
    (loaded where a benchmark file or --plugin names it).

    \b
    Examples:
      ganbench plugins
      ganbench plugins --plugin ./my_gan.py
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table("plugin", "distribution", "provides", "state", box=None, header_style="bold")
    for plugin in installed().plugins:
        colour = {"ok": "green", "broken": "red", "incompatible": "red"}.get(plugin.state, "yellow")
        reason = f": {escape(plugin.reason)}" if plugin.reason else ""
        state = f"[{colour}]{plugin.state}[/{colour}]{reason}"
        table.add_row(escape(plugin.name), escape(plugin.source), escape(_provides(plugin)), state)
    _console().print(table)


_NAMED = 3  # commands of one plugin that are named in its row


def _provides(plugin: Plugin) -> str:
    """``5 variants``, ``1 command (check)``, ``observer (cell_progress, run_finished)``."""
    counts = {kind: sum(c.kind == kind for c in plugin.components) for kind in KINDS}
    parts = [f"{n} {kind if n > 1 else kind[:-1]}" for kind, n in counts.items() if n]
    if commands := [str(command.name) for command in plugin.commands]:
        named = f" ({', '.join(commands)})" if len(commands) <= _NAMED else ""  # more squeeze the table
        parts.append(f"{len(commands)} command{'s' * (len(commands) > 1)}{named}")
    if observed := [hook for hook in plugin.hooks if not hook.startswith("register_")]:
        parts.append(f"observer ({', '.join(observed)})")
    return ", ".join(parts) or "nothing"


@main.command()
@click.argument("folders", nargs=-1, type=PLACE)
@click.option("--to", type=FOLDER, help="Folder of the report (default: FOLDER).")
@click.option("--x", type=click.Choice(_AXES), help="X axis of learning curves (default: the unit of the budget).")
@click.option(
    "--pictures",
    type=click.Choice(("all", "datasets", "none")),
    help="Which are drawn (default: all; of more than 50 variants on a dataset only those of whole datasets).",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    callback=_several,
    metavar="FORMAT",
    help="html, md, latex, csv: repeatable, or a list with commas (default: all of them).",
)
@click.option(
    "--figures",
    multiple=True,
    callback=_several,
    metavar="FORMAT",
    help="png, svg, pdf: what figures are drawn as (default: png,svg).",
)
@click.option(
    "--compare",
    nargs=2,
    type=FOLDER,
    metavar="RUN RUN",
    help="Compare two results folders cell by cell instead.",
)
@click.option("--open", "opened", is_flag=True, help="Show the page in the browser.")
@click.option("--watch", is_flag=True, help="Write the page again and again until the run has ended.")
@click.option("--every", type=click.FloatRange(1), default=10, show_default=True, help="Seconds between, with --watch.")
def report(
    folders: tuple[Place, ...],
    to: Path | None,
    x: str | None,
    pictures: Literal["all", "datasets", "none"] | None,
    formats: tuple[str, ...],
    figures: tuple[str, ...],
    compare: tuple[Path, Path] | None,
    opened: bool,
    watch: bool,
    every: float,
) -> None:
    """Write a page, leaderboards, plots and sample sheets from the records in FOLDERS (default: the latest below
    results/). The page is report/index.html; it and the folder it is in can be sent to anybody.

    Several folders make one report, where their numbers can be compared; --to says where it goes. --compare matches
    the cells of two folders and says what changed between them and by how much.

    \b
    Examples:
      ganbench report
      ganbench report results/quickstart --open
      ganbench report results/quickstart --watch --open
      ganbench report results/quickstart --x seconds --format md,latex --figures pdf
      ganbench report results/dcgan-mnist results/wgan-mnist --to results/mnist
      ganbench report --compare results/before results/after
    """
    from ganbench import report as reports
    from ganbench.merged import merge
    from ganbench.store import latest

    if compare:
        if folders:
            raise UserError("--compare takes the two folders itself: `ganbench report --compare RUN RUN`")
        _compare(*compare, to, formats)
        return
    if (opened or watch) and "html" not in formats:
        raise UserError("--open and --watch are about the page: leave --format away, or name html too")
    stores = list(map(store_at, folders)) or [latest(Path("results"))]
    if len(stores) > 1 and to is None:
        raise UserError("several folders make one report: say where with --to FOLDER")
    out = to or (Path("results") / stores[0].root.name if folders and isinstance(folders[0], str) else stores[0].root)
    if (out / "run.json").exists() and [out.resolve()] != [store.root.resolve() for store in stores]:
        raise UserError(f"{out} holds the results of a run, with a report of its own; choose another folder with --to")
    if watch:
        from ganbench.report.watch import watched

        watched(stores, out, x=x, every=every, opened=opened, say=click.echo)
        opened = False
    # All that is read is kept: without this Python looks for garbage among it again and again, a fifth of the time.
    gc.disable()
    ranked = reports.Ranked(merge(stores, out.resolve().name))
    gc.freeze()
    gc.enable()
    written = reports.write(ranked, out, x=x, pictures=pictures or True, formats=formats, figures=figures)
    for component in installed().components:
        if component.kind == "reporters":
            component.load()().report(ranked.tables, out / "report")
    reports.terminal(ranked, _console())
    for path in written:
        click.echo(path)
    if pictures is None and ranked.experiments > reports.MANY:
        many = f"there are {ranked.experiments} variants on a dataset, more than {reports.MANY}"
        click.echo(f"{many}: pictures of each are left out; --pictures all draws them")
    if opened:
        _show(out / "report" / "index.html")


def _show(page: Path) -> None:
    """Show a page in the user's browser."""
    from ganbench.report.watch import show

    if not show(page):
        click.echo(f"there is no browser here; open {page} in one", err=True)


def _compare(before: Path, after: Path, to: Path | None, formats: tuple[str, ...]) -> None:
    """Print what changed between two results folders, and write it below the second one's report."""
    from ganbench.report import compare_text
    from ganbench.report.compare import compare
    from ganbench.store import Store

    found = compare(Store(before), Store(after))
    compare_text.terminal(found, _console())
    for path in compare_text.write(found, to or after / "report", formats):
        click.echo(path)


@main.command()
@click.argument("folder", required=False, metavar="[DIR]", type=FOLDER)
@click.option(
    "--repair", is_flag=True, help="Clear away what killed processes left in DIR, and set lost records aside."
)
def doctor(folder: Path | None, repair: bool) -> None:
    """Check this installation: torch, devices, data root, caches, Inception weights; what works, what is missing.

    With DIR, check that results folder instead: every record, checksum and picture, what was left behind, and what to
    do about it. Nothing is written without --repair. The exit code is 1 when something is damaged.

    \b
    Examples:
      ganbench doctor
      ganbench doctor results/quickstart
      ganbench doctor results/quickstart --repair
    """
    if folder:
        sys.exit(_check_records(folder, repair))
    if repair:
        raise UserError("--repair is for a results folder: `ganbench doctor DIR --repair`")
    from ganbench.doctor import checks

    console = _console()
    for name, good, message in checks():
        console.print(
            f"{'[green]ok[/green]     ' if good else '[yellow]missing[/yellow]'} [bold]{name}[/bold]:", end=" "
        )
        console.print(message, markup=False, highlight=False, soft_wrap=True)


def _check_records(folder: Path, repair: bool) -> int:
    """Say what is wrong in a results folder; the exit code."""
    from rich.text import Text

    from ganbench.health import examine

    health = examine(folder, repair=repair)
    console = _console()
    colours = {"damaged": "red", "repaired": "cyan", "note": "yellow", "ok": "green"}
    for word, where, sentence in health.lines():  # as Text, since a stranger's names may look like markup
        line = Text.assemble((f"{word:<8}", colours[word]), " ", (where, "bold"), f": {sentence}")
        console.print(line, soft_wrap=True)
    console.print(Text(health.summary()), soft_wrap=True)
    return 1 if health.damaged else 0


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


@data.command("show")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to [default: results/data/NAME].")
def data_show(name: str, out: Path | None) -> None:
    """Show the dataset NAME as a distribution: samples, classes, mean and variance of every pixel, their values.

    It is prepared first where it is not. Statistics are exact and of the train split.

    \b
    Examples:
      ganbench data show digits
      ganbench data show folder:pictures --out pictures-seen
    """
    from rich.table import Table

    from ganbench.data import data_root, prepare
    from ganbench.report.distribution import write
    from ganbench.store import slug

    prepared = prepare(name, installed().dataset(name), data_root(), say=click.echo)
    distribution, written = write(prepared, out or Path("results/data") / slug(name))
    sizes = ", ".join(f"{count:,} {split}" for split, count in prepared.counts.items())
    sizes += " (held out of train)" if prepared.held_out else ""
    classes = f"{prepared.spec.classes} classes" if prepared.spec.classes else "unlabelled, so there is no classes.png"
    click.echo(f"{name}: {sizes}, shape {'×'.join(map(str, prepared.spec.shape))}, {classes}")
    table = Table("channel", "mean", "std", "min", "max", box=None, header_style="bold")
    for channel in distribution.channels():
        texts = (f"{channel.mean:.2f}", f"{channel.std:.2f}", str(channel.lowest), str(channel.highest))
        table.add_row(channel.name, *texts)
    _console().print(table)
    for path in written:
        click.echo(path)


def _load_all(files: Sequence[Path], executor: str | None = None) -> list[tuple[Plan, Source]]:
    """Read, validate and resolve benchmark files, each with a results folder of its own.

    An optional plugin that is called like the executor asked for, or the file's, is loaded as if it were named.
    """
    from ganbench import requirements
    from ganbench.config import read
    from ganbench.plan import resolve

    given = list(in_use())
    loaded: dict[str, tuple[Plan, Source]] = {}
    for file in files:
        benchmark, source = read(file)
        if benchmark.name in loaded:
            other = loaded[benchmark.name][1].path
            raise UserError(f"{file} and {other} have the same name {benchmark.name!r}, so the same results folder")
        requirements.check(benchmark.requires, source)
        named = [*given]
        plugins = use(named)
        for text in benchmark.plugins:
            try:
                named.append(plugin_called(text, file.parent))
                plugins = use(named)
            except UserError as error:
                raise source.error(f"plugin {text!r}: {error}", ("plugins",), text) from None
        for text in filter(None, (executor, benchmark.executor_name)):
            if any(plugin.name == text and plugin.state == "optional" for plugin in plugins.plugins):
                named.append(plugin_called(text, file.parent))
                plugins = use(named)
        loaded[benchmark.name] = (resolve(benchmark, source, plugins), source)
    return list(loaded.values())


def _store(results: Place, plan: Plan) -> Store:
    return below(results, plan.benchmark.name)


def _console() -> Console:
    """Standard output; when it is no terminal, wide enough that no table cell is cut."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    return console


if __name__ == "__main__":
    main()
