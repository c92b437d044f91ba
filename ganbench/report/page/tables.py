"""The tables of the page as plain data: what each cell says, and the numbers behind it for sorting and for files."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd

from ganbench.report.boards import FAILURES, Board, coverage, has_score, score
from ganbench.report.leaderboard import POINTS, Ranked, Ranking, ranking
from ganbench.report.matched import Comparison
from ganbench.report.page.logs import excerpt
from ganbench.report.page.selection import UNFINISHED
from ganbench.report.pairs import BEST, VARIANT
from ganbench.report.words import MISSING, clean, number, seconds

Row = Mapping[Hashable, Any]
_VARIANTS = (VARIANT, BEST)
#: So many comparisons are shown; those by the ranked metric first.
COMPARISONS = 600
_LOGS = 100  # so many excerpts of logs


class Column(NamedTuple):
    """A heading; `key` names the column in files, `number` says that it holds numbers, `help` explains it."""

    key: str
    title: str
    number: bool = False
    help: str = ""


@dataclass(frozen=True)
class Interval:
    """A mean with its interval, as places between 0 and 100 from left to right; `real` is the bound's."""

    mean: float
    low: float
    high: float
    real: float | None


@dataclass(frozen=True)
class Field:
    """One cell of a table. `value` sorts it (None: last); `facts` are the exact numbers behind the text, for files."""

    text: str
    value: float | str | None = None
    facts: Mapping[str, float] = field(default_factory=dict)
    interval: Interval | None = None
    colour: str = ""
    log: str = ""


@dataclass(frozen=True)
class Line:
    """One row; `configuration` is its number in the page's data, `kind` a class for its looks, `facts` for filters."""

    fields: Sequence[Field]
    configuration: int | None = None
    kind: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    name: str
    caption: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    notes: Sequence[str] = ()
    #: Lines at the end that no sorting or filter moves.
    foot: Sequence[Line] = ()


def leaderboard(
    dataset: str, rows: Sequence[Row], bounds: Sequence[Row], board: Board, tables: Ranked, numbers: Mapping[Any, int],
    colours: Mapping[str, str],
) -> Table:  # fmt: skip
    """The leaderboard of one dataset; `numbers` maps (dataset, configuration) to its number in the page's data.

    `bounds` are the rows of what was not trained: images scored from files, baselines, the real test images.
    """
    ranked_by = ranking(tables.tables)
    every = [*rows, *bounds]
    real = next((row for row in bounds if row["row"] == "real"), None)
    columns = [(ranked_by.metric, point) for point in POINTS]
    for metric in ranked_by.directions:
        if metric != ranked_by.metric and any(row[f"{metric}_{ranked_by.at}_n"] for row in every):
            columns.append((metric, ranked_by.at))
    scale = _Scale(rows, real, ranked_by)
    head = [Column("rank", "rank", True), Column("configuration", "configuration")]
    for metric, point in columns:
        arrow = "↓" if ranked_by.directions[metric] == "lower" else "↑"
        better = "lower" if arrow == "↓" else "higher"
        head.append(Column(f"{metric}_{point}", f"{clean(metric)} {arrow} {point}", True, f"{better} is better"))
        if (metric, point) == (ranked_by.metric, ranked_by.at):
            head.append(Column("", f"95 % interval{scale.word}", False, scale.help))
    head += [
        Column("n", "n", True, "seeds in the ranked mean"),
        Column("coverage", "coverage", False, "seeds in the mean of those planned"),
        Column("seconds", "s/cell", True, "mean seconds of a done cell, training and evaluation"),
    ]
    lines = [_line(row, columns, ranked_by, scale, numbers, colours) for row in rows]
    foot = [_line(row, columns, ranked_by, scale, numbers, colours) for row in bounds if has_score(row, columns)]
    # Skipped rows stand in the table itself here.
    notes = [note for note in board.notes if not note.startswith("skipped: ")]
    return Table(f"leaderboard-{dataset}", board.caption, head, lines, [*board.verdicts, *notes], foot)


def _line(
    row: Row, columns: Sequence[tuple[str, str]], ranked_by: Ranking, scale: _Scale, numbers: Mapping[Any, int],
    colours: Mapping[str, str],
) -> Line:  # fmt: skip
    trained = row["row"] == "configuration"
    skipped = trained and not row["planned"]
    rank: int | None = None if pd.isna(row["rank"]) else int(row["rank"])
    fields = [
        Field(MISSING if rank is None else str(rank), rank),
        Field(clean(row["configuration"]), clean(row["configuration"]), colour=colours.get(row["variant"], "")),
    ]
    for metric, point in columns:
        name = f"{metric}_{point}"
        facts = {part: float(row[f"{name}_{part}"]) for part in ("mean", "low", "high", "n")}
        facts = {part: value for part, value in facts.items() if math.isfinite(value)} if row[f"{name}_n"] else {}
        fields.append(Field(score(row, metric, point), facts.get("mean"), facts))
        if (metric, point) == (ranked_by.metric, ranked_by.at):
            fields.append(Field("", interval=scale.interval(row) if trained else None))
    spent = float(row["seconds"])
    said = f"skipped: {clean(row['reason'])}" if skipped else coverage(row, ranked_by.metric)
    share = row["n"] / row["planned"] if row["planned"] else -1.0
    fields += [
        Field(str(row["n"]) if trained and not skipped else "", float(row["n"]) if trained else None),
        Field(said, share),
        Field(seconds(spent) if trained else "", None if math.isnan(spent) else spent,
              {} if math.isnan(spent) else {"mean": spent}),
    ]  # fmt: skip
    kind = status_of(row) if trained else row["row"]
    return Line(fields, numbers.get((row["dataset"], row["configuration"])), kind)


def status_of(row: Row) -> str:
    """``complete``, ``partial``, ``no score`` or ``skipped``: what became of a configuration."""
    if not row["planned"]:
        return "skipped"
    if pd.isna(row["rank"]):
        return "no score"
    return "complete" if row["n"] == row["planned"] else "partial"


class _Scale:
    """Where the ranked scores of one dataset lie between 0 and 100: logarithmic where they span a lot."""

    def __init__(self, rows: Sequence[Row], real: Row | None, ranked_by: Ranking) -> None:
        self._name = f"{ranked_by.metric}_{ranked_by.at}"
        means = [float(row[f"{self._name}_mean"]) for row in rows]
        means = [mean for mean in means if math.isfinite(mean)]
        bound = float(real[f"{self._name}_mean"]) if real is not None else math.nan
        self._real = bound if math.isfinite(bound) else None
        self._log = ranked_by.lower and bool(means) and min(means) > 0 and max(means) > 20 * min(means)
        if self._log:
            ends = [math.log(mean) for mean in means]
            self._real = self._real if self._real and math.log(self._real) > 2 * min(ends) - max(ends) else None
        else:
            ends = means
        ends = [*ends, *([self._to(self._real)] if self._real is not None else [])] or [0.0]
        # A single interval that is much wider than the differences between means would press those together.
        room = max(max(ends) - min(ends), 1e-9 + 0.02 * abs(max(ends)))
        lows = [self._to(float(row[f"{self._name}_low"])) for row in rows]
        highs = [self._to(float(row[f"{self._name}_high"])) for row in rows]
        known = [value for value in (*lows, *highs, *ends) if math.isfinite(value)]
        self._low = max(min(known, default=0), min(ends) - 0.4 * room)
        self._high = min(max(known, default=1), max(ends) + 0.4 * room)
        if self._high <= self._low:
            self._high = self._low + 1
        self.word = " (log)" if self._log else ""
        ends_text = [number(math.exp(end) if self._log else end) for end in (self._low, self._high)]
        self.help = f"from {ends_text[0]} to {ends_text[1]}{'; the dashed line is real test images' if real else ''}"

    def _to(self, value: float | None) -> float:
        if value is None or math.isnan(value):
            return math.nan
        if self._log:
            return math.log(value) if value > 0 else -math.inf
        return value

    def _place(self, value: float) -> float:
        share = (self._to(value) - self._low) / (self._high - self._low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def interval(self, row: Row) -> Interval | None:
        mean, low, high = (float(row[f"{self._name}_{part}"]) for part in ("mean", "low", "high"))
        if not math.isfinite(mean):
            return None
        ends = (self._place(low), self._place(high)) if math.isfinite(low) else (math.nan, math.nan)
        return Interval(self._place(mean), *ends, None if self._real is None else self._place(self._real))


# --- the other tables -------------------------------------------------------------------------------------------------


def effects(found: Sequence[Comparison], axes: Mapping[str, str], metric: str) -> Table | None:
    """The matched comparisons; None where there are none. `axes` are in the order of the roadmap."""
    known = telling(found, axes, metric)
    if not known:
        return None
    columns = [
        Column("dataset", "dataset"), Column("variant", "variant"), Column("parameter", "parameter"),
        Column("b", "value"), Column("a", "against"), Column("metric", "metric"), Column("axis", "compared at"),
        Column("effect", "effect [95 % interval]", True, "×: a ratio, below 1 is better; else a difference"),
        Column("n", "n", True, "pairs in the mean"), Column("verdict", "verdict"),
    ]  # fmt: skip
    lines = [_effect(each, axes) for each in known[:COMPARISONS]]
    notes = [f"{len(known) - COMPARISONS:,} more are in matched.csv"] if len(known) > COMPARISONS else []
    return Table("effects", "", columns, lines, notes)


def telling(found: Sequence[Comparison], axes: Mapping[str, str], metric: str) -> list[Comparison]:
    """The comparisons with pairs, those by the ranked metric on the first axis before others.

    Left out are axes that always agree with another (`axes` has one of them), and pooled ones that pool a single case.
    """
    places = {axis: position for position, axis in enumerate((*axes, *POINTS))}
    known = [each for each in found if each.n and each.axis in places and math.isfinite(each.mean)]
    cases = {(each.question, each.a, each.b, each.axis, each.metric, each.n) for each in known if not each.is_pooled}
    known = [each for each in known if not each.is_pooled or (*_asked(each), each.n) not in cases]
    return sorted(
        known, key=lambda each: (each.metric != metric, each.parameter in _VARIANTS, each.is_pooled, places[each.axis])
    )


def _asked(each: Comparison) -> tuple[str, ...]:
    return each.question, each.a, each.b, each.axis, each.metric


def _effect(each: Comparison, axes: Mapping[str, str]) -> Line:
    facts = {"mean": each.mean, "low": each.low, "high": each.high, "ratio": each.ratio}
    exact = {name: value for name, value in facts.items() if math.isfinite(value)}
    where = {"dataset": each.dataset or "all", "metric": each.metric, "axis": each.axis}
    fields = [
        Field(clean(each.dataset) or "all datasets"), Field(clean(each.variant) or "all variants"),
        Field(clean(each.question)), Field(clean(each.b)), Field(clean(each.a)), Field(clean(each.metric)),
        Field(axes.get(each.axis, f"each one's {each.axis}")),
        Field(effect_text(each), each.mean if math.isfinite(each.mean) else None, exact),
        Field(str(each.n), float(each.n)), Field(each.verdict),
    ]  # fmt: skip
    return Line(fields, kind=each.verdict.replace(" ", "-"), facts=where)


def effect_text(each: Comparison) -> str:
    """``×0.71 [0.62, 0.82]``, or ``+0.12 [0.02, 0.22]``."""
    lower = each.direction == "lower"
    ends = [each.mean, each.low, each.high]
    if lower:
        shown = [f"{math.exp(end):.2f}" if abs(end) < 50 else f"{end:+.0f} in log" for end in ends if end == end]
        texts = [f"×{shown[0]}", *shown[1:]]
    else:
        texts = [f"{end:+.3g}" for end in ends if end == end]
    return texts[0] + (f" [{texts[1]}, {texts[2]}]" if len(texts) == 3 else "")


def of_board(name: str, board: Board, words: Collection[str], most: int, rest: str) -> Table:
    """A board of the files as a table; `words` are its columns that hold no numbers, `rest` is where more lines are."""
    columns = [Column(head, head, head not in words) for head in board.header]
    lines = [
        Line([Field(clean(text), text if column.key in words else _value(text))
              for column, text in zip(columns, row, strict=True)])
        for row in board.rows[:most]
    ]  # fmt: skip
    left = len(board.rows) - len(lines)
    notes = [*board.notes, *([f"{left:,} more are in {rest}"] if left else [])]
    return Table(name, board.caption, columns, lines, notes)


def _value(text: str) -> float | None:
    """The number that a text begins with, for sorting."""
    found = re.match(r"[-+]?[0-9][0-9,]*(\.[0-9]+)?(e[-+][0-9]+)?", text)
    return float(found[0].replace(",", "")) if found else None


def unfinished(tables: Ranked) -> Table | None:
    """Every cell that is not done with its reason and the end of its log, failures first; None where all are done."""
    cells = tables.cells
    rest = cells[cells["status"] != "done"]
    if rest.empty:
        return None
    places = {status: position for position, status in enumerate((*FAILURES, "interrupted", "running", "planned"))}
    order = rest["status"].map(places).fillna(len(places))
    rows = rest.iloc[order.argsort(kind="stable").to_numpy()[:UNFINISHED]].to_dict("records")
    columns = [
        Column("configuration", "configuration"), Column("dataset", "dataset"), Column("seed", "seed", True),
        Column("status", "status"), Column("reason", "reason"), Column("log", "end of the log"),
    ]  # fmt: skip
    lines, logs = [], 0
    for row in rows:
        log = excerpt(row["directory"]) if row["status"] in (*FAILURES, "interrupted") and logs < _LOGS else ""
        logs += bool(log)
        fields = [
            Field(clean(row["configuration"])), Field(clean(row["dataset"])), Field(str(row["seed"]), row["seed"]),
            Field(row["status"]), Field(clean(row["reason"]) or MISSING), Field("" if log else MISSING, log=log),
        ]  # fmt: skip
        lines.append(Line(fields, kind=row["status"]))
    left = len(rest) - len(rows)
    notes = [f"{left:,} more cells that are not done are in results.parquet"] if left else []
    return Table("unfinished", "", columns, lines, notes)
