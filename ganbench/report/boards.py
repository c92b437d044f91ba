"""Leaderboards in words: what the terminal and the Markdown file both show, and the CSV file repeats."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from ganbench.code import changed
from ganbench.contracts import Tables
from ganbench.report.leaderboard import MARK, POINTS, Ranked, Ranking, ranking
from ganbench.report.selection import sentence
from ganbench.report.verdicts import of_leaders
from ganbench.report.words import MISSING, clean, listed, number, ranges, seconds
from ganbench.tables import budget_text

LEGEND = (
    "± is the half-width of the 95 % Student t interval over n seeds. "
    "At best: the snapshot with the best ranked score during training, scored again on fresh samples. "
    "At last: the end of training. Real test images are scored as if they were generated: the bound to reach."
)
FAILURES = ("failed", "oom", "timeout", "diverged")
#: The columns of words; all others hold numbers and are aligned to the right.
WORDS = ("configuration", "dataset", "metric", "at", "coverage", "a", "b", "verdict")
Row = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Board:
    """The leaderboard of one dataset as plain text; whoever prints it escapes it."""

    title: str
    caption: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str]
    #: What was not trained here, below a line: images that were scored from files, baselines, the real test images.
    bounds: list[list[str]] = field(default_factory=list)
    #: Which variant beats which, in one line each.
    verdicts: list[str] = field(default_factory=list)


def boards(tables: Tables | Ranked) -> list[Board]:
    """One board per dataset, in order of name."""
    return Ranked.of(tables).kept(_boards)


def _boards(ranked: Ranked) -> list[Board]:
    table, tables = ranked.leaderboards, ranked.tables
    ranked_by, said = ranking(tables), of_leaders(ranked)
    found = []
    for dataset, group in table.groupby("dataset"):
        board = _board(str(dataset), group, tables, ranked_by)
        luck = sentence(ranked, str(dataset))
        verdicts = [each.sentence for each in said.get(clean(dataset), [])]
        found.append(replace(board, notes=[*board.notes, *([luck] if luck else [])], verdicts=verdicts))
    return found


def score(row: Row, metric: str, point: str) -> str:
    """One score as shown: ``12.35 ± 0.62``; ``*`` marks a mean over fewer seeds than planned.

    The number of seeds stands beside it where it is one, or not that of the row's ranked score.
    """
    name = f"{metric}_{point}"
    mean, n = row[f"{name}_mean"], int(row[f"{name}_n"])
    if math.isnan(mean):
        return MISSING
    mark = "*" if row["row"] == "configuration" and n < row["planned"] else ""
    count = f" (n={n})" if n == 1 or n != row["n"] else ""
    return number(mean, row[f"{name}_high"] - mean) + mark + count


def coverage(row: Row, metric: str) -> str:
    """``3/3``, or ``1/3 seeds: 1 failed, 1 diverged``."""
    n, planned = int(row["n"]), int(row["planned"])
    if row["row"] != "configuration":
        return f"{n:,} images" if n else ""
    if n == planned:
        return f"{n}/{planned}"
    counts = {status: int(count) for count, status in (item.split(" ", 1) for item in row["statuses"].split(", "))}
    unscored = counts.pop("done", 0) - n
    others = [f"{count} {status}" for status, count in counts.items() if status != "skipped"]
    return f"{n}/{planned} seeds: " + ", ".join(others + ([f"{unscored} without {metric}"] if unscored else []))


def _board(dataset: str, table: pd.DataFrame, tables: Tables, ranked_by: Ranking) -> Board:
    rows = table.to_dict("records")
    shown = [row for row in rows if row["row"] == "configuration" and row["planned"]]
    bounds = [row for row in rows if row["row"] != "configuration"]
    columns = [(ranked_by.metric, point) for point in POINTS]
    for metric in ranked_by.directions:
        if metric != ranked_by.metric and table[f"{metric}_{ranked_by.at}_n"].any():
            columns.append((metric, ranked_by.at))
    heads = [f"{metric} {'↓' if ranked_by.directions[metric] == 'lower' else '↑'} {point}" for metric, point in columns]
    better = "lower" if ranked_by.lower else "higher"
    return Board(
        title=clean(f"{dataset}: ranked by {ranked_by.metric} at {ranked_by.at}, {better} is better"),
        caption=_caption(dataset, tables.datasets),
        header=["rank", "configuration", *heads, "n", "coverage", "s/cell"],
        rows=[_texts(row, columns, ranked_by) for row in shown],
        bounds=[_texts(row, columns, ranked_by) for row in bounds if has_score(row, columns)],
        notes=_notes(dataset, rows, columns, tables, ranked_by),
    )


def has_score(row: Row, columns: Sequence[tuple[str, str]]) -> bool:
    """Whether the row has any of the metrics that are shown."""
    return any(row[f"{metric}_best_n"] for metric, _ in columns)


def _texts(row: Row, columns: list[tuple[str, str]], ranked_by: Ranking) -> list[str]:
    trained = row["row"] == "configuration"
    return [
        MISSING if pd.isna(row["rank"]) else str(row["rank"]),
        row["configuration"],
        *[score(row, metric, point) for metric, point in columns],
        str(row["n"]) if trained else "",
        coverage(row, ranked_by.metric),
        seconds(row["seconds"]) if trained else "",
    ]


def _caption(dataset: str, datasets: pd.DataFrame) -> str:
    """What is known of the dataset: shape, sizes, how good its classifier is, and why it is not there."""
    facts = []
    for record in datasets[datasets["dataset"] == dataset].to_dict("records"):
        if record["shape"] is not None:
            facts.append("×".join(str(size) for size in record["shape"]))
        counts = [f"{record[key]:,.0f} {word}" for key, word in _COUNTS if _is_count(record[key])]
        facts += counts
        for name, info in (record["extractors"] or {}).items():
            if info.get("test_accuracy") is not None:  # None: no labelled test split to measure it on
                facts.append(f"{name} test accuracy {info['test_accuracy']:.4g}")
        if record["reason"]:
            facts.append(f"dataset {record['status']}: {record['reason']}")
    return clean(", ".join(facts))


_COUNTS = (("classes", "classes"), ("train", "training images"), ("test", "test images"))


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, float)) and not math.isnan(value) and value > 0


def _notes(
    dataset: str, rows: list[dict[Hashable, Any]], columns: list[tuple[str, str]], tables: Tables, ranked_by: Ranking
) -> list[str]:
    """What a reader must know of this board: marks, overlaps, what was unavailable, what was skipped."""
    shown = [row for row in rows if row["row"] == "configuration" and row["planned"]]
    notes = []
    if any(score(row, *column).find("*") >= 0 for row in shown for column in columns):
        notes.append("* mean over fewer seeds than planned (see coverage)")
    notes += _overlap(shown, f"{ranked_by.metric}_{ranked_by.at}")
    notes += _conditions(dataset, tables)
    notes += _mixtures(dataset, tables)
    notes += _foreign(dataset, tables)
    notes += [f"{metric}: unavailable: {reason}" for metric, reason in _unavailable(dataset, tables).items()]
    skipped = [row for row in rows if row["row"] == "configuration" and not row["planned"]]
    notes += [f"skipped: {row['configuration']}: {row['reason']}" for row in skipped]
    return [clean(note) for note in notes]


def _overlap(rows: list[dict[Hashable, Any]], column: str) -> list[str]:
    """Which intervals of the ranked score overlap the leader's."""
    ranked = [row for row in rows if not math.isnan(row[f"{column}_mean"])]
    notes = []
    if ranked and not math.isnan(ranked[0][f"{column}_low"]):
        first = ranked[0]
        low, high = first[f"{column}_low"], first[f"{column}_high"]
        near = [row["rank"] for row in ranked[1:] if row[f"{column}_low"] <= high and row[f"{column}_high"] >= low]
        if near:
            many = len(near) > 1
            who = f"intervals of ranks {ranges(near)} overlap" if many else f"interval of rank {near[0]} overlaps"
            notes.append(f"the {who} that of rank 1")
    single = [row["rank"] for row in ranked if row["n"] == 1]
    if single:
        notes.append(f"one seed has no interval (rank{'s' if len(single) > 1 else ''} {ranges(single)})")
    return notes


def _conditions(dataset: str, tables: Tables) -> list[str]:
    """What the rows of one board do not have in common, though they are ranked together."""
    cells = tables.cells[(tables.cells["dataset"] == dataset) & (tables.cells["status"] != "skipped")]
    shown = {
        "budget": [budget_text(budget) if budget else "" for budget in cells["budget"].tolist()],
        "number of evaluations": [(evaluate or {}).get("times", "") for evaluate in cells["evaluate"].tolist()],
        "number of samples": [(evaluate or {}).get("samples", "") for evaluate in cells["evaluate"].tolist()],
        "precision": [precision or "" for precision in cells["precision"].tolist()],
    }
    of, notes = cells["variant"].tolist(), []
    for name, values in shown.items():
        variants: dict[str, dict[str, None]] = {}
        for variant, value in zip(of, values, strict=True):
            if value != "":
                variants.setdefault(f"{value:,}" if isinstance(value, int) else value, {})[variant] = None
        if len(variants) > 1:
            said = "; ".join(f"{value} for {listed(sorted(who))}" for value, who in sorted(variants.items()))
            notes.append(f"these rows are not at equal {name}: {said}")
    return notes


def _mixtures(dataset: str, tables: Tables) -> list[str]:
    """Which variants' cells were trained by code that changed in between."""
    notes = []
    cells = tables.cells[(tables.cells["dataset"] == dataset) & (tables.cells["status"] == "done")]
    for variant, codes in cells.groupby("variant")["code"]:
        known = [code for code in codes if code]
        if what := next(filter(None, (changed(known[0], other) for other in known)), ""):
            notes.append(f"not all cells of {variant} were trained by the same code: {what}")
    return notes


def _foreign(dataset: str, tables: Tables) -> list[str]:
    """What images that were scored from files are, and which of their scores are not shown."""
    notes = []
    cells = tables.cells[(tables.cells["dataset"] == dataset) & (tables.cells["status"] != "skipped")]
    counts = sorted({evaluate["samples"] for evaluate in cells["evaluate"] if evaluate})
    rows = tables.scored[tables.scored["dataset"] == dataset]
    for name, damage in rows.loc[rows["metric"].isna(), ["name", "note"]].itertuples(index=False):
        notes.append(f"{MARK} {name}: {damage}; delete that file, and evaluate the images again")
    for (name, digest), group in rows.dropna(subset="metric").groupby(["name", "sha256"]):
        first = group.to_dict("records")[0]
        said = f"{MARK} {name}: scored from files, not trained here (n = 1), so neither ranked nor compared: "
        said += f"{first['samples']:,.0f} images of {first['source']}, sha256 {str(digest)[:12]}"
        if counts and counts != [first["samples"]]:
            said += f" (cells are scored with {listed([f'{count:,}' for count in counts])})"
        if first["resized"]:
            said += f", {first['resized']:,.0f} of them reduced in size"
        hidden = group[group["note"] != ""]
        said += "".join(
            f"; {metric} is not shown: {why}" for metric, why in zip(hidden["metric"], hidden["note"], strict=True)
        )
        notes.append(said)
    return notes


def _unavailable(dataset: str, tables: Tables) -> dict[str, str]:
    """Metric -> why it is unavailable on `dataset`, from its real rows and from its cells."""
    found: dict[str, dict[str, None]] = {}
    references = tables.references[(tables.references["dataset"] == dataset) & (tables.references["note"] != "")]
    pairs = list(zip(references["metric"], references["note"], strict=True))
    for reasons in tables.cells.loc[tables.cells["dataset"] == dataset, "unavailable"]:
        pairs += list((reasons or {}).items())
    for metric, reason in pairs:
        found.setdefault(metric, {})[clean(reason)] = None
    return {metric: "; ".join(reasons) for metric, reasons in found.items()}


def failures(tables: Tables | Ranked) -> list[str]:
    """One line per cell that failed, with its reason, after a line that counts them; empty where none did."""
    cells = Ranked.of(tables).cells
    failed = cells[cells["status"].isin(FAILURES)]
    lines = [
        clean(f"{cell['configuration']} on {cell['dataset']}, seed {cell['seed']}: {cell['status']}: {cell['reason']}")
        for cell in failed.to_dict("records")
    ]
    return [f"{len(lines)} cell{'s' if len(lines) > 1 else ''} failed", *lines] if lines else []
