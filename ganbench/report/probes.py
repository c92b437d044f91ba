"""What probes found of the cells: a table, and what the page shows of each of them."""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from ganbench.contracts import Tables
from ganbench.records import check_probed, joined
from ganbench.report.leaderboard import Ranked
from ganbench.report.words import clean, for_csv, number
from ganbench.store import Record, Unit, read_json

if TYPE_CHECKING:
    from ganbench.report.page.images import Images

_COLUMNS = ["dataset", "variant", "configuration", "seed", "probe", "params", "quantity", "value", "status", "reason"]
_LARGEST = 2**20  # bytes of a record
_MOST = 200  # probes of one cell that are read
_WIDTH = 480  # pixels: smaller pictures are enlarged by a whole number


class Found(NamedTuple):
    """What one probe found of one cell; `record` is as `ganbench.records.Probed` has it."""

    cell: Mapping[Hashable, Any]
    record: Record
    directory: Path

    @property
    def title(self) -> str:
        """``inpaint (steps 500, images 8)``: with all its parameters."""
        params = ", ".join(f"{name} {value}" for name, value in self.record["params"].items())
        return clean(f"{self.record['name']} ({params})" if params else self.record["name"])


def found(tables: Tables | Ranked) -> list[Found]:
    """What probes found of every done cell, in the order of the cells; of the same probe with the same parameters the
    latest. Records that are not what they should be, or are those of another cell, are left out.
    """
    return Ranked.of(tables).kept(_found)


def _found(ranked: Ranked) -> list[Found]:
    several: list[Found] = []
    cells = ranked.cells[ranked.cells["status"] == "done"]
    # Nearly none have any: of those that have none nothing more is looked at, and a Path takes as long as the look.
    for cell in cells[[os.path.isdir(f"{folder}{os.sep}probes") for folder in cells["directory"]]].to_dict("records"):
        directory = Path(cell["directory"])
        root = os.path.realpath(directory.parent.parent)
        if not Path(os.path.realpath(directory)).is_relative_to(root):
            continue
        latest: dict[str, Found] = {}
        for unit in Unit(directory).probes()[:_MOST]:
            record = _record(unit, cell["key"])
            if record is None:
                continue
            what = json.dumps([record["name"], record["params"]], sort_keys=True)
            known = latest.get(what)
            if known is None or (record["finished"] or "") >= (known.record["finished"] or ""):
                latest[what] = Found(cell, record, unit.directory)
        several += sorted(latest.values(), key=lambda one: (one.record["name"], one.title))
    return several


def _record(unit: Unit, key: str) -> Record | None:
    """Task and manifest as one; None where one of them is missing or not what it should be."""
    task, manifest = (_read(unit.directory / name) for name in ("task.json", "manifest.json"))
    if task.get("key") != key:
        return None
    record = joined(task, manifest)
    return None if check_probed(record) else record


def _read(path: Path) -> Record:
    """A record of a sensible size, and not through a link; empty where there is none."""
    try:
        about = os.lstat(path)
    except OSError:
        return {}
    return (read_json(path) or {}) if stat.S_ISREG(about.st_mode) and about.st_size <= _LARGEST else {}


def csv(tables: Tables | Ranked) -> str:
    """A row for every number, and for every probe without one; empty where nothing was probed."""
    rows = []
    for cell, record, _ in found(tables):
        params = for_csv(json.dumps(record["params"], sort_keys=True))
        who = [for_csv(clean(cell[name])) for name in ("dataset", "variant", "configuration")]
        ends = [record["status"], for_csv(clean(record["reason"] or ""))]
        for quantity, value in record["numbers"].items() or [("", None)]:
            rows.append([*who, cell["seed"], record["name"], params, quantity, value, *ends])
    return pd.DataFrame(rows, columns=_COLUMNS).to_csv(index=False, lineterminator="\n") if rows else ""


class Picture(NamedTuple):
    """A picture of the page: `path` relative to it, and how large it is shown."""

    name: str
    path: str
    width: int
    height: int


class Shown(NamedTuple):
    """One probe of one cell on the page; `numbers` are pairs of name and text."""

    cell: str
    title: str
    numbers: list[tuple[str, str]]
    pictures: list[Picture]
    note: str


def shown(ranked: Ranked, images: Images, *, pictures: bool) -> tuple[list[Shown], list[str]]:
    """The probes that are done, and a line for each that is not. Without `pictures` there are numbers alone."""
    done, lines = [], []
    for one in found(ranked):
        cell, record, directory = one
        who = clean(f"{cell['configuration']} on {cell['dataset']}, seed {cell['seed']}")
        if record["status"] != "done":
            lines.append(clean(f"{one.title} of {who}: {record['status']}: {record['reason'] or 'no reason given'}"))
            continue
        numbers = [(name, number(float(value))) for name, value in record["numbers"].items()]
        drawn = [_picture(images, directory, name) for name in record["pictures"]] if pictures else []
        done.append(Shown(who, one.title, numbers, [picture for picture in drawn if picture], clean(record["note"])))
    return done, lines


def _picture(images: Images, directory: Path, name: str) -> Picture | None:
    """A picture copied beside the page; None where there is no room for it, or it is none."""
    copied = images.of_probe(directory, name)
    if copied is None:
        return None
    path, head = copied
    width, height = struct.unpack(">II", head[16:24])
    factor = max(1, _WIDTH // width)
    return Picture(name, path, width * factor, height * factor)
