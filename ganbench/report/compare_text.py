"""A comparison of two runs as text: sentences, a table on the terminal, Markdown and CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.text import Text

from ganbench.errors import UserError, on_one_line
from ganbench.report.boards import Board
from ganbench.report.compare import Comparison, Moved, many
from ganbench.report.evidence import told
from ganbench.report.files import board_table
from ganbench.report.statistics import FEWEST_TESTED
from ganbench.report.terminal import board_lines
from ganbench.report.verdicts import p_text
from ganbench.report.words import MISSING, for_csv, for_markdown, number
from ganbench.store import write_atomically

_MOST = 20  # lines of one kind that are shown


def sentences(found: Comparison) -> list[str]:
    """One line per configuration about the ranked metric at the ranked point."""
    lines = []
    for each in found.moved:
        if (each.metric, each.point) != found.ranked_by:
            continue
        where = f"{each.configuration} on {each.dataset}"
        size = told(abs(each.change), *((each.low, each.high) if each.change >= 0 else (-each.high, -each.low)))
        way = "higher" if each.change >= 0 else "lower"
        p = "" if math.isnan(each.p_holm) else f", {p_text(each.p_holm)} (Holm)"
        numbers = f"{each.metric} {way} by {size}, n = {each.n}{p}"
        verdict = each.verdict
        if verdict == "equal":
            lines.append(f"{where}: the same to the last digit, n = {each.n}")
        elif verdict in ("better", "worse"):
            lines.append(f"{where} is {verdict}: {numbers}")
        elif verdict.endswith("?"):
            lines.append(
                f"{where} is {verdict[:-1]} with these {each.n} seeds: {numbers}; a p-value needs {FEWEST_TESTED}"
            )
        else:
            seeds = "one seed does not" if each.n == 1 else f"these {each.n} seeds do not"
            lines.append(f"{seeds} settle whether {where} changed: {numbers}")
    return lines


def board(found: Comparison) -> Board:
    """Every score that both have."""
    return Board(
        title=f"{found.after} less {found.before}",
        caption=f"{many(found.matched, 'matched cell')}",
        header=["configuration", "dataset", "metric", "at", "before", "after", "change", "n", "p", "verdict"],
        rows=[
            [
                each.configuration, each.dataset, each.metric, each.point, number(each.before), number(each.after),
                told(each.change, each.low, each.high, sign="+"), str(each.n),
                MISSING if math.isnan(each.p) else p_text(each.p).removeprefix("p = ").removeprefix("p "), each.verdict,
            ]
            for each in found.moved
        ],
        notes=[],
    )  # fmt: skip


_LEGEND = (
    "Change: mean of after - before over n seeds that both have, with its 95 % Student t interval. Better and worse: "
    f"by the paired t test of the ranked score, for {FEWEST_TESTED} seeds or more, corrected by Holm for all "
    "configurations. With a question mark, of other scores and of fewer seeds: the interval leaves out 0."
)
_NOTHING = "Nothing on record is different."


def terminal(found: Comparison, console: Console) -> None:
    """Print the comparison: what changed, by how much, what could not be compared."""
    console.print(Text(f"{found.before} -> {found.after}: {many(found.matched, 'matched cell')}", style="bold"))
    for line in found.changes[:_MOST] or [_NOTHING]:
        console.print(Text(f"  {on_one_line(line)}"))
    _rest(found.changes, console)
    console.print()
    for line in sentences(found)[:_MOST]:
        console.print(Text(f"  {line}"))
    _rest(sentences(found), console)
    console.print()
    board_lines(board(found), console)
    for line in found.unmatched[:_MOST]:
        console.print(Text(f"  {line}", style="yellow"))
    _rest(found.unmatched, console)
    console.print(Text(_LEGEND, style="dim"))


def _rest(lines: Sequence[str], console: Console) -> None:
    if len(lines) > _MOST:
        console.print(Text(f"  and {len(lines) - _MOST:,} more: compare.md has all of them"))


def markdown(found: Comparison) -> str:
    """The comparison as Markdown."""

    def items(lines: Sequence[str]) -> str:
        return "\n".join(f"- {for_markdown(line)}" for line in lines)

    shown = board(found)
    parts = [
        f"# {for_markdown(f'{found.before} and {found.after}')}",
        "## What changed",
        items(found.changes or [_NOTHING]),
    ]
    parts += ["## By how much", items(sentences(found)), board_table(shown), for_markdown(_LEGEND)]
    if found.unmatched:
        parts += ["## Not compared", items(found.unmatched)]
    return "\n\n".join(part for part in parts if part) + "\n"


def csv(found: Comparison) -> str:
    """Every score that both have, in full precision."""
    table = pd.DataFrame(found.moved, columns=list(Moved._fields))
    table["verdict"] = [each.verdict for each in found.moved]
    for column in ("dataset", "configuration", "metric"):
        table[column] = [for_csv(str(text)) for text in table[column]]
    return table.to_csv(index=False, lineterminator="\n")


def write(found: Comparison, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write ``compare.md`` and ``compare.csv``, as `formats` ask for them."""
    contents = {"md": ("compare.md", markdown), "csv": ("compare.csv", csv)}
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, make in (contents[each] for each in formats if each in contents):
            write_atomically(folder / name, make(found))
            written.append(folder / name)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another folder with --to") from error
    return written
