"""The tables of a report as LaTeX, for papers: `booktabs` tables that can be pasted or `\\input`."""

from __future__ import annotations

from ganbench.contracts import Tables
from ganbench.report import evidence
from ganbench.report.boards import LEGEND, WORDS, Board, boards
from ganbench.report.leaderboard import Ranked
from ganbench.report.words import for_latex
from ganbench.store import slug

#: A table with more rows may run over several pages (`longtable`).
_LONG = 40
_SMALL = r"\footnotesize\setlength{\tabcolsep}{4pt}"  # a leaderboard of two metrics is as wide as a page of A4
_SPACE = r"\setlength{\belowcaptionskip}{6pt}"  # captions stand above, where the standard classes leave none
_HEAD = (
    r"""% Tables of %NAME, written by ganbench report. Needs \usepackage{booktabs} and, for long tables, longtable."""
)


def document(tables: Tables | Ranked) -> str:
    """Every leaderboard with its notes in the caption, then the comparisons and the chosen snapshots scored again."""
    ranked = Ranked.of(tables)
    name = for_latex(str(ranked.tables.run["name"]))
    parts = [_HEAD.replace("%NAME", name)]
    for board in boards(ranked):
        # Notes begin with the names of variants, which no sentence may: so they are one.
        notes = "; ".join(note for note in (board.caption, *board.verdicts, *board.notes) if note)
        parts.append(table(board, [board.title, notes, LEGEND]))
    for board in evidence.comparisons(ranked):
        parts.append(table(board, [board.title, evidence.verdict_legend(ranked)]))
    for board in evidence.selections(ranked):
        parts.append(table(board, [board.title, evidence.SELECTION_LEGEND]))
    return "\n\n".join(parts) + "\n"


def table(board: Board, caption: list[str]) -> str:
    """One board as a `table`, or as a `longtable` where it has many rows. All text is escaped."""
    columns = "".join("l" if name in WORDS else "r" for name in board.header)
    head = [_row(board.header), r"\midrule"]
    body = [_row(row) for row in board.rows]
    body += [r"\midrule", *map(_row, board.bounds)] if board.bounds else []
    said = " ".join(for_latex(text.rstrip(".") + ".") for text in caption if text)
    named = rf"\caption{{{said}}}" + "\n" + rf"\label{{tab:{slug(board.title)}}}"
    if len(board.rows) > _LONG:
        first = [rf"{{{_SMALL}", rf"\begin{{longtable}}{{{columns}}}", rf"{named} \\", r"\toprule", *head]
        first += [r"\endfirsthead", r"\toprule", *head, r"\endhead"]
        return "\n".join([*first, *body, r"\bottomrule", r"\end{longtable}}"])
    begin = [r"\begin{table}", rf"\centering{_SPACE}", named, _SMALL, rf"\begin{{tabular}}{{{columns}}}"]
    first = [*begin, r"\toprule", *head]
    return "\n".join([*first, *body, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _row(texts: list[str]) -> str:
    return " & ".join(for_latex(text) for text in texts) + r" \\"
