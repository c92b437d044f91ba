"""Sample sheets: the best cell of every variant beside real images, and at its last evaluations, in whole pixels."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from ganbench.mirror import complete
from ganbench.report.study import Study
from ganbench.report.words import clean, number

_ROWS, _LAST = 10, 3
_WIDTH, _WIDEST, _LARGEST = 340, 720, 6_000
_MARGIN, _COLUMNS, _GUTTER = 18, 3, 14
_INK, _GREY, _PAPER = (25, 25, 25), (110, 110, 110), (255, 255, 255)
_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@dataclass(frozen=True)
class Panel:
    """One sheet with its title and what is said of it.

    `path` is None where there is no sheet; `classes` are those of its rows where it has a row per class.
    """

    title: str
    lines: tuple[str, ...]
    path: Path | None
    classes: tuple[int, ...] = ()


def samples(study: Study, dataset: str) -> list[Panel]:
    """The real images, then every variant's best cell, best first (by the ranked metric at its best snapshot)."""
    metric = study.ranking.metric
    facts = study.tables.datasets[study.tables.datasets["dataset"] == dataset]
    real = [Path(directory) / "real.png" for directory in facts["directory"]]
    known = min(_classes(study, dataset), _ROWS)
    panels = [Panel("real images", (dataset,), real[0] if real else None, tuple(range(known)))]
    for cell in _best_cells(study, dataset):
        value, updates = float(cell["best_value"]), cell["best_generator_updates"]
        lines = (f"{metric} {number(value)} at best, seed {cell['seed']}", f"after {updates:,.0f} generator updates")
        if math.isnan(value):
            lines, updates = (f"without {metric}, seed {cell['seed']}", "end of training"), -1
        if not cell["done"]:
            panels.append(Panel(cell["variant"], ("no finished cell",), None))
        else:
            classes = _row_classes(study, dataset, cell)
            panels.append(Panel(cell["configuration"], lines, _sheet(_sheets(cell), int(updates)), classes))
    return panels


def last(study: Study, dataset: str) -> dict[str, tuple[str, list[Panel]]]:
    """Variant -> a heading, and the sheets of its best cell at its last three evaluations."""
    metric, found = study.ranking.metric, {}
    curve = study.tables.scores[study.tables.scores["point"] == "curve"]
    for cell in _best_cells(study, dataset):
        sheets = _sheets(cell)
        if not cell["done"] or not sheets:
            continue
        events = curve[curve["key"] == cell["key"]]
        epochs = dict(zip(events["generator_updates"], events["epochs"], strict=True))
        values = events[events["metric"] == metric].set_index("generator_updates")["value"]
        classes = _row_classes(study, dataset, cell)
        panels = []
        for updates in sorted(sheets)[-_LAST:]:
            # Without a score of that moment (a metric that is unavailable has none) updates alone say when it was.
            title = f"epoch {epochs[updates]:,.3g}" if updates in epochs else f"update {updates:,}"
            score = (f"{metric} {number(float(values[updates]))}",) if updates in values.index else ()
            panels.append(Panel(title, (f"{updates:,} generator updates", *score), sheets[updates], classes))
        found[cell["variant"]] = (f"{dataset}: {cell['configuration']}, seed {cell['seed']}", panels)
    return found


def _best_cells(study: Study, dataset: str) -> list[dict[Hashable, Any]]:
    """Each variant's best cell, best first, then cells that are not done of variants that have no other."""
    cells = study.cells[(study.cells["dataset"] == dataset) & (study.cells["status"] != "skipped")]
    scores = study.finals[(study.finals["point"] == "best") & (study.finals["metric"] == study.ranking.metric)]
    chosen = scores.set_index("key")[["value", "generator_updates"]].add_prefix("best_")
    cells = cells.merge(chosen, left_on="key", right_index=True, how="left")
    cells["done"] = cells["status"] == "done"
    ascending = [False, study.ranking.lower, True]
    cells = cells.sort_values(["done", "best_value", "seed"], ascending=ascending, na_position="last", kind="stable")
    return cells.groupby("variant", sort=False).head(1).to_dict("records")


def _classes(study: Study, dataset: str) -> int:
    counts = study.tables.datasets.loc[study.tables.datasets["dataset"] == dataset, "classes"].dropna()
    return int(counts.iloc[0]) if len(counts) else 0


def _row_classes(study: Study, dataset: str, cell: dict[Hashable, Any]) -> tuple[int, ...]:
    """The classes of the rows of the cell's sheets; none where its game is not conditional."""
    classes = _classes(study, dataset) if cell["conditional"] else 0
    return tuple(row % classes for row in range(_ROWS)) if classes else ()


def _sheets(cell: dict[Hashable, Any]) -> dict[int, Path]:
    """Generator updates -> the sheet after them."""
    complete(Path(cell["directory"]))
    pictures = (Path(cell["directory"]) / "samples").glob("*.png")
    return {int(path.stem): path for path in pictures if path.stem.isdecimal()}


def _sheet(sheets: dict[int, Path], updates: int) -> Path | None:
    """The sheet after `updates` generator updates, else the last there is."""
    return sheets.get(updates) or (sheets[max(sheets)] if sheets else None)


def compose(panels: list[Panel], heading: str = "") -> Image.Image:
    """All `panels` on one page, titles above the sheets, every sheet enlarged by a whole number."""
    title_font, font = _font("DejaVuSans-Bold.ttf", 15), _font("DejaVuSans.ttf", 13)
    sheets = [_enlarged(panel.path) for panel in panels]
    width = max((sheet.width for sheet in sheets if sheet), default=_WIDTH)
    height = max((sheet.height for sheet in sheets if sheet), default=_WIDTH)
    titles = [_wrapped(panel.title, title_font, width) for panel in panels]
    title_lines = max(len(lines) for lines in titles)
    text_height = 20 * title_lines + 18 * max(len(panel.lines) for panel in panels) + 6
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    gutter = _GUTTER if any(panel.classes for panel in panels) else 0
    step_x, step_y = gutter + width + _MARGIN, text_height + height + _MARGIN
    heads = _wrapped(heading, title_font, columns * step_x - _MARGIN) if heading else []
    top = _MARGIN + 24 * len(heads)
    page = Image.new("RGB", (columns * step_x + _MARGIN, top + rows * step_y), _PAPER)
    draw = ImageDraw.Draw(page)
    for line_number, line in enumerate(heads):
        draw.text((_MARGIN, _MARGIN - 4 + 20 * line_number), line, _INK, title_font)
    for position, (panel, title, sheet) in enumerate(zip(panels, titles, sheets, strict=True)):
        x, y = _MARGIN + gutter + position % columns * step_x, top + position // columns * step_y
        for number_, line in enumerate(title):
            draw.text((x, y + 20 * number_), line, _INK, title_font)
        for number_, line in enumerate(panel.lines):
            (text,) = _wrapped(line, font, width, 1)
            draw.text((x, y + 20 * len(title) + 18 * number_), text, _GREY, font)
        if sheet is not None:
            page.paste(sheet, (x, y + text_height))
            for row, label in enumerate(panel.classes):
                middle = y + text_height + (row + 0.5) * sheet.height / len(panel.classes)
                draw.text((x - 6, middle), str(label), _GREY, font, anchor="rm")
        else:
            box = (x, y + text_height, x + width - 1, y + text_height + height - 1)
            draw.rectangle(box, fill=(245, 245, 245), outline=(215, 215, 215))
            draw.text((x + width / 2, y + text_height + height / 2), "no samples", _GREY, font, anchor="mm")
    return page


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONTS / name), size)


def _enlarged(path: Path | None) -> Image.Image | None:
    """The picture at a readable size: by a whole number always; small ones unsmoothed, very large ones reduced."""
    # A link could lead to a picture that nobody meant to show, and a pipe never ends.
    if path is None or path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        return None
    try:
        # No other format: for some of them Pillow starts other programs.
        with Image.open(path, formats=["PNG"]) as file:
            if max(file.size) > _LARGEST:
                return None
            image = file.convert("RGB")
    except Exception:  # decoders raise anything from OSError to SyntaxError on a damaged file
        return None
    if max(image.size) > _WIDEST:
        return image.reduce(math.ceil(max(image.size) / _WIDEST))
    scale = max(1, _WIDTH // max(image.size))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int, most: int = 3) -> list[str]:
    """`text` in at most `most` lines of `width` pixels; what does not fit ends in an ellipsis."""
    lines = [""]
    for word in clean(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line}…"
