"""``report/index.html``: everything that the records say on one page, which works from a file system alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

from ganbench.errors import UserError
from ganbench.report import evidence, probes, ranks, speed
from ganbench.report.axes import AXES, default_axis
from ganbench.report.boards import LEGEND, Board, boards
from ganbench.report.leaderboard import Ranked, ranking
from ganbench.report.page import about, charts, gallery, methods, tables
from ganbench.report.page.images import Images
from ganbench.report.page.render import markdown, page
from ganbench.report.page.selection import shown
from ganbench.report.roadmap import Matched
from ganbench.report.sentences import voice
from ganbench.report.words import clean
from ganbench.store import slug, write_atomically

_LINES = 400  # so many the smaller tables of one kind have together


def write(
    ranked: Ranked,
    matched: Matched,
    folder: Path,
    *,
    x: str | None = None,
    sheets: Literal["all", "best", "none"] = "all",
    live: float = 0,
) -> Path:
    """Write ``index.html`` into `folder`, with the pictures that it shows beside it in ``samples``; its path.

    `sheets` says of which cells: all, the best of each variant, or none. `x` is the x axis that curves begin with.
    With `live`, for a run that goes on, the page loads itself again every so many seconds.
    """
    if folder.is_symlink():
        raise UserError(f"{folder} is a link, and old pictures are deleted there; remove it")
    folder.mkdir(parents=True, exist_ok=True)
    images = Images(folder / "samples")
    text = _page(ranked, matched, images, x, sheets, live)
    images.finish()
    write_atomically(folder / "index.html", text, durable=not live)
    return folder / "index.html"


def _page(ranked: Ranked, matched: Matched, images: Images, x: str | None, sheets: str, live: float) -> str:
    run, ranked_by = ranked.tables.run, ranking(ranked.tables)
    rows = shown(ranked.leaderboards)
    drawn = charts.Charts(ranked, rows)
    colours = charts.colours(ranked)
    facts = about.facts(ranked.tables)
    axes = voice(ranked.tables, matched.comparisons).axes
    cells = gallery.gallery(drawn, images, every=sheets == "all") if sheets != "none" else []
    probed, not_probed = probes.shown(ranked, images, pictures=sheets != "none")
    data: dict[str, Any] = {
        "name": facts.name,
        "metric": ranked_by.metric,
        "at": ranked_by.at,
        "metrics": {metric: direction == "lower" for metric, direction in ranked_by.directions.items()},
        "axis": x or default_axis(run),
        "axes": AXES,
        "colours": {clean(variant): colour for variant, colour in colours.items()},
        "datasets": drawn.datasets(),
        "configurations": drawn.configurations(),
        "effects": charts.effects(matched.comparisons, axes, ranked_by.metric),
        "effectAxes": axes,
        "cells": cells,
        "real": gallery.real_sheets(drawn, images) if sheets != "none" else {},
        "live": live,
    }
    left = len(ranked.leaderboards[ranked.leaderboards["row"] == "configuration"]) - len(rows)
    plain = int((rows["rank"].notna() & ~rows["charted"]).sum())
    return page(
        data,
        title=facts.name,
        facts=facts,
        summary=about.summary(facts, ranked.tables),
        grid=about.grid(ranked),
        boards=_boards(ranked, drawn, colours),
        legend=LEGEND,
        left_out=left,
        uncharted=plain,
        effects=tables.effects(matched.comparisons, axes, ranked_by.metric),
        across=ranks.sentences(ranked),
        duels=_further(evidence.comparisons(ranked), ("a", "b", "verdict"), "comparisons.csv"),
        duel_legend=evidence.verdict_legend(ranked),
        choices=_further(evidence.selections(ranked), ("configuration",), "results.parquet"),
        choice_legend=evidence.SELECTION_LEGEND,
        speeds=_further(speed.boards(ranked), ("configuration",), "speed.csv"),
        speed_legend=speed.LEGEND,
        cells=len(cells),
        cells_left_out=images.left_out,
        sheets=sheets,
        probes=probed,
        not_probed=not_probed,
        classes=gallery.classes(drawn, colours),
        unfinished=tables.unfinished(ranked),
        roadmap=markdown(matched.roadmap.partition("\n")[2]) if matched.roadmap else "",
        paragraph=methods.paragraph(facts, ranked.tables),
        bibtex=methods.bibtex(facts),
        live=live,
        updated=time.strftime("%H:%M:%S") if live else "",
    )


def _boards(ranked: Ranked, drawn: charts.Charts, colours: dict[str, str]) -> list[tuple[str, tables.Table]]:
    """Title and table of every dataset's leaderboard."""
    every = ranked.leaderboards
    found = []
    for (dataset, table), board in zip(every.groupby("dataset"), boards(ranked), strict=True):
        rows = [row for row in drawn.rows if row["dataset"] == dataset]
        bounds = table[table["row"] != "configuration"].to_dict("records")
        made = tables.leaderboard(clean(dataset), rows, bounds, board, ranked, drawn.numbers, colours)
        found.append((board.title, made))
    return found


def _further(found: list[Board], words: tuple[str, ...], rest: str) -> list[tuple[str, tables.Table]]:
    """Title and table of further boards, of which there is one per dataset at most."""
    most = max(20, _LINES // max(1, len(found)))
    return [(board.title, tables.of_board(slug(board.title), board, words, most, rest)) for board in found]
