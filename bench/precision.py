"""Whether a lower precision costs quality: a benchmark file's cells trained in each, and their last scores compared.

    python bench/precision.py studies/precision.toml --only digits

runs the file with ``ganbench run`` once per precision, each in a results folder of its own (what is done is skipped),
and prints per variant and dataset: the scores of every seed at the end of training, their means with 95 % Student t
intervals, and whether the mean in the second precision lies within the seeds' spread in the first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click
import pandas as pd
from scipy.stats import ttest_ind

from ganbench.config import read
from ganbench.report.statistics import interval
from ganbench.store import Store
from ganbench.tables import build


def trained(file: Path, precision: str, results: Path, options: list[str]) -> pd.DataFrame:
    """Run the file in `precision`; its cells, with the last value of the ranked metric as column ``score``.

    Cells that `options` left out, or that failed, have none.
    """
    benchmark, _ = read(file)
    text = file.read_text().replace(f'"{benchmark.precision}"', f'"{precision}"')
    text = text.replace(f'"{benchmark.name}"', f'"{_name(benchmark.name, benchmark.precision, precision)}"')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file.name
        path.write_text(text)
        made, _ = read(path)
        if made.precision != precision:
            raise click.UsageError(f'{file} has to say which precision it is for: precision = "fp32"')
        command = [sys.executable, "-m", "ganbench.cli", "run", str(path), "--results", str(results), *options]
        subprocess.run(command, check=True)
    tables = build(Store(results / made.name))
    last = tables.scores[(tables.scores["point"] == "last") & (tables.scores["metric"] == benchmark.rank.metric)]
    return tables.cells.merge(last[["key", "value"]].rename(columns={"value": "score"}), how="left", on="key")


def _name(name: str, before: str, after: str) -> str:
    return name.replace(before, after) if before in name else f"{name}-{after}"


def verdict(first: list[float], second: list[float]) -> str:
    """Where the second mean lies, and the 95 % interval of the difference of means (Welch)."""
    mean = sum(second) / len(second)
    inside = min(first) <= mean <= max(first)
    found = ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    return f"{'within' if inside else 'OUTSIDE'} | {found.low:+.3g} to {found.high:+.3g}"


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--precisions", default="fp32,bf16", show_default=True, help="The reference, then the other.")
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option("--only", multiple=True, help="Only these variants or datasets, as in `ganbench run`.")
@click.option("--jobs", type=int, help="Cells at once, as in `ganbench run`.")
def main(file: Path, precisions: str, results: Path, only: tuple[str, ...], jobs: int | None) -> None:
    """Train the cells of FILE in two precisions and print two tables in Markdown."""
    first, second = precisions.split(",")
    options = [word for pattern in only for word in ("--only", pattern)] + (["--jobs", str(jobs)] if jobs else [])
    cells = pd.concat([trained(file, precision, results, options) for precision in (first, second)])
    cells = cells.dropna(subset="score")
    click.echo("\n| variant, dataset | precision | score of each seed | mean (95 % t) | range | updates/s |")
    click.echo("|---|---|---|---|---|---|")
    compared = []
    for (variant, dataset), group in cells.groupby(["variant", "dataset"], sort=False):
        scores = {precision: part["score"].tolist() for precision, part in group.groupby("precision")}
        for precision in (first, second):
            values = scores[precision]
            found = interval(values)
            rate = pd.Series([row["updates_per_second"] for row in group[group["precision"] == precision]["speed"]])
            click.echo(
                f"| {variant}, {dataset} | {precision} | {', '.join(f'{value:.3g}' for value in values)} "
                f"| {found.mean:.3g} ({found.low:.3g} to {found.high:.3g}) | {min(values):.3g} to {max(values):.3g} "
                f"| {rate.median():.1f} |"
            )
        compared.append(f"| {variant}, {dataset} | {verdict(scores[first], scores[second])} |")
    click.echo(f"\n| variant, dataset | {second} mean in the {first} range | difference of means (95 %) |")
    click.echo("|---|---|---|")
    click.echo("\n".join(compared))


if __name__ == "__main__":
    main()
