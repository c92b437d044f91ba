"""The derived files: ``leaderboard.csv``, ``leaderboard.md`` and ``results.parquet``."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.parquet import ParquetWriter
from tabulate import tabulate

from ganbench.contracts import Tables
from ganbench.provenance import FACTS
from ganbench.report import evidence, ranks, speed
from ganbench.report.boards import LEGEND, WORDS, Board, boards, failures, score
from ganbench.report.configurations import canonical
from ganbench.report.leaderboard import POINTS, Ranked, ranking
from ganbench.report.words import MISSING, for_csv, for_markdown

#: So many rows of the long table are made at a time, and are a row group of the file: all at once take gigabytes.
_ROWS = 2**16
#: What `results.parquet` leaves out of the cells.
_UNTIDY = ("config", "settings", "speed", "environment", "classes", "components")
_TEXTS = ("dataset", "variant", "configuration", "params", "statuses", "reason")


def csv(tables: Tables | Ranked) -> str:
    """The tidy leaderboards; beside mean, low and high of every score stands the score as the tables show it."""
    ranked = Ranked.of(tables)
    table, tables = ranked.leaderboards.copy(), ranked.tables
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


def markdown(tables: Tables | Ranked) -> str:
    """The leaderboards as GitHub tables, with captions and footnotes."""
    tables = Ranked.of(tables)
    parts = [f"# {for_markdown(str(tables.tables.run['name']))}"]
    shown = boards(tables)
    for board in shown:
        parts += [f"## {for_markdown(board.title)}", for_markdown(board.caption), board_table(board)]
        parts.append("\n".join(f"- {for_markdown(line)}" for line in (*board.verdicts, *board.notes)))
    parts.append(for_markdown(LEGEND) if shown else "No cells were planned.")
    if across := ranks.sentences(tables):
        parts += ["## Across datasets", "\n".join(f"- {for_markdown(line)}" for line in across)]
    parts += _section(evidence.comparisons(tables), evidence.verdict_legend(tables))
    parts += _section(evidence.selections(tables), evidence.SELECTION_LEGEND)
    parts += _section(speed.boards(tables), speed.LEGEND)
    if failed := failures(tables):
        parts += [f"## {failed[0]}", "\n".join(f"- {for_markdown(line)}" for line in failed[1:])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(boards: list[Board], legend: str) -> list[str]:
    """Further tables with the legend that explains all of them; nothing where there are none."""
    parts = []
    for board in boards:
        parts += [f"## {for_markdown(board.title)}", for_markdown(board.caption), board_table(board)]
        parts.append("\n".join(f"- {for_markdown(note)}" for note in board.notes))
    return [*parts, for_markdown(legend)] if boards else []


def board_table(board: Board) -> str:
    """The table of a board for GitHub, escaped."""
    rows = [*board.rows, *board.bounds]
    return tabulate(
        [[for_markdown(text) for text in row] for row in rows],
        headers=[for_markdown(text) for text in board.header],
        tablefmt="github",
        disable_numparse=True,
        colalign=["left" if name in WORDS else "right" for name in board.header],
    )


def parquet(tables: Tables | Ranked) -> bytes:
    """Every score in long form beside the facts of its cell; a cell without scores keeps one row, without a metric."""
    ranked = Ranked.of(tables)
    cells, tables = ranked.cells, ranked.tables
    made = list(cells["components"])
    cells = cells.drop(columns=[*_UNTIDY, "generator_updates", "images", "epochs"], errors="ignore")
    cells = cells.rename(columns={"seconds": "cell_seconds"})
    for column in ("params", "symbols", "labels", "overrides", "budget", "evaluate", "code", "unavailable"):
        texts = dict[int, str]()  # of the same values, which cells share
        shown = [texts.get(id(each)) or texts.setdefault(id(each), canonical(each)) for each in cells[column]]
        cells[column] = pd.Series(shown, index=cells.index, dtype=object)
    for role in ("variant", "dataset"):
        for what in FACTS:
            texts_of = [(each.get(role) or {}).get(what) for each in made]
            cells[f"{role}_{what}"] = pd.Series(texts_of, index=cells.index, dtype=object)
    cells["directory"] = [directory.name for directory in cells["directory"]]
    cells = cells.reset_index(drop=True).astype({"key": object})
    scores = tables.scores.reset_index(drop=True)
    numbers, rows = _joined(cells["key"], scores["key"])
    own = scores.drop(columns=["key", "variant", "dataset", "seed"])
    if not np.array_equal(rows, np.arange(len(own))):
        own = own.reindex(rows)
    metrics = _Metrics(made)
    # What the columns hold is told from all rows: those of one part may have nothing there.
    facts = pa.Schema.from_pandas(cells, preserve_index=False)
    texts_only = {f"{role}_{what}" for role in ("variant", "dataset") for what in FACTS}
    facts = pa.schema([field.with_type(pa.string()) if field.name in texts_only else field for field in facts])
    scored = pa.Schema.from_pandas(own, preserve_index=False)
    made_by = pa.schema([pa.field(f"metric_{what}", pa.string()) for what in FACTS])

    def part(start: int) -> list[pa.Table]:
        here, several = numbers[start : start + _ROWS], own.iloc[start : start + _ROWS]
        first, last = (int(here[0]), int(here[-1]) + 1) if len(here) else (0, 0)
        # The facts of a cell are made into Arrow's once, and not for each of its scores.
        return [
            pa.Table.from_pandas(cells.iloc[first:last], facts, preserve_index=False).take(here - first),
            pa.Table.from_pandas(several, scored, preserve_index=False),
            pa.Table.from_pandas(metrics.of(here, several["metric"]), made_by, preserve_index=False),
        ]

    head = [cells.iloc[numbers[:_ROWS]], own.iloc[:_ROWS], metrics.of(numbers[:_ROWS], own["metric"].iloc[:_ROWS])]
    about = pd.concat([each.reset_index(drop=True) for each in head], axis=1)
    schema = pa.schema([*facts, *scored, *made_by], pa.Schema.from_pandas(about, preserve_index=False).metadata)
    buffer = io.BytesIO()
    with ParquetWriter(buffer, schema, compression="snappy") as writer:
        for start in range(0, max(len(own), 1), _ROWS):
            columns = [column for table in part(start) for column in table.columns]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return buffer.getvalue()


def _joined(cells: pd.Series[str], scores: pd.Series[str]) -> tuple[np.ndarray, np.ndarray]:
    """Of every row of the long table the number of its cell, and the row of its score; -1 for a cell without any.

    `cells` and `scores` are their keys. In order of the cells.
    """
    cell = pd.Index(cells).get_indexer(pd.Index(scores))
    without = np.setdiff1d(np.arange(len(cells)), cell)
    numbers = np.concatenate([cell, without])
    rows = np.concatenate([np.arange(len(cell)), np.full(len(without), -1)])
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] >= 0]
    return numbers[order], rows[order]


class _Metrics:
    """Who made the metric of a row: told once for every metric of every set of components, which cells share."""

    def __init__(self, made: list[dict[str, Any]]) -> None:
        kinds: dict[int, int] = {}
        self._kind = np.array([kinds.setdefault(id(each), len(kinds)) for each in made], int)
        self._made = list({id(each): each for each in made}.values())

    def of(self, cells: np.ndarray, metrics: pd.Series[str]) -> pd.DataFrame:
        """Four columns of texts for rows of the cells (by number) and metrics given."""
        codes, names = pd.factorize(metrics)  # -1 where there is none
        several, place = np.unique(self._kind[cells] * (len(names) + 1) + codes + 1, return_inverse=True)
        rows = np.empty((len(several), len(FACTS)), object)
        for number, (kind, code) in enumerate(zip(*np.divmod(several, len(names) + 1), strict=True)):
            about = (self._made[kind].get("metrics") or {}).get(names[code - 1], {}) if code else {}
            rows[number] = [(about or {}).get(what) for what in FACTS]
        texts = rows[place]
        return pd.DataFrame(
            {f"metric_{what}": pd.Series(texts[:, number], dtype=object) for number, what in enumerate(FACTS)}
        )
