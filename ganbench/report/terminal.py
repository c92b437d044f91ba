"""The leaderboards on a terminal."""

from __future__ import annotations

import re

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganbench.contracts import Tables
from ganbench.report import ranks
from ganbench.report.boards import LEGEND, WORDS, Board, boards, failures
from ganbench.report.leaderboard import Ranked
from ganbench.report.words import clean

#: So many rows of a board, and so many failures, are printed; the files have all of them.
MOST = 100


def terminal(tables: Tables | Ranked, console: Console) -> None:
    """Print one table per dataset, then what failed and why. Names and reasons are never read as markup."""
    tables = Ranked.of(tables)
    shown = boards(tables)
    for board in shown:
        # Not the table's own title and caption: those are no wider than the table.
        console.print(Text(board.title, style="bold"))
        if board.caption:
            console.print(Text(board.caption, style="dim"))
        console.print()
        board_lines(board, console)
        for line in board.verdicts[:MOST]:
            console.print(Text(f"  {line}"))
        for note in board.notes:
            console.print(Text(f"  {note}", style="dim"))
        console.print()
    for line in ranks.sentences(tables):
        console.print(Text(line))
    if shown:
        console.print(Text(LEGEND, style="dim"))
    count, *failed = failures(tables) or [""]
    if count:
        console.print(Text(f"\n{count}:", style="bold red"))
    for line in failed[:MOST]:
        console.print(Text(f"  {line}"))
    if len(failed) > MOST:
        console.print(Text(f"  and {len(failed) - MOST:,} more: leaderboard.md has all of them"))


def board_lines(board: Board, console: Console) -> None:
    """Print the table of a board, as wide as it may be, and how many rows are left out."""
    table = _table(board)
    wanted = console.measure(table, options=console.options.update(width=10_000)).maximum
    console.print(table if wanted <= console.width else _table(board, stacked=True))
    if len(board.rows) > MOST:
        console.print(Text(f"  and {len(board.rows) - MOST:,} more: the files have all of them"))
    console.print()


def _table(board: Board, *, stacked: bool = False) -> Table:
    """The table; `stacked` puts the half of an interval below its mean, for narrow terminals."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in board.header:
        table.add_column(_cell(name, stacked), justify="left" if name in WORDS else "right", overflow="fold")
    rows = board.rows[:MOST]
    for position, row in enumerate(rows):
        style, is_last = "bold" if row[0] == "1" else "", position == len(rows) - 1
        table.add_row(*[_cell(text, stacked) for text in row], style=style, end_section=is_last)
    for row in board.bounds:
        table.add_row(*[_cell(text, stacked) for text in row], style="italic")
    return table


def _cell(text: str, stacked: bool) -> Text:
    line = clean(text)
    return Text(re.sub(r" (?=[±↓↑])|(?<=:) ", "\n", line) if stacked else line)
