"""What ``ganbench plan`` prints: cell by cell, and in larger steps where that would be too many lines to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ganbench.errors import on_one_line
from ganbench.plan import Cell, distinctions

#: A table of more lines than this is made of larger steps.
MOST = 500


class Entry(NamedTuple):
    """A cell and what is said of it: ``new``, ``done``, ``skipped: needs labels``."""

    cell: Cell
    said: str


class Listing(NamedTuple):
    """A table, and what its lines are called in the plural."""

    of: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def listing(entries: Sequence[Entry], *, every: bool = False) -> Listing:
    """A line per cell, else per configuration, else per variant and dataset: the first with at most `MOST` lines.

    The last has as many as there are. With `every` it is a line per cell.
    """
    if every or len(entries) <= MOST:
        return _cells(entries)
    by_row: dict[int, list[Entry]] = {}
    for entry in entries:
        by_row.setdefault(id(entry.cell.row), []).append(entry)
    return _configurations(list(by_row.values())) if len(by_row) <= MOST else _experiments(by_row.values())


def _cells(entries: Sequence[Entry]) -> Listing:
    settings = distinctions([entry.cell for entry in entries])
    rows = [(_where(cell), settings[cell.directory], str(cell.seed), said) for cell, said in entries]
    return Listing("cells", ("cell", "parameters", "seed", "status"), rows)


def _configurations(groups: Sequence[Sequence[Entry]]) -> Listing:
    settings = distinctions([group[0].cell for group in groups])
    rows = [
        (_where(group[0].cell), settings[group[0].cell.directory], str(len(group)), _counted(group)) for group in groups
    ]
    return Listing("configurations", ("configuration", "parameters", "seeds", "status"), rows)


def _experiments(configurations: Iterable[Sequence[Entry]]) -> Listing:
    by_place: dict[tuple[str, str], list[Sequence[Entry]]] = {}
    for group in configurations:
        by_place.setdefault((group[0].cell.variant, group[0].cell.dataset), []).append(group)
    rows = []
    for groups in by_place.values():
        cells = [entry for group in groups for entry in group]
        rows.append((_where(cells[0].cell), str(len(groups)), str(len(cells)), _counted(cells)))
    return Listing("variants and datasets", ("variant and dataset", "configurations", "cells", "status"), rows)


def _where(cell: Cell) -> str:
    return f"{cell.variant} on {cell.dataset}"


def _counted(entries: Sequence[Entry]) -> str:
    """``5 done``, ``3 done, 2 new``."""
    return ", ".join(f"{count} {said}" for said, count in Counter(entry.said for entry in entries).most_common())


def show(shown: Listing, console: Console) -> None:
    """Print it: as a table that fits the terminal or, where that would take minutes, as plain columns."""
    rows = [[on_one_line(text) for text in row] for row in shown.rows]  # a path may hold anything
    if len(rows) <= 2 * MOST:
        table = Table(*shown.header, box=None, header_style="bold")
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
        return
    widths = [max(map(len, column)) for column in zip(shown.header, *rows, strict=True)]
    for row in ([*shown.header], *rows):
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
