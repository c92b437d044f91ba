"""The derived files: ``leaderboard.csv``, ``leaderboard.md`` and ``results.parquet``."""

from __future__ import annotations

import io
from typing import Any

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
_ROWS = 2**17
#: What `results.parquet` leaves out of the cells.
_UNTIDY = ("config", "settings", "speed", "environment", "classes", "components")
_TEXTS = ("dataset", "variant", "configuration", "params", "statuses", "reason")


def csv(tables: Tables | Ranked) -> str:
    """The tidy leaderboards; beside mean, low and high of every score stands the score as the tables show it."""
    table, tables = Ranked.of(tables).leaderboards.copy(), Ranked.of(tables).tables
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
    cells, tables = Ranked.of(tables).cells, Ranked.of(tables).tables
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
    scores = tables.scores.drop(columns=["variant", "dataset", "seed"]).astype({"key": object})
    scores = cells[["key"]].assign(cell=cells.index).merge(scores, on="key", how="left")
    own = scores.drop(columns=["key", "cell"])
    metrics = _Metrics(made)

    def part(start: int) -> pd.DataFrame:
        numbers = scores["cell"].iloc[start : start + _ROWS]
        scored = own.iloc[start : start + _ROWS].reset_index(drop=True)
        facts = cells.iloc[numbers].reset_index(drop=True)
        return pd.concat([facts, scored, metrics.of(numbers.to_list(), scored["metric"].to_list())], axis=1)

    # What the columns hold is told from all rows: those of one part may have nothing there.
    fields = [*pa.Schema.from_pandas(cells, preserve_index=False), *pa.Schema.from_pandas(own, preserve_index=False)]
    fields += [pa.field(f"metric_{what}", pa.string()) for what in FACTS]
    texts_only = {f"{role}_{what}" for role in ("variant", "dataset") for what in FACTS}
    fields = [field.with_type(pa.string()) if field.name in texts_only else field for field in fields]
    about = pa.Schema.from_pandas(part(0), preserve_index=False).metadata
    schema, buffer = pa.schema(fields, about), io.BytesIO()
    with ParquetWriter(buffer, schema, compression="snappy") as writer:
        for start in range(0, max(len(own), 1), _ROWS):
            writer.write_table(pa.Table.from_pandas(part(start), schema, preserve_index=False))
    return buffer.getvalue()


class _Metrics:
    """Who made the metric of a row: told once for every metric of every set of components, which cells share."""

    def __init__(self, made: list[dict[str, Any]]) -> None:
        self._made = made
        self._known: dict[tuple[int, str], tuple[str | None, ...]] = {}

    def of(self, cells: list[int], metrics: list[str]) -> pd.DataFrame:
        """Four columns of texts for rows of the cells (by number) and metrics given."""
        rows = []
        for cell, metric in zip(cells, metrics, strict=True):
            made = self._made[cell]
            key = id(made), metric
            if (row := self._known.get(key)) is None:
                about = (made.get("metrics") or {}).get(metric) or {}
                row = self._known[key] = tuple(about.get(what) for what in FACTS)
            rows.append(row)
        columns = zip(*rows, strict=True) if rows else [()] * len(FACTS)
        return pd.DataFrame(
            {f"metric_{what}": pd.Series(texts, dtype=object) for what, texts in zip(FACTS, columns, strict=True)}
        )
