"""Text files that grow by a line per event, also over several runs in one results folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class Log:
    """One file below ``observers/`` of the results folder that a run is at work in."""

    def __init__(self, name: str, header: str = "") -> None:
        self._name, self._header = name, header
        self._path: Path | None = None

    def open(self, folder: Path) -> None:
        """From now on lines go to the file in `folder`, behind those that are there."""
        self._path = folder / "observers" / self._name
        self._path.parent.mkdir(exist_ok=True)
        if self._header and not self._path.exists():
            self._path.write_text(self._header)

    def write(self, line: str) -> None:
        assert self._path is not None
        with self._path.open("a", encoding="utf-8", newline="") as file:
            file.write(line)


def now() -> str:
    """The time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def who(directory: Path, cell: Mapping[str, Any]) -> Event:
    """Which cell an event is about."""
    return {"cell": directory.name, **{name: cell[name] for name in ("variant", "dataset", "seed")}}


def evaluations(directory: Path, cell: Mapping[str, Any], events: list[Event]) -> Iterator[Event]:
    """Evaluations as events of a log: where they are on each axis, costs and metrics."""
    names = ("generator_updates", "images", "epochs", "seconds", "costs", "metrics")
    for event in events:
        facts = {name: event[name] for name in names if name in event}
        yield {"time": now(), "event": "evaluation", **who(directory, cell), **facts}
