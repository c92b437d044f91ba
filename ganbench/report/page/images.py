"""The pictures of cells beside the page, so that the folder can be sent alone: sample sheets, neighbours and so on."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ganbench.errors import UserError
from ganbench.store import slug, write_atomically

#: No more than so many bytes and files are copied in all; of one file no more than so many bytes and pixels a side.
BYTES, FILES = 64 * 2**20, 4_000
_LARGEST, _PIXELS = 8 * 2**20, 6_000
#: What a worker leaves beside the sheets, where it could.
EXTRAS = ("neighbours", "interpolation")
Cell = Mapping[Hashable, Any]


class Images:
    """Copies pictures into `folder`, until there are too many; what was there and is not part of it any more goes."""

    def __init__(self, folder: Path) -> None:
        if folder.is_symlink():
            raise UserError(f"{folder} is a link, and old pictures are deleted there; remove it")
        self.folder = folder
        self.bytes = self.files = 0
        self.left_out = 0  # cells that have pictures, but found no room
        self._kept: set[Path] = set()

    def of_dataset(self, dataset: str, directory: Path) -> str:
        """The sheet of real images, relative to the page; empty where there is none."""
        name = f"real-{slug(dataset)}"
        return self._relative(name) if self._copy(directory / "real.png", self.folder / f"{name}.png") else ""

    def of_cell(self, cell: Cell) -> dict[str, Any] | None:
        """Where the pictures of a cell are: ``folder``, ``updates`` of its sheets, names of `EXTRAS`; None if none."""
        directory = Path(cell["directory"])
        samples = directory / "samples"
        if _elsewhere(directory) or samples.is_symlink():
            return None
        try:
            sheets = {int(entry.stem): entry for entry in samples.iterdir() if _is_sheet(entry)}
        except OSError:
            sheets = {}
        extras = [name for name in EXTRAS if (directory / f"{name}.png").is_file()]
        if not sheets and not extras:
            return None
        if self.bytes >= BYTES or self.files + len(sheets) + len(extras) > FILES:
            self.left_out += 1
            return None
        target = self.folder / directory.name
        updates = [at for at in sorted(sheets) if self._copy(sheets[at], target / f"{at:08d}.png")]
        kept = [name for name in extras if self._copy(directory / f"{name}.png", target / f"{name}.png")]
        return {"folder": f"{self.folder.name}/{directory.name}", "updates": updates, "extras": kept}

    def of_probe(self, directory: Path, name: str) -> tuple[str, bytes] | None:
        """Where a picture of a probe's is, relative to the page, and how its file begins; None without one or room."""
        source, cell = directory / f"{name}.png", directory.parent.parent.name
        head = _png(source)
        if head is None or self.bytes + len(head) > BYTES or self.files >= FILES:
            return None
        target = self.folder / cell / f"{directory.name}-{name}.png"
        return (target.relative_to(self.folder.parent).as_posix(), head[:33]) if self._copy(source, target) else None

    def finish(self) -> None:
        """Remove what an earlier page had and this one has not."""
        for path in self.folder.rglob("*.png") if self.folder.is_dir() else ():
            if path not in self._kept:
                path.unlink()
        for path in sorted(self.folder.glob("*/")) if self.folder.is_dir() else ():
            if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()

    def _relative(self, name: str) -> str:
        return f"{self.folder.name}/{name}.png"

    def _copy(self, source: Path, target: Path) -> bool:
        content = _png(source)
        if content is None:
            return False
        self.bytes, self.files = self.bytes + len(content), self.files + 1
        self._kept.add(target)
        if target.parent.is_symlink():  # a stranger's, which could lead anywhere
            target.parent.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)
        # Sheets never change once they are written, so that size and content are quickly compared.
        if not (target.is_file() and target.stat().st_size == len(content) and target.read_bytes() == content):
            write_atomically(target, content, durable=False)
        return True


def order(cells: Iterable[Cell], *, every: bool) -> list[Cell]:
    """Cells as room is given to them: every variant's first, every configuration's first, then all others.

    `cells` come best first. Without `every` each variant's first is all.
    """
    variants: set[Any] = set()
    configurations: set[Any] = set()
    queues: tuple[list[Cell], ...] = ([], [], [])
    for cell in cells:
        variant, configuration = (cell["dataset"], cell["variant"]), (cell["dataset"], cell["configuration"])
        number = 0 if variant not in variants else 1 if configuration not in configurations else 2
        variants.add(variant)
        configurations.add(configuration)
        queues[number].append(cell)
    return [cell for queue in queues for cell in queue] if every else queues[0]


def _is_sheet(path: Path) -> bool:
    return path.suffix == ".png" and path.stem.isdecimal() and path.stem.isascii() and len(path.stem) <= 15


def _elsewhere(directory: Path) -> bool:
    """Whether a cell's directory leads out of its results folder."""
    root = os.path.realpath(directory.parent.parent)
    return not Path(os.path.realpath(directory)).is_relative_to(root)


def _png(path: Path) -> bytes | None:
    """The content of a PNG of a sensible size; None for anything else, and for links."""
    try:
        about = os.lstat(path)
        if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST:
            return None
        content = path.read_bytes()
    except (OSError, ValueError):
        return None
    if len(content) < 33 or content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR":
        return None
    return content if all(0 < side <= _PIXELS for side in struct.unpack(">II", content[16:24])) else None
