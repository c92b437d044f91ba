"""The derived files: ``leaderboard.csv``, ``leaderboard.md`` and ``results.parquet``."""

from __future__ import annotations

import io

import pandas as pd
from tabulate import tabulate

from ganbench.contracts import Tables
from ganbench.report import speed
from ganbench.report.boards import LEGEND, WORDS, Board, boards, failures, score
from ganbench.report.configurations import canonical, labelled
from ganbench.report.leaderboard import POINTS, leaderboards, ranking
from ganbench.report.words import MISSING, for_csv, for_markdown

_TEXTS = ("dataset", "variant", "configuration", "params", "statuses", "reason")


def csv(tables: Tables) -> str:
    """The tidy leaderboards; beside mean, low and high of every score stands the score as the tables show it."""
    table = leaderboards(tables)
    rows = table.to_dict("records")
    for metric in ranking(tables).directions:
        for point in POINTS:
            name = f"{metric}_{point}"
            shown = [score(row, metric, point) for row in rows]
            texts = ["" if text == MISSING else for_csv(text) for text in shown]
            table.insert(list(table.columns).index(f"{name}_mean"), name, texts)
    for column in _TEXTS:
        table[column] = [for_csv(str(text)) for text in table[column]]
    return table.to_csv(index=False, lineterminator="\n")


def markdown(tables: Tables) -> str:
    """The leaderboards as GitHub tables, with captions and footnotes."""
    parts = [f"# {for_markdown(str(tables.run['name']))}"]
    shown = boards(tables)
    for board in shown:
        parts += [f"## {for_markdown(board.title)}", for_markdown(board.caption), _table(board)]
        parts.append("\n".join(f"- {for_markdown(note)}" for note in board.notes))
    parts.append(for_markdown(LEGEND) if shown else "No cells were planned.")
    if costs := speed.boards(tables):
        for board in costs:
            parts += [f"## {for_markdown(board.title)}", for_markdown(board.caption), _table(board)]
        parts.append(for_markdown(speed.LEGEND))
    if failed := failures(tables):
        parts += [f"## {failed[0]}", "\n".join(f"- {for_markdown(line)}" for line in failed[1:])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(board: Board) -> str:
    rows = [*board.rows, *([board.real] if board.real else [])]
    return tabulate(
        [[for_markdown(text) for text in row] for row in rows],
        headers=[for_markdown(text) for text in board.header],
        tablefmt="github",
        disable_numparse=True,
        colalign=["left" if name in WORDS else "right" for name in board.header],
    )


def parquet(tables: Tables) -> bytes:
    """Every score in long form beside the facts of its cell; a cell without scores keeps one row, without a metric."""
    cells = labelled(tables.cells).drop(
        columns=["config", "settings", "speed", "generator_updates", "images", "epochs"]
    )
    cells = cells.rename(columns={"seconds": "cell_seconds"})
    for column in ("params", "symbols", "labels", "overrides", "budget", "evaluate", "code", "unavailable"):
        cells[column] = pd.Series([canonical(value) for value in cells[column]], index=cells.index, dtype=object)
    cells["directory"] = [directory.name for directory in cells["directory"]]
    scores = tables.scores.drop(columns=["variant", "dataset", "seed"])
    table = cells.merge(scores.astype({"key": object}), on="key", how="left")
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()
