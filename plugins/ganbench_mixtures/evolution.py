"""How densities of generated points came about: sheets of the best cells at several evaluations, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ganbench.api import Reporter, Tables

if TYPE_CHECKING:
    import numpy as np

_COLUMNS, _ROWS = 6, 6  # evaluations of a cell, and cells
_GAP = 2  # pixels around the tiles of a sheet
_LARGEST = 2_000  # pixels; a sheet of points is 390 wide


class DensityEvolution(Reporter):
    """Densities of points along training, with the contours of the real ones: ``evolution-DATASET.png``.

    A row for the best cell of each configuration (by the ranked metric), best first and six at most, and a column for
    each of up to six evaluations at even distances; the last column is the last evaluation. After the thesis's figure
    4.5. Datasets that are not of points get none.
    """

    expected_failures: ClassVar[Mapping[str, str]] = {
        "something_is_written": "the kit's records are of images, and it draws points only"
    }

    def report(self, tables: Tables, folder: Path) -> None:
        for old in folder.glob("evolution-*.png"):
            old.unlink()
        for number, dataset in enumerate(tables.datasets.to_dict("records")):
            shape = dataset["shape"]
            if not isinstance(shape, list | tuple) or len(shape) != 1:
                continue
            rows = list(_rows(tables, str(dataset["dataset"])))
            if rows:
                folder.mkdir(parents=True, exist_ok=True)
                name = "".join(c if c.isalnum() or c in "-_" else "-" for c in str(dataset["dataset"]))
                clash = (folder / f"evolution-{name}.png").exists()
                _draw(rows, folder / f"evolution-{name}{f'-{number}' if clash else ''}.png")


def _rows(tables: Tables, dataset: str) -> Iterator[tuple[str, list[tuple[str, np.ndarray]]]]:
    """The title of each row and its tiles with theirs, the real density first."""
    metric, at = tables.run["rank"]["metric"], tables.run["rank"]["at"]
    scores = tables.scores[(tables.scores["dataset"] == dataset) & (tables.scores["metric"] == metric)]
    cells = tables.cells[(tables.cells["dataset"] == dataset) & (tables.cells["status"] == "done")]
    ranked = scores[scores["point"] == at].set_index("key")["value"]
    cells = cells.assign(value=cells["key"].map(ranked)).dropna(subset="value")
    lower = tables.run["metrics"].get(metric, "lower") == "lower"
    taken: set[str] = set()
    for cell in cells.sort_values(["value", "seed"], ascending=[lower, True], kind="stable").to_dict("records"):
        title = " ".join([cell["variant"], *(cell["labels"][name] for name in sorted(cell["overrides"]))])
        if title in taken or len(taken) == _ROWS:
            continue
        curve = scores[(scores["key"] == cell["key"]) & (scores["point"] == "curve")]
        known = dict(zip(curve["generator_updates"], curve["value"], strict=True))
        tiles = list(_tiles(Path(cell["directory"]), known, metric))
        if tiles:
            taken.add(title)
            yield f"{title}, seed {cell['seed']}", tiles


def _tiles(directory: Path, known: dict[Any, float], metric: str) -> Iterator[tuple[str, np.ndarray]]:
    found = {int(path.stem): path for path in (directory / "samples").glob("*.png") if path.stem.isdecimal()}
    updates = sorted(found)
    chosen = [updates[round(i * (len(updates) - 1) / (_COLUMNS - 1))] for i in range(_COLUMNS)] if updates else []
    for update in dict.fromkeys(chosen):
        halves = _halves(found[update])
        if halves is None:
            continue
        if update == chosen[0]:
            yield "real", halves[0]
        score = f"\n{metric} {known[update]:.3g}" if update in known else ""
        yield f"{update:,} updates{score}", halves[1]


def _halves(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The real and the generated density of a sheet, uint8 H×W×3; None where it is no such sheet."""
    import numpy as np
    from PIL import Image

    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        return None
    try:
        with Image.open(path, formats=["PNG"]) as file:
            if max(file.size) > _LARGEST:
                return None
            pixels = np.asarray(file.convert("RGB"))
    except Exception:  # decoders raise anything from OSError to SyntaxError on a damaged file
        return None
    size = pixels.shape[0] - 2 * _GAP
    if pixels.shape[1] != 2 * size + 3 * _GAP:
        return None
    inner = pixels[_GAP : _GAP + size]
    return inner[:, _GAP : _GAP + size], inner[:, size + 2 * _GAP : 2 * size + 2 * _GAP]


def _draw(rows: list[tuple[str, list[tuple[str, np.ndarray]]]], path: Path) -> None:
    from matplotlib.figure import Figure

    columns = max(len(tiles) for _, tiles in rows)
    figure = Figure(figsize=(1.9 * columns, 2.6 * len(rows)), dpi=110, layout="constrained")
    for part, (title, tiles) in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
        part.suptitle(title, fontsize=9, x=0.01, ha="left", parse_math=False)
        for position, axis in enumerate(part.subplots(1, columns, squeeze=False)[0]):
            axis.set_axis_off()
            if position < len(tiles):
                above, tile = tiles[position]
                axis.imshow(tile, interpolation="nearest")
                axis.set_title(above, fontsize=7, loc="left", parse_math=False)
    figure.savefig(path, metadata={"Software": None})
