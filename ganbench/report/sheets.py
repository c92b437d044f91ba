"""Sample sheets: the best cell of every variant beside real images, in whole pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from ganbench.contracts import Tables
from ganbench.report.configurations import labelled
from ganbench.report.leaderboard import finished, ranking
from ganbench.report.words import clean, number

_WIDTH, _WIDEST = 340, 720
_MARGIN, _COLUMNS = 18, 3
_INK, _GREY, _PAPER = (25, 25, 25), (110, 110, 110), (255, 255, 255)
_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@dataclass(frozen=True)
class Panel:
    """One sheet with its title and what is said of it; `path` is None where there is no sheet."""

    title: str
    lines: tuple[str, ...]
    path: Path | None


def panels(tables: Tables, dataset: str) -> list[Panel]:
    """The real images, then every variant's best cell, best first (by the ranked metric at its best snapshot)."""
    facts = tables.datasets[tables.datasets["dataset"] == dataset]
    real = [Path(directory) / "real.png" for directory in facts["directory"]]
    return [Panel("real images", (dataset,), real[0] if real else None), *_variants(tables, dataset)]


def _variants(tables: Tables, dataset: str) -> Iterator[Panel]:
    ranked_by = ranking(tables)
    cells = labelled(tables.cells)
    cells = cells[(cells["dataset"] == dataset) & (cells["status"] != "skipped")]
    scores = finished(tables)
    scores = scores[(scores["point"] == "best") & (scores["metric"] == ranked_by.metric)]
    cells = cells.merge(
        scores.set_index("key")[["value", "generator_updates"]].add_prefix("best_"),
        left_on="key",
        right_index=True,
        how="left",
    )
    cells["done"] = cells["status"] == "done"
    cells = cells.sort_values(["best_value", "seed"], ascending=[ranked_by.lower, True], na_position="last")
    cells = cells.sort_values("done", ascending=False, kind="stable")
    for cell in cells.groupby("variant", sort=False).head(1).to_dict("records"):
        if not cell["done"]:
            yield Panel(cell["variant"], ("no finished cell",), None)
            continue
        value, updates = float(cell["best_value"]), cell["best_generator_updates"]
        lines = (
            f"{ranked_by.metric} {number(value)} at best, seed {cell['seed']}",
            f"after {updates:,.0f} generator updates",
        )
        if math.isnan(value):
            lines, updates = (f"without {ranked_by.metric}, seed {cell['seed']}", "end of training"), -1
        yield Panel(cell["configuration"], lines, _sheet(Path(cell["directory"]) / "samples", int(updates)))


def _sheet(folder: Path, updates: int) -> Path | None:
    """The sheet after `updates` generator updates, else the last there is."""
    sheets = {int(path.stem): path for path in folder.glob("*.png") if path.stem.isdecimal()}
    return sheets.get(updates) or (sheets[max(sheets)] if sheets else None)


def compose(panels: list[Panel]) -> Image.Image:
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
    step_x, step_y = width + _MARGIN, text_height + height + _MARGIN
    page = Image.new("RGB", (columns * step_x + _MARGIN, rows * step_y + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(page)
    for position, (panel, title, sheet) in enumerate(zip(panels, titles, sheets, strict=True)):
        x, y = _MARGIN + position % columns * step_x, _MARGIN + position // columns * step_y
        for number_, line in enumerate(title):
            draw.text((x, y + 20 * number_), line, _INK, title_font)
        for number_, line in enumerate(panel.lines):
            (text,) = _wrapped(line, font, width, 1)
            draw.text((x, y + 20 * len(title) + 18 * number_), text, _GREY, font)
        if sheet is not None:
            page.paste(sheet, (x, y + text_height))
        else:
            box = (x, y + text_height, x + width - 1, y + text_height + height - 1)
            draw.rectangle(box, fill=(245, 245, 245), outline=(215, 215, 215))
            draw.text((x + width / 2, y + text_height + height / 2), "no samples", _GREY, font, anchor="mm")
    return page


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONTS / name), size)


def _enlarged(path: Path | None) -> Image.Image | None:
    """The picture at a readable size: small ones by a whole number and unsmoothed, very large ones reduced."""
    if path is None:
        return None
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if image.width > _WIDEST:
        image.thumbnail((_WIDEST, _WIDEST))
        return image
    scale = max(1, _WIDTH // image.width)
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
